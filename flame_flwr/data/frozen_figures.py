"""The account of what has left of frozen data in all runs of a project: sets of people, and sums.

There is one for each project and dataset, beside the frozen data in the node's ``state-dir``. It is
removed with the last frozen data of that dataset. A sandboxed analysis does not see it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.data.kept_files import FolderFiles
from flame_flwr.errors import ConfigError
from flame_flwr.files import take_lock
from flame_flwr.text.textfiles import decode_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from flame_flwr.data.frozen_manifest import Manifest
    from flame_flwr.privacy.figure_account import FigureAccount

__all__ = ["FIGURES", "FrozenFigures"]

FIGURES = "frozen-figures"
"""The folder in a ``state-dir`` for these accounts."""

_FILE, _LOCK = "left.json", ".lock"
_LOCK_LIMIT = 60.0


class FrozenFigures:
    """The accounts of some frozen data.

    Parameters
    ----------
    state_dir : Path
        The folder that the frozen data is in.
    of : collection of Manifest
        The manifests of that data.
    """

    def __init__(self, state_dir: Path, of: Collection[Manifest]) -> None:
        # sorted: two answers that lock the same ones in another order would wait for each other
        owners = sorted({(each.project, each.dataset) for each in of})
        self._files = [FolderFiles(state_dir, FIGURES, *owner) for owner in owners]

    @contextmanager
    def added_to(self, account: FigureAccount) -> Iterator[None]:
        """Add what has left before to an account; keep what the block adds to it.

        Other processes wait meanwhile, so that of two answers the second is compared with the
        first.

        Raises
        ------
        ConfigError
            The kept account cannot be read, or another process does not let go of it.
        DataError
            It cannot be written, so nothing may leave.
        """
        locks: list[int] = []
        try:
            for files in self._files:
                files.make()
                locks.append(_locked(files.folder / _LOCK))
                if _FILE in files.names():
                    account.add(_read(files))
            before = account.to_json()
            yield
            text = account.to_json()
            for files in self._files if text != before else ():
                files.write(_FILE, [text.encode()])
        finally:
            for lock in locks:
                os.close(lock)  # which lets go of it

    def drop(self) -> None:
        """Remove the accounts."""
        for files in self._files:
            (files.folder / _FILE).unlink(missing_ok=True)


def _read(files: FolderFiles) -> FigureAccount:
    from flame_flwr.privacy.figure_account import FigureAccount

    try:
        return FigureAccount.from_json(decode_text(files.read(_FILE)))
    except ValueError as error:
        raise ConfigError(
            "what has left of the frozen data before cannot be read, so nothing leaves: the "
            f"hospital removes the file {_FILE} below `{FIGURES}` in the node's `state-dir`, which "
            "forgets it, or `flame-flwr data drop`s the data",
            detail=f"{files.folder / _FILE}: {error}",
        ) from error


def _locked(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if take_lock(handle, _LOCK_LIMIT):
            return handle
        raise ConfigError(
            "another answer about the same frozen data has not left for "
            f"{_LOCK_LIMIT:.0f} s: try again"
        )
    except BaseException:
        os.close(handle)
        raise
