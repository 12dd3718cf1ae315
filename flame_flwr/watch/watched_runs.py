"""The runs in a place of results, looked at again and again.

What is over is read once. What goes on is read when its ``live.json`` has changed; of a store,
which does not say that, every two seconds. Whether a run's writer is alive is told by whether it
goes on writing, by this machine's clock, as the server's may be wrong.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import StoreError
from flame_flwr.object_store import is_url
from flame_flwr.processes.threads import call_each
from flame_flwr.results.fetch import listed_files
from flame_flwr.results.live_file import LARGEST, LIVE
from flame_flwr.results.runs_place import RunsPlace
from flame_flwr.results.upload import RECORD
from flame_flwr.watch.parsed_runs import parse_live, parse_record
from flame_flwr.watch.run_view import RunView, view_of_live, view_of_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flame_flwr.watch.parsed_runs import LiveRun

__all__ = ["WatchedRuns"]

_FOLDER_EVERY, _STORE_EVERY, _STORE_LIST_EVERY = 0.4, 2.0, 10.0
"""Seconds between two looks, however many pages are open."""

_BEATS = 3
"""So many signs of life that are missing mean that a run's writer has died."""


@dataclass(slots=True)
class _Known:
    """What is known of one run: the last look at its files, and what they said."""

    stamp: Any = None
    brief: RunView | None = None
    over: bool = False
    written: float | None = None
    changed: float = 0.0


class WatchedRuns:
    """The runs in a folder or a store; safe to be asked by several threads.

    Parameters
    ----------
    place : str
        What the runs have as `results`, or a run's own folder.
    now, clock : callable
        The time in seconds since 1970, and a clock that never goes back.

    Raises
    ------
    ConfigError
        The URL or a variable of the environment is wrong.
    StoreError
        There is no such folder.

    Examples
    --------
    >>> import tempfile
    >>> WatchedRuns(tempfile.mkdtemp()).runs()
    []
    """

    def __init__(
        self,
        place: str,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = RunsPlace(place)
        self.place = self._place.place
        self._now, self._clock = now, clock
        self._folder = None if is_url(self.place) else Path(self.place)
        self._known: dict[str, _Known] = {}
        self._names: list[str] = []
        self._listed = self._looked = float("-inf")
        self._lock = threading.Lock()
        self._shown: tuple[Any, RunView | None] = None, None

    def runs(self) -> list[RunView]:
        """Return the runs, the newest first, without their details."""
        with self._lock:
            self._look()
            found = [self._known[name].brief for name in self._names]
        return [brief for brief in found if brief is not None]

    def run(self, name: str) -> RunView:
        """Return one run, whole.

        Raises
        ------
        StoreError
            There is none of this name.
        """
        with self._lock:
            self._look()
            if name not in self._known:
                raise StoreError(f"there is no run {name!r:.200} in {self.place}")
            about = self._known[name]
            shown, view = self._shown
            if view is None or shown != self._state(name):
                view = self._read(name, about)
                self._shown = self._state(name), view
            return view

    def newest(self) -> str:
        """Return the name of the newest run; empty where there is none."""
        with self._lock:
            self._look()
            return self._names[0] if self._names else ""

    def full_name(self, begin: str) -> str:
        """Return the name of the run that is called so, or else of the one that begins so.

        Raises
        ------
        StoreError
            There is none, or more than one.
        """
        return self._place.choose([run.name for run in self.runs()], begin)

    def content(self, name: str, file: str) -> Iterator[bytes]:
        """Return a file that a run's ``run.json`` lists, in pieces.

        Raises
        ------
        StoreError
            It lists none of this name, or the file is not there.
        """
        with self._lock:
            self._look()
            there = name in self._known
        record = self._place.read(name) if there else None
        listed = listed_files(record, name) if record is not None else []
        found = next((each for each in listed if each.name == file), None)
        if found is None:
            raise StoreError(f"the run {name!r:.200} has no file {file!r:.200}")
        return self._place.store.chunks(self._place.path(name, file), found.size)

    def _look(self) -> None:
        """Look at the place again, unless that was just now."""
        clock, every = self._clock(), _FOLDER_EVERY if self._folder else _STORE_EVERY
        if clock - self._looked < every:
            return
        self._looked = clock  # before the look: one that fails is not made again for every page
        if self._folder or clock - self._listed >= _STORE_LIST_EVERY:
            self._listed = clock
            self._list()
        fresh = [name for name in self._names if not self._is_current(name)]
        # Of a store each run costs a request, which is waited for; of a disk threads gain nothing.
        call_each(self._take, fresh, workers=1 if self._folder else 8)

    def _list(self) -> None:
        """List the runs; where a store is away for a while, those that were there stay."""
        try:
            self._names = self._place.names()
        except StoreError:  # each run that goes on then says of itself that it cannot be read
            if not self._names:
                raise
        self._known = {name: self._known.get(name, _Known()) for name in self._names}

    def _state(self, name: str) -> tuple[Any, ...]:
        """Return what has changed when a run has to be read again to be shown."""
        about = self._known[name]
        return name, about.stamp, None if about.over else self._looked

    def _is_current(self, name: str) -> bool:
        """Tell whether nothing can have changed of a run since the last look."""
        about = self._known[name]
        if self._folder is None:
            return about.over
        stamp = [_stamp(self._folder / self._place.path(name, each)) for each in (RECORD, LIVE)]
        same = about.brief is not None and stamp == about.stamp
        about.stamp = stamp
        # One that goes on may have died: that is seen by nothing being written.
        return same and (about.over or about.written is None)

    def _take(self, name: str) -> None:
        about = self._known[name]
        about.brief = self._read(name, about).brief()

    def _read(self, name: str, about: _Known) -> RunView:
        """Return what a run's files say; where they cannot be read, that."""
        about.over = False
        try:
            record = self._place.read(name)
            if record is not None:
                about.over = True
                return view_of_record(name, parse_record(record))
            content = self._place.read(name, LIVE, LARGEST)
            if content is None and self._place.read(name) is not None:  # it has ended just now
                return self._read(name, about)
            if content is None:
                about.written = None
                return RunView(name, "unfinished", _NOTHING)
            live = parse_live(content)
            return view_of_live(name, live, alive=self._is_alive(about, live))
        except StoreError as error:
            return RunView(name, "unreadable", str(error))

    def _is_alive(self, about: _Known, live: LiveRun) -> bool:
        """Tell whether a run's writer goes on writing."""
        clock = self._clock()
        if about.written is None:  # the first look: only the clocks of two machines tell
            # A server's clock that is ahead makes its run no younger than this look.
            about.changed = clock - max(0.0, self._now() - live.written)
        elif about.written != live.written:
            about.changed = clock
        about.written = live.written
        return clock - about.changed <= _BEATS * live.beat


_NOTHING = (
    "it has no run.json and no live.json: it was run by an older flame-flwr, or ended before its "
    "first round"
)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino
