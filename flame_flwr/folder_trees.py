"""Folders that code of others has filled: of any depth, with any names and rights.

Python's own ``shutil.rmtree`` recurses, takes paths of any length to the system, and stops where a
folder may not be read.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["entries_below", "remove_tree", "size_below", "size_on_disk"]

_BLOCK = 4096


def size_on_disk(about: os.stat_result) -> int:
    """Return the bytes that an entry of a folder takes: also an empty one takes a block."""
    return max(_BLOCK, 512 * about.st_blocks)


def entries_below(folder: str | Path) -> Iterator[os.stat_result]:
    """Yield what the system says of all in a folder; links are not followed.

    What cannot be read in it, being this user's, is made readable.
    """
    waiting = [os.fspath(folder)]
    while waiting:
        with suppress(OSError):  # deeper than a path is long; gone meanwhile
            for entry in _entries(waiting.pop()):
                with suppress(OSError):
                    yield entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)


def size_below(folder: str | Path, most: float = float("inf")) -> int:
    """Return the bytes that all in a folder takes on disk.

    Parameters
    ----------
    folder : str or Path
        As of :func:`entries_below`.
    most : float
        Where it is more, how much more is not looked at.
    """
    size = 0
    for about in entries_below(folder):
        size += size_on_disk(about)
        if size > most:
            break
    return size


def remove_tree(folder: str | Path) -> None:
    """Remove a folder with all that is in it; links are not followed.

    Folders come up from below one by one, so that no path gets long.

    Raises
    ------
    OSError
        It is not there, or something in it is another user's.

    Examples
    --------
    >>> import tempfile
    >>> below = Path(tempfile.mkdtemp())
    >>> (below / "a" / "b").mkdir(parents=True)
    >>> remove_tree(below)
    >>> below.exists()
    False
    """
    top, names, number = os.fspath(folder), secrets.token_hex(8), count()
    while entries := _entries(top):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            for inner in _entries(entry.path):
                if inner.is_dir(follow_symlinks=False):
                    os.chmod(inner.path, 0o700)  # or it could not be moved
                    os.rename(inner.path, os.path.join(top, f"{names}-{next(number)}"))
                else:
                    os.unlink(inner.path)
            os.rmdir(entry.path)
    os.rmdir(top)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return what is in a folder, whatever its owner's rights say."""
    try:
        if os.stat(folder).st_mode & 0o700 != 0o700:
            os.chmod(folder, 0o700)
        with os.scandir(folder) as found:
            return list(found)
    except NotADirectoryError:
        return []
