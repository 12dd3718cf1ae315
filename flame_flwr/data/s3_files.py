"""Objects of a store as files on the node's disk: written piece by piece, whatever their size."""

from __future__ import annotations

import os
import secrets
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from flame_flwr.errors import DataError
from flame_flwr.files import os_errors_as

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obstore import GetOptions, ObjectMeta
    from obstore.store import S3Store

    from flame_flwr.data.cache import Cache

__all__ = ["ChangedError", "StoredObject", "object_of", "save_object"]

PIECE = 8 * 2**20
"""Bytes that are in memory at a time."""


class StoredObject(NamedTuple):
    """One object, as the store lists it.

    Attributes
    ----------
    key : str
        What follows the prefix.
    size : int
        Its bytes.
    etag : str
        Changes with its content; '' where the store does not say.
    """

    key: str
    size: int
    etag: str


class ChangedError(Exception):
    """An object is not what the store has listed."""


def object_of(key: str, entry: ObjectMeta) -> StoredObject:
    """Return what a listing, or a single answer, says of an object; its ETag without quotes.

    An ETag that cannot stand in a request is none.
    """
    etag = (entry["e_tag"] or "").strip('"')
    return StoredObject(key, entry["size"], etag if etag.isprintable() else "")


def save_object(
    store: S3Store, item: StoredObject, identity: Sequence[str], cache: Cache | None, folder: Path
) -> Path:
    """Return a file with an object's content; its suffix is the object's.

    Parameters
    ----------
    store : S3Store
        Where it is. It is asked for an object that the cache has, too: a key that was withdrawn
        reads nothing.
    item : StoredObject
        The object.
    identity : sequence of str
        What tells it, and its present content, from all others.
    cache : Cache or None
        Where the file is kept for later readings, and may be already.
    folder : Path
        Where it goes without a cache, or where the store gives no ETag to know its content by.

    Raises
    ------
    ChangedError
        The object has changed.
    DataError
        It cannot be written to the disk.
    """
    import obstore

    suffix = PurePosixPath(item.key).suffix
    # without an ETag, an object that has changed would be taken for the one that is kept
    kept = cache if item.etag else None
    if kept is not None and (path := kept.file(identity, item.size, suffix)) is not None:
        if object_of(item.key, obstore.head(store, item.key)) != item:
            raise ChangedError
        return path
    place = folder if kept is None else kept.folder
    # by this name the cache knows, and removes, what a process left that was killed meanwhile
    path = place / f".part-{secrets.token_hex(16)}{suffix}"
    try:
        _write(store, item, path)
        return path if kept is None else kept.take(identity, path, item.size, suffix)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write(store: S3Store, item: StoredObject, path: Path) -> None:
    import obstore

    same: GetOptions = {"if_match": f'"{item.etag}"'} if item.etag and item.size else {}
    pieces = obstore.get(store, item.key, options=same).stream(PIECE)
    size = 0
    how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _on_disk():
        handle = os.open(path, how, 0o600)
    with os.fdopen(handle, "wb", buffering=0) as file:
        for piece in pieces:
            size += len(piece)
            with _on_disk():
                file.write(piece)
    if size != item.size:  # the store's word counts for nothing in a cut answer
        raise ChangedError


def _on_disk() -> AbstractContextManager[None]:
    return os_errors_as(
        DataError,
        "the node cannot keep an object of the store",
        "set `cache-dir` in its config to a folder on a disk with room for it",
    )
