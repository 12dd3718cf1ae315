"""Open files of an audit log: nobody else's, and locked against other processes."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from flame_flwr.errors import ConfigError
from flame_flwr.files import take_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["locked", "open_log"]

_LOCK_LIMIT = 10.0

_MODE = 0o640
"""The service's group may read it, too, so that nobody needs root for ``flame-flwr node log``."""


def open_log(path: str, how: int) -> int:
    """Open a file of the log that nobody else can have written, made where it is missing.

    Raises
    ------
    ConfigError
        It is a link, has a second name, is no file or another user's, or others may write to it.
    """
    how |= os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # no pipe is waited for
    try:
        handle = os.open(path, how, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            _refuse(path, "is a link, and none is followed: put the file itself in its place")
        raise
    # Of what is open, and not of the path: it may be another file by then.
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            _refuse(path, "is no file: remove it, and one is made in its place")
        if about.st_nlink > 1 or about.st_uid != os.geteuid():
            whose = "has a second name" if about.st_nlink > 1 else "is another user's file"
            _refuse(path, f"{whose}: copy it, and put the copy in its place")
        if about.st_mode & 0o022:
            why = f"may be written by others, who could change it: `chmod {_MODE:o}` it"
            _refuse(path, f"{why}, and let `node log --verify` look at it")
        if about.st_size == 0:
            os.fchmod(handle, _MODE)  # new: also where the process's new files are its own alone
    except BaseException:
        os.close(handle)
        raise
    return handle


def _refuse(path: str, why: str) -> NoReturn:
    chain = "the .chain file of " if path.endswith(".chain") else ""
    raise ConfigError(f"{chain}`audit-log` in this node's config {why}", detail=path)


@contextmanager
def locked(handle: int, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock on an open file, which ends with the process at the latest.

    Raises
    ------
    TimeoutError
        Another process has held it for ten seconds.
    """
    if not take_lock(handle, _LOCK_LIMIT, shared=shared):
        why = "another process has held the lock of the audit log for too long"
        raise TimeoutError(errno.ETIMEDOUT, why)
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)
