"""Copies of the user's small files, for the import of a script and for the runs in one process.

In an empty folder a script whose tester reads its splits from a file beside it could not even be
loaded, and a first read of such a file would end the run before it shows what else is wrong. They
are copies, and no links, because what a library writes in C would go through a link unseen.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

__all__ = ["furnish"]

_MOST_FILES, _MOST_BYTES, _LARGE = 500, 20_000_000, 5_000_000
"""What is copied of a folder at most, and what is left out as too large."""


def furnish(folder: Path, home: Path, own: Path) -> None:
    """Copy the files below a user's folder, so long as they are few and small, and not hidden.

    Parameters
    ----------
    folder : Path
        Where to.
    home : Path
        The user's folder.
    own : Path
        The check's folder, which may lie below the user's.
    """
    size = 0
    for path in islice(_files(home, own), _MOST_FILES):
        try:
            size += path.stat().st_size
            if size > _MOST_BYTES:
                return
            target = folder / path.relative_to(home)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                shutil.copyfile(path, target)
        except OSError:  # of another user, or gone meanwhile: the run says so if it needs it
            continue


def _files(home: Path, own: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(home):
        if own.is_relative_to(parent) and Path(parent) != home:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if name[0] != "." and name != "__pycache__")
        for path in (Path(parent, name) for name in sorted(names) if name[0] != "."):
            if path.is_file() and path.stat().st_size <= _LARGE:
                yield path
