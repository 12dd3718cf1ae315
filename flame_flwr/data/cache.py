"""A cache on the node's disk for what it reads from a store, kept for the next run.

A file is found by what it is (store, key and ETag), so a changed object is another file. What is
read from here is checked: a file that is not whole counts as missing. Rights are not decided
here: a source asks its store for every object that it hands out from here. Nodes of one machine may
share a folder: what they keep counts together.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.errors import ConfigError
from flame_flwr.files import os_errors_as, take_lock, write_whole
from flame_flwr.folder_trees import opened_folder
from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Cache"]

OBJECTS = "objects"
"""The folder in a ``cache-dir`` that is the cache's own: nothing beside it is touched."""

_CONTENT = ".data"
_OWN = re.compile(r"[0-9a-f]{64}\.(data|parquet|csv)")
"""Contents with their digests, and files of tables as the store has them."""

_UNFINISHED = ".part-"
_SIZE = ".size"
_DIGEST = 32
_STALE = 3600
"""Seconds after which nobody writes an unfinished file any more."""

_ROOM = 0.9
"""What is left of a full cache, so that not every object makes room anew."""

_WAIT = 10
"""Seconds to wait for another process that writes into the cache."""


class Cache:
    """A folder of bounded size that only its user may enter.

    Parameters
    ----------
    folder : Path
        `cache-dir` of the node's config; the cache is the folder ``objects`` in it.
    limit : float
        Bytes that it may hold; what was used longest ago goes first.
    """

    def __init__(self, folder: Path, limit: float) -> None:
        self._folder = folder / OBJECTS
        self._limit = limit
        self._lock = threading.Lock()
        self._stuck = False

    def check(self) -> None:
        """Make the folder where it is missing. A `cache-dir` that is there stays as it is.

        Raises
        ------
        ConfigError
            It cannot be made or written to, or the cache's own folder in it is another user's.
        """
        with os_errors_as(ConfigError, "`cache-dir`: the folder cannot be made"):
            self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                self._folder.mkdir(mode=0o700)
            own = self._folder.lstat().st_uid == os.geteuid() and not self._folder.is_symlink()
            if own:
                with self._opened() as folder:
                    os.fchmod(folder, 0o700)
            usable = self._folder.is_dir() and os.access(self._folder, os.W_OK | os.X_OK)
        if not own or not usable:
            raise ConfigError(
                f"`cache-dir`: the folder {OBJECTS} in it must be a folder that belongs to the "
                "user that runs the SuperNode: remove it, or name another `cache-dir`",
                detail=str(self._folder),
            )

    def get(self, identity: Sequence[str], size: int) -> bytes | None:
        """Return an object's content, or ``None`` where it is not here.

        Parameters
        ----------
        identity : sequence of str
            What tells this object, and its present content, from all others.
        size : int
            Its bytes, as the store says.
        """
        path = self._path(identity)
        try:
            with path.open("rb") as file:
                # nothing is flushed to the disk here: after a power failure a file may be short,
                # or hold zeros, which only the digest tells
                if os.fstat(file.fileno()).st_size != size + _DIGEST:
                    return None
                content, digest = file.read(size), file.read()
            if hashlib.sha256(content).digest() != digest:
                return None
            os.utime(path)  # what is used is the last to go
        except OSError:
            return None
        return content

    def put(self, identity: Sequence[str], content: bytes) -> None:
        """Keep an object's content. Where that cannot be, as on a full disk, the log says so."""
        size = len(content) + _DIGEST
        if self.has_room(size):
            digest = hashlib.sha256(content).digest()
            parts = [content, digest]
            # a file that is lost is read again from its store: that is cheaper than to flush each
            self._counted(size, lambda: write_whole(self._path(identity), parts, lasting=False))

    def _counted(self, size: int, keep: Callable[[], object]) -> bool:
        """Make room for a file, have it kept, and tell whether it was."""
        try:
            with self._lock, self._opened() as folder, self._counting(folder) as count:
                used = self._made_room(folder, _number(count), size)
                os.ftruncate(count, 0)  # of a process that ends here, no number is left
                keep()
                os.pwrite(count, str(used + size).encode(), 0)
                return True
        except BlockingIOError:
            self._stuck = True  # or every further object would wait as long
            logger.warning(
                "another process has held `cache-dir` for %d s: this one keeps nothing more", _WAIT
            )
        except OSError as error:
            logger.warning("`cache-dir` cannot be written to: %s", error)
        return False

    @property
    def folder(self) -> Path:
        """The cache's own folder, for files that :meth:`take` is given."""
        return self._folder

    def has_room(self, size: int) -> bool:
        """Tell whether an object of so many bytes can be kept at all."""
        return size <= self._limit and not self._stuck

    def file(self, identity: Sequence[str], size: int, suffix: str) -> Path | None:
        """Return the file of an object that :meth:`take` has kept; ``None`` where it is not here.

        Parameters
        ----------
        identity : sequence of str
            What tells this object, and its present content, from all others.
        size : int
            Its bytes, as the store says.
        suffix : str
            How the file's name ends.
        """
        path = self._path(identity, suffix)
        try:
            if path.lstat().st_size != size:
                return None
            os.utime(path)  # what is used is the last to go
        except OSError:
            return None
        return path

    def take(self, identity: Sequence[str], path: Path, size: int, suffix: str) -> Path:
        """Keep a file of :attr:`folder` and return its place; if it cannot be kept, it stays.

        Parameters
        ----------
        identity, size, suffix
            As of :meth:`file`.
        path : Path
            The file, whose name is still that of an unfinished one.
        """
        kept = self._path(identity, suffix)
        if self._counted(size, lambda: os.replace(path, kept)):
            return kept
        return path

    def _opened(self) -> AbstractContextManager[int]:
        """Open the folder: an analysis without a sandbox may have put a link in its place."""
        return opened_folder(self._folder.parent, OBJECTS)

    @contextmanager
    def _counting(self, folder: int) -> Iterator[int]:
        """Open the file that has the bytes in use, locked against other processes."""
        how = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        count = os.open(_SIZE, how, 0o600, dir_fd=folder)
        try:
            if not take_lock(count, _WAIT):
                raise BlockingIOError
            yield count
        finally:
            os.close(count)  # which lets go of the lock

    def _made_room(self, folder: int, used: int | None, size: int) -> int:
        """Remove files until there is room for `size` bytes more; return the bytes in use."""
        if used is not None and used + size <= self._limit:
            return used
        # whatever the count says, what is really there decides what goes
        files = sorted(self._own_files(folder))
        used = sum(each for _, each, _ in files)
        if used + size <= self._limit:
            return used
        for _, each, name in files:
            with suppress(FileNotFoundError):  # removed without this lock
                os.unlink(name, dir_fd=folder)
            used -= each
            if used + size <= self._limit * _ROOM:
                break
        return used

    def _own_files(self, folder: int) -> Iterator[tuple[float, int, str]]:
        """Give last use, bytes and name of the cache's own files; remove stale unfinished ones."""
        for entry in os.scandir(folder):
            try:
                if not entry.is_file(follow_symlinks=False):
                    continue
                stat = entry.stat(follow_symlinks=False)
                if _OWN.fullmatch(entry.name):
                    yield stat.st_mtime, stat.st_size, entry.name
                elif entry.name.startswith(_UNFINISHED) and stat.st_mtime < time.time() - _STALE:
                    os.unlink(entry.name, dir_fd=folder)
            except FileNotFoundError:  # unfinished files come and go without this lock
                continue

    def _path(self, identity: Sequence[str], suffix: str = _CONTENT) -> Path:
        # no store's key has a NUL in it, so no two identities make one text
        named = hashlib.sha256("\0".join(identity).encode("utf-8", "surrogateescape"))
        return self._folder / f"{named.hexdigest()}{suffix}"


def _number(count: int) -> int | None:
    """Return the number in a file; ``None`` where it holds no number."""
    text = os.pread(count, 32, 0)
    return int(text) if text.isdigit() else None
