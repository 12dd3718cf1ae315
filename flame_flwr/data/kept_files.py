"""Where a node keeps files: a folder that only its user may enter, or memory.

Files are written whole. This module knows nothing of what is in them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from flame_flwr.errors import ConfigError, DataError
from flame_flwr.files import reason_of, write_whole
from flame_flwr.log import logger

__all__ = [
    "ANALYSES",
    "KEPT_VALUE",
    "LOCAL_STORAGE",
    "SESSION",
    "Files",
    "FolderFiles",
    "MemoryFiles",
    "NoFiles",
]

ANALYSES = "analyses"
"""The folder in a ``state-dir`` for what analyzers are in the middle of."""

LOCAL_STORAGE = "local-storage"
"""The folder in a ``state-dir`` for what analyses keep for later ones."""


SESSION = re.compile(r"[0-9a-f]{32}")
"""An analysis's own id, under which nodes keep what they are in the middle of."""

KEPT_VALUE = re.compile(
    r"([0-9]{20})_([0-9a-f-]{36})_([a-z0-9-]*)(?:_([0-9a-f]{32})-([0-9]+))?\.value"
)
"""The file of a kept value: its place in the order, id, tag; the session and round it is of."""


class FolderFiles:
    """Files in a folder that only this user may enter.

    Parameters
    ----------
    root : Path
        The ``state-dir``.
    kind : str
        The folder in it, :data:`ANALYSES` or :data:`LOCAL_STORAGE`.
    owner, node : str
        Any text; each is a folder below that, the project's or analysis's and the node's.
    lasting : bool
        Whether `node` stays the node's name; writing warns where it may not.
    """

    def __init__(
        self, root: Path, kind: str, owner: str, node: str, *, lasting: bool = True
    ) -> None:
        self._root = root
        self._storage = root / kind
        self._folder = self._storage / _safe(owner) / _safe(node)
        self._lasting = lasting

    def make(self) -> None:
        """Make the folders, closed to everyone else.

        Raises
        ------
        ConfigError
            They cannot be made, or others may write to one that is there.
        """
        try:
            self._root.parent.mkdir(parents=True, exist_ok=True)
            for folder in (self._root, self._storage, self._folder.parent, self._folder):
                with suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
        except OSError as error:
            raise ConfigError(
                f"{reason_of(error)}: "
                f"`state-dir`: no folder can be made there ({type(error).__name__})",
                detail=str(error),
            ) from error
        self._check_owner()
        with suppress(OSError):  # where it was there already, and others could read it
            self._storage.chmod(0o700)

    def names(self) -> list[str]:
        """Return the names of all files; none where the folder is not there yet."""
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            _fail("read", error)
        self._check_owner()
        return names

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            _fail("read", error)

    def write(self, name: str, parts: Iterable[bytes]) -> None:
        """Write a file under another name first, then rename it."""
        if not self._lasting:
            logger.warning(
                "this node has no `name` in its config: what is kept now is lost when Flower gives "
                "the node another id, as it may when the SuperNode starts again"
            )
        try:
            write_whole(self._folder / name, parts)
        except OSError as error:
            _fail("written", error)

    def remove(self, name: str) -> None:
        """Remove a file."""
        try:
            (self._folder / name).unlink()
        except FileNotFoundError:
            raise
        except OSError as error:
            _fail("changed", error)

    def _check_owner(self) -> None:
        """Refuse a folder into which another user could have put a pickle."""
        about = os.stat(self._storage)
        if about.st_uid != os.geteuid() or about.st_mode & 0o022:
            raise ConfigError(
                f"`state-dir`: the folder {self._storage.name} in it belongs to another user, or "
                "others may write to it; give this node a folder of its own",
                detail=str(self._storage),
            )


class MemoryFiles:
    """Files in this process, gone when it ends."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def make(self) -> None:
        """Do nothing: memory is there."""

    def names(self) -> list[str]:
        """Return the names of all files."""
        return list(self._files)

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return self._files[name]

    def write(self, name: str, parts: Iterable[bytes]) -> None:
        """Keep a copy of the parts."""
        self._files[name] = b"".join(parts)

    def remove(self, name: str) -> None:
        """Forget a file."""
        del self._files[name]


class NoFiles:
    """No place at all: every use is an error that says which key makes one.

    Parameters
    ----------
    where : str
        The config with that key, such as ``"this node's config"``.
    """

    def __init__(self, where: str) -> None:
        self._where = where

    def make(self) -> None:
        """Do nothing: a node that keeps nothing needs no place."""

    def _refuse(self, *_: object) -> NoReturn:
        raise ConfigError(
            f"keeping data on a node needs a folder: set `state-dir` in {self._where}, to an "
            "absolute path"
        )

    names = read = write = remove = _refuse


Files = FolderFiles | MemoryFiles | NoFiles
"""Where values are kept: whole files by name."""

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def _safe(name: str) -> str:
    """Return a file name for any text: the text itself where every system takes it."""
    if _PLAIN.fullmatch(name):
        return name
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-")
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{readable or 'x'}.{digest[:16]}"


def _fail(what: str, error: OSError) -> NoReturn:
    raise DataError(
        f"{reason_of(error)}: "
        f"the folder of what is kept on this node cannot be {what} ({type(error).__name__})",
        detail=str(error),
    ) from error
