"""Files that decide what runs at a node: read only where nobody but its user can have written them.

A file is opened first and looked at then, so that it is the same one; no link is followed, and no
pipe is waited for.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flame_flwr.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["checked_folder", "opened_own"]

_HOW = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OTHERS = 0o077
_OTHERS_WRITE = 0o022


@contextmanager
def opened_own(path: Path, user: int) -> Iterator[tuple[int, os.stat_result]]:
    """Open a file for reading, and give its handle and what is known of it.

    Parameters
    ----------
    path : Path
        The file.
    user : int
        Whose it must be.

    Raises
    ------
    ConfigError
        It is no regular file, another user's, or others may write it.
    OSError
        It cannot be opened.
    """
    with _opened(path) as handle:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise _wrong(path, "must be a file, and no link or pipe")
        _check(path, about, user, "600")
        yield handle, about


def checked_folder(path: Path, user: int) -> None:
    """See that a folder is a user's own; where others may read it, that is ended.

    Raises
    ------
    ConfigError
        It is no folder, another user's, or others may write it.
    OSError
        It cannot be opened.
    """
    with _opened(path) as handle:
        about = os.fstat(handle)
        if not stat.S_ISDIR(about.st_mode):
            raise _wrong(path, "must be a folder, and no link")
        _check(path, about, user, "700")
        if about.st_mode & _OTHERS and user == os.geteuid():  # nobody else can change it
            os.fchmod(handle, 0o700)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        handle = os.open(path, _HOW)
    except OSError as error:
        if path.is_symlink():  # only for the words: the system has refused it already
            raise _wrong(path, "is a link, and none is followed") from error
        raise
    try:
        yield handle
    finally:
        os.close(handle)


def _check(path: Path, about: os.stat_result, user: int, mode: str) -> None:
    if about.st_uid != user:
        raise _wrong(path, "belongs to another user than the node's")
    if about.st_mode & _OTHERS_WRITE:
        raise _wrong(
            path, "may be written by others than the node's user", f", then `chmod {mode}` it"
        )


def _wrong(path: Path, why: str, more: str = ", and make it anew") -> ConfigError:
    """Return the error of a file or folder: it may say what nobody has decided."""
    return ConfigError(f"{path.name} {why}: look at what is in it{more}", detail=str(path))
