"""The runs in a place of results, a folder or a store: their names, and what is in their files."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from flame_flwr.errors import StoreError
from flame_flwr.object_store import BRIEF, is_url, open_store
from flame_flwr.results.live_file import LIVE
from flame_flwr.results.upload import RECORD

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LARGEST_RECORD", "RUN_NAME", "RunsPlace"]

RUN_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-\d+")
"""The name of a run's folder: when it began, and Flower's id."""

LARGEST_RECORD = 64 * 2**20
"""Bytes of a ``run.json``; one that is larger is not read."""


class RunsPlace:
    """A store of runs, or a run's own folder, which may be named by its ``run.json``.

    Parameters
    ----------
    place : str
        What the runs have as `results`, or a run's own folder.

    Attributes
    ----------
    own : str
        What the run is called whose own folder this is, if it is one.

    Raises
    ------
    ConfigError
        The URL or a variable of the environment is wrong.
    StoreError
        There is no such folder.
    """

    def __init__(self, place: str) -> None:
        if not is_url(place):
            place = os.path.abspath(os.path.expanduser(place))
            if os.path.basename(place) == RECORD and os.path.isfile(place):
                place = os.path.dirname(place)
        self.store = open_store(place.removesuffix(f"/{RECORD}") if is_url(place) else place, BRIEF)
        self.place = self.store.place
        self.own = self.place.rpartition("/")[2] or "run"

    def path(self, name: str, file: str) -> str:
        """Return where a file of a run is in the store."""
        return file if name == self.own else f"{name}/{file}"

    def names(self) -> list[str]:
        """Return the names of the runs, the newest first, and before them the place's own."""
        # A name begins with the time: in its order the last one is the newest.
        names = sorted(filter(RUN_NAME.fullmatch, self.store.folders()), reverse=True)
        is_run = any(self.read(self.own, each, 1) is not None for each in (RECORD, LIVE))
        if not is_run and RUN_NAME.fullmatch(self.own):  # before its first round, or of old
            is_run = bool(self.sizes(self.own))
        return [self.own, *names] if is_run else names

    def sizes(self, name: str) -> dict[str, int]:
        """Return all files of a run, with their sizes in bytes."""
        return self.store.sizes("" if name == self.own else name)

    def read(self, name: str, file: str = RECORD, limit: int = LARGEST_RECORD) -> bytes | None:
        """Return a file of a run, ``None`` where there is none; with a limit of 1, its beginning.

        Raises
        ------
        StoreError
            It is larger than its limit.
        """
        try:
            content = b"".join(self.store.chunks(self.path(name, file), limit))
        except FileNotFoundError:
            return None
        if len(content) > limit > 1:
            raise StoreError(f"{file} of {name} is larger than any: it is not read")
        return content

    def choose(self, names: Sequence[str], begin: str) -> str:
        """Return the name of the run that is called so, or else of the one that begins so.

        Parameters
        ----------
        names : sequence of str
            Those that there are.
        begin : str
            A run's name or its id, or how one begins.

        Raises
        ------
        StoreError
            There is none, or more than one.
        """
        known = {name: (name, name.rpartition("-")[2]) for name in names}
        # A whole name wins over one that begins with it.
        found = [name for name, both in known.items() if begin in both]
        found = found or [n for n, both in known.items() if any(x.startswith(begin) for x in both)]
        if not begin or not found:
            raise StoreError(
                f"there is no run {begin!r:.200} in {self.place}: `flame-flwr results "
                f"{self.place}` lists those there"
            )
        if len(found) > 1:
            shown = ", ".join(found[:5])
            raise StoreError(
                f"{begin!r:.200} is the beginning of {len(found)} runs: {shown}; say more of it"
            )
        return found[0]
