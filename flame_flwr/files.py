"""Writing files so that they are complete or absent, and by one process at a time."""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.errors import ConfigError, FlameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "is_unfinished",
    "os_errors_as",
    "probe",
    "read_file",
    "reason_of",
    "take_lock",
    "write_file",
    "write_whole",
]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
_LOCK_PAUSE = 0.005
_UNFINISHED = ".part-"


def is_unfinished(path: Path) -> bool:
    """Tell whether a file is one that :func:`write_whole` is about to rename."""
    return re.fullmatch(rf"{re.escape(_UNFINISHED)}[0-9a-f]{{16}}", path.name) is not None


def write_whole(
    path: Path, parts: Iterable[bytes], mode: int | None = 0o600, *, lasting: bool = True
) -> None:
    """Write a file under another name, then rename it.

    Parameters
    ----------
    path : Path
        The file; one that is there is replaced. Its folder must exist.
    parts : iterable of bytes
        What is written, one after the other.
    mode : int or None
        Who may read it; by default this user alone. ``None`` for whoever may read this process's
        new files: the system decides that when it makes one, as asking for the process's mask means
        to change it for a moment, also for files that other threads make meanwhile.
    lasting : bool
        Wait until it is on the disk, so that it is whole also after a power failure.

    Raises
    ------
    OSError
        The disk is full, or the folder cannot be written.
    """
    temporary = path.parent / f"{_UNFINISHED}{secrets.token_hex(8)}"
    handle = os.open(temporary, _NEW, 0o666 if mode is None else 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            if mode is not None:  # the process's mask takes bits off what `open` is given
                os.fchmod(file.fileno(), mode)
            file.writelines(parts)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_file(path: Path) -> bytes:
    """Return the content of a file that somebody has named.

    Raises
    ------
    ConfigError
        It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole, as readable as this user's new files are; missing folders are made.

    Raises
    ------
    OSError
        The disk is full, or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, [content], None)


def probe(folder: Path) -> None:
    """Write a small file into a folder, which is made where it is missing, and remove it.

    Raises
    ------
    OSError
        This cannot be done: neither could the results be written.
    """
    path = folder / ".probe"
    write_file(path, bytes(2**16))
    path.unlink(missing_ok=True)  # another process may try the same folder


def take_lock(handle: int, seconds: float, *, shared: bool = False) -> bool:
    """Lock an open file against other processes, until it is closed; tell whether it was free.

    Parameters
    ----------
    handle : int
        The file.
    seconds : float
        How long to wait for it.
    shared : bool
        Whether others may have such a lock at the same time.
    """
    import fcntl  # not on every system

    # asked for again and again, as a lock that waits has no limit
    deadline = time.monotonic() + seconds
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOCK_PAUSE)


@contextmanager
def os_errors_as(kind: type[FlameError], what: str, mend: str = "") -> Iterator[None]:
    """Raise one of the framework's errors for what the system refuses in the block.

    Parameters
    ----------
    kind : type
        Such as :class:`~flame_flwr.errors.DataError`.
    what : str
        What cannot be done: after the system's reason. Its own text, with the path, is the detail.
    mend : str, optional
        What to do about it.

    Examples
    --------
    >>> from flame_flwr.errors import DataError
    >>> with os_errors_as(DataError, "the list cannot be read"):
    ...     open("/none")
    Traceback (most recent call last):
        ...
    flame_flwr.errors.DataError: No such file or directory: the list cannot be read \
(FileNotFoundError) [[Errno 2] No such file or directory: '/none']
    """
    try:
        yield
    except FlameError:  # some of which are OSErrors, too
        raise
    except OSError as error:
        message = f"{reason_of(error)}: {what} ({type(error).__name__}){mend and f': {mend}'}"
        raise kind(message, detail=str(error)) from error


def reason_of(error: Exception) -> str:
    """Return the system's own reason for an error, free of paths: a message begins with it.

    What is about to be written is often not to blame: user code may have opened too many files.

    Examples
    --------
    >>> reason_of(OSError(28, "anything", "/srv/a-path"))
    'No space left on device'
    """
    if not isinstance(error, OSError) or error.errno is None:
        return type(error).__name__
    more = {errno.EMFILE: " in this process, as where code opens files and does not close them"}
    return f"{os.strerror(error.errno)}{more.get(error.errno, '')}"
