"""Reads and writes a checkpoint: a file on the server's host, or an object in a store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from flame_flwr.errors import ConfigError
from flame_flwr.files import write_whole
from flame_flwr.object_store import BRIEF, check_url, is_url, open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.object_store import ObjectStore

__all__ = ["CheckpointFile", "open_checkpoint_file"]

_WHAT = "`checkpoint` in the run config"


class CheckpointFile(Protocol):
    """Holds one file, complete or absent."""

    def prepare(self) -> None:
        """Make it possible to write, or raise ConfigError, OSError or StoreError."""

    def read(self) -> bytes | None:
        """Return the content; ``None`` where there is none."""

    def write(self, parts: Sequence[bytes]) -> None:
        """Replace the content."""

    def remove(self) -> None:
        """Remove it, where it is there."""


def open_checkpoint_file(place: str) -> CheckpointFile:
    """Return the place of a checkpoint.

    Parameters
    ----------
    place : str
        An absolute path, or ``s3://bucket/prefix/name``.

    Raises
    ------
    ConfigError
        It is neither, or names a folder.
    """
    if is_url(place):
        _, prefix = check_url(place, _WHAT)
        if not prefix or place.endswith("/"):
            raise ConfigError(f"{_WHAT} names no object: it must be like s3://bucket/name")
        folder, _, name = place.rpartition("/")
        return _Object(open_store(folder, BRIEF, what=_WHAT), name)
    if not os.path.isabs(place):
        raise ConfigError(
            f"{_WHAT} must be an absolute path or a URL, not {place}: Flower's processes have "
            "working directories of their own"
        )
    if os.path.isdir(place):
        raise ConfigError(f"{_WHAT} names a folder: {place}; name a file in it")
    return _File(Path(place))


class _File:
    """A file of this user's alone: it holds a pickle."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def prepare(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # As large as a small checkpoint: an empty file can be made on a full disk.
        probe = self._path.with_name(f".{self._path.name}.probe")
        write_whole(probe, [bytes(2**16)])
        probe.unlink()

    def read(self) -> bytes | None:
        try:
            with self._path.open("rb") as file:
                # Of the open file: one that is looked at by its name could be another by then.
                about = os.fstat(file.fileno())
                content = file.read()
        except FileNotFoundError:
            return None
        if about.st_uid != os.geteuid() or about.st_mode & 0o022:
            raise ConfigError(
                f"`checkpoint`: {self._path} belongs to another user, or others may write to it: "
                "it is not read, because it could run their code here"
            )
        return content

    def write(self, parts: Sequence[bytes]) -> None:
        write_whole(self._path, parts)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


class _Object:
    """An object; who has the store's key can write it."""

    def __init__(self, store: ObjectStore, name: str) -> None:
        self._store = store
        self._name = name

    def prepare(self) -> None:
        probe = f"{self._name}.probe"
        self._store.put(probe, b"Can a checkpoint be written here?")
        self._store.delete(probe)

    def read(self) -> bytes | None:
        try:
            # No real limit: a model may be of any size, and who could write a larger one than ours
            # could write a pickle that runs code.
            return b"".join(self._store.chunks(self._name, limit=2**50))
        except FileNotFoundError:
            return None

    def write(self, parts: Sequence[bytes]) -> None:
        self._store.put(self._name, b"".join(parts))

    def remove(self) -> None:
        self._store.delete(self._name)
