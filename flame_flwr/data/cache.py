"""What a node has read from a store, kept on its own disk: the next round is a new process.

A file is found by what it is (store, key and ETag), so a changed object is another file. What is
read from here is checked: a file that is not whole counts as missing. Rights are not decided
here: a source asks its store for every object before it looks here.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.errors import ConfigError
from flame_flwr.files import write_whole
from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Cache"]

_SUFFIX = ".data"
_DIGEST = 32


class Cache:
    """A folder of bounded size that only its user may enter.

    Parameters
    ----------
    folder : Path
        `cache-dir` of the node's config.
    limit : float
        Bytes that it may hold; what was not used for longest goes first.
    """

    def __init__(self, folder: Path, limit: float) -> None:
        self._folder = folder
        self._limit = limit
        self._lock = threading.Lock()
        self._used: float | None = None

    def check(self) -> None:
        """Make the folder where it is missing.

        Raises
        ------
        ConfigError
            It cannot be made or written to, or it is another user's.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            own = self._folder.stat().st_uid == os.geteuid()
            if own:
                self._folder.chmod(0o700)
            writable = os.access(self._folder, os.W_OK | os.X_OK)
        except OSError as error:
            raise ConfigError(
                f"`cache-dir`: the folder cannot be made ({type(error).__name__})",
                detail=str(error),
            ) from error
        if not own or not writable:
            raise ConfigError(
                "`cache-dir`: the folder must belong to the user that runs the SuperNode, and be "
                "writable",
                detail=str(self._folder),
            )

    def get(self, identity: Sequence[str], size: int) -> bytes | None:
        """Return an object's content, or ``None`` where it is not here.

        Parameters
        ----------
        identity : sequence of str
            What names this object and this state of it.
        size : int
            Its bytes, as the store says.
        """
        path = self._path(identity)
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size != size + _DIGEST:
                    return None
                content, digest = file.read(size), file.read()
            if hashlib.sha256(content).digest() != digest:
                return None
            os.utime(path)
        except OSError:
            return None
        return content

    def put(self, identity: Sequence[str], content: bytes) -> None:
        """Keep an object's content; a full disk is no error, then it is not kept."""
        size = len(content) + _DIGEST
        if size > self._limit:
            return
        with self._lock:
            try:
                self._make_room(size)
                digest = hashlib.sha256(content).digest()
                write_whole(self._path(identity), [content, digest], lasting=False)
            except OSError as error:
                self._used = None
                logger.warning("`cache-dir` cannot be written to: %s", error)

    def _make_room(self, size: int) -> None:
        if self._used is None or self._used + size > self._limit:
            files = sorted(
                (stat.st_mtime, stat.st_size, entry.path)
                for entry in os.scandir(self._folder)
                if entry.is_file(follow_symlinks=False) and (stat := entry.stat())
            )
            self._used = sum(each for _, each, _ in files)
            for _, each, path in files:
                if self._used + size <= self._limit:
                    break
                Path(path).unlink(missing_ok=True)
                self._used -= each
        self._used += size

    def _path(self, identity: Sequence[str]) -> Path:
        named = hashlib.sha256("\0".join(identity).encode("utf-8", "surrogateescape"))
        return self._folder / (named.hexdigest() + _SUFFIX)
