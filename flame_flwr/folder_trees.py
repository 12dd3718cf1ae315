"""Folders that code of others has filled: of any depth, with any names and rights.

Such code may go on meanwhile, or have put a link in the place of a folder. So each folder is opened
first, never through a link, and what is in it is reached through its handle. Python's own
``shutil.rmtree`` recurses, and stops where a folder may not be read.
"""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

__all__ = ["Identity", "entries_below", "identity", "opened_folder", "remove_tree"]
__all__ += ["size_below", "size_on_disk"]

_BLOCK = 4096
_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Identity = tuple[int, int]
"""Device and inode: what a folder is, whatever it is called."""


def identity(about: os.stat_result) -> Identity:
    """Return what tells a folder from all others, whatever they are called."""
    return about.st_dev, about.st_ino


@contextmanager
def opened_folder(root: str | Path, *below: str) -> Iterator[int]:
    """Open a folder, and give its handle, for ``dir_fd`` and :func:`os.scandir`.

    Below `root`, what may not be read is made readable, being this user's.

    Parameters
    ----------
    root : str or Path
        A folder that only those write to who decide what is removed; it may lie behind a link.
    *below : str
        The names from there to the folder; none may be a link. Without any, the handle is a place
        for ``dir_fd`` only.

    Raises
    ------
    NotADirectoryError
        A link, or anything else, is in the place of a folder.
    OSError
        It is not there, or another user's.
    """
    handle = os.open(root, _PLACE)
    try:
        for name in below:
            above, handle = handle, _opened(name, handle)
            os.close(above)
        yield handle
    finally:
        os.close(handle)


def size_on_disk(about: os.stat_result) -> int:
    """Return the bytes that an entry of a folder takes: also an empty one takes a block."""
    return max(_BLOCK, 512 * about.st_blocks)


def entries_below(folder: str | Path | int) -> Iterator[os.stat_result]:
    """Yield the status of all that is in a folder, at any depth; no link is followed.

    What cannot be read in it, being this user's, is made readable.
    """
    try:
        here = os.dup(folder) if isinstance(folder, int) else _opened(folder)
    except OSError:  # gone meanwhile
        return
    above: list[tuple[Identity, list[str]]] = []
    try:
        waiting = yield from _listed(here)
        while waiting or above:
            if waiting:
                with suppress(OSError):
                    inner = _opened(waiting.pop(), here)
                    above.append((identity(os.fstat(here)), waiting))
                    here = _moved(here, inner)
                    waiting = yield from _listed(here)
            else:  # up again, so that one folder is open at a time, however deep they are
                known, waiting = above.pop()
                here = _moved(here, os.open("..", _FOLDER, dir_fd=here))
                if identity(os.fstat(here)) != known:
                    return  # moved meanwhile
    except OSError:  # removed meanwhile
        return
    finally:
        os.close(here)


def size_below(folder: str | Path | int, most: float = float("inf")) -> int:
    """Return the bytes that all in a folder takes on disk.

    Parameters
    ----------
    folder : str, Path or int
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


def remove_tree(folder: str | Path, within: int | None = None) -> None:
    """Remove a folder with all that is in it; links are not followed.

    Where it is a link itself, or no folder, only that goes. Folders come up from below one by one,
    so that two are open at a time, however deep they are.

    Parameters
    ----------
    folder : str or Path
        Its path, or its name in `within`.
    within : int, optional
        The handle of the folder that it is in.

    Raises
    ------
    OSError
        It is not there, or something in it is another user's, or of another file system.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> below = Path(tempfile.mkdtemp())
    >>> (below / "a" / "b").mkdir(parents=True)
    >>> remove_tree(below)
    >>> below.exists()
    False
    """
    names, number = secrets.token_hex(8), count()
    try:
        top = _opened(folder, within)
    except NotADirectoryError:
        os.unlink(folder, dir_fd=within)
        return
    try:
        while entries := _entries(top):  # again, for those that were raised into it
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.name, dir_fd=top)
                    continue
                below = _opened(entry.name, top)
                try:
                    for inner in _entries(below):
                        if inner.is_dir(follow_symlinks=False):
                            os.close(_opened(inner.name, below))  # or it could not be moved
                            # by names that nobody can guess, and so take beforehand
                            raised = f"{names}-{next(number)}"
                            os.rename(inner.name, raised, src_dir_fd=below, dst_dir_fd=top)
                        else:
                            os.unlink(inner.name, dir_fd=below)
                finally:
                    os.close(below)
                os.rmdir(entry.name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(folder, dir_fd=within)


def _opened(folder: str | Path, within: int | None = None) -> int:
    """Open a folder, never a link, and give its owner all rights to it."""
    try:
        handle = os.open(folder, _FOLDER, dir_fd=within)
    except PermissionError:
        # to be opened as a place, a folder need not be readable; only its own path is changed then
        place = os.open(folder, _PLACE | os.O_NOFOLLOW, dir_fd=within)
        try:
            os.chmod(f"/proc/self/fd/{place}", 0o700)  # what is open, and nothing else
            return os.open(".", _FOLDER, dir_fd=place)
        finally:
            os.close(place)
    try:
        # it could be read, and must be changed as well: whoever filled it may have taken that right
        if os.fstat(handle).st_mode & 0o700 != 0o700:
            os.fchmod(handle, 0o700)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _moved(before: int, handle: int) -> int:
    os.close(before)
    return handle


def _entries(folder: int) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return list(found)


def _listed(folder: int) -> Generator[os.stat_result, None, list[str]]:
    """Yield the status of each entry of a folder, and return the names of its folders."""
    folders = []
    for entry in _entries(folder):
        with suppress(OSError):  # gone meanwhile
            yield entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
    return folders
