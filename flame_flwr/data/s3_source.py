"""An object store as a node's data: ``s3://bucket/prefix``, every object below the prefix.

It lists to the end, reads many objects at a time, and keeps what it has read in the node's
:class:`~flame_flwr.data.cache.Cache`. An error's message names neither the store nor its key, for
it may travel; where the source is stands in the detail.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from flame_flwr.data.remote_content import joined
from flame_flwr.data.s3_files import PIECE, ChangedError, StoredObject, object_of, save_object
from flame_flwr.errors import DataError, FlameError
from flame_flwr.processes.threads import call_each, interruptibly
from flame_flwr.s3.access import Access
from flame_flwr.s3.connect import open_s3
from flame_flwr.s3.error_messages import NODE_DATA, is_store_error, problem_of
from flame_flwr.s3.location import check_url
from flame_flwr.s3.patience import BRIEF, Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from obstore import GetOptions
    from obstore.store import S3Store

    from flame_flwr.data.cache import Cache
    from flame_flwr.data.source import DataKind

__all__ = ["S3Source"]

_Taken = TypeVar("_Taken")

PATIENCE = Patience(connect=10, request=3600, retry=3600, retries=10, stalled=60)
"""For reading: a large object is one request; where it is cut, the rest is asked for."""

WORKERS = 12
"""Objects that are read at a time."""

LISTING_SECONDS = 900
"""Seconds to wait for the next objects of a listing, whatever a store sends in between."""

LISTED = 200
"""Objects that are taken from a listing at a time."""


class S3Source:
    """Every object below a prefix; its key is what follows the prefix.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix``.
    name : str
        How messages call the source.
    access : Access
        Where the store is, and the key.
    cache : Cache, optional
        Where to keep what was read.

    Attributes
    ----------
    where : str
        Which objects of which store: for the detail of errors.

    Raises
    ------
    ConfigError
        The URL cannot be.
    """

    type = "s3"

    def __init__(self, url: str, name: str, access: Access, cache: Cache | None = None) -> None:
        self.name = name
        self._bucket, self._prefix = check_url(url, f"{name}: its URL")
        self._access = access
        self._cache = cache
        self.where = f"{url} on {access.endpoint or 'Amazon S3'}"

    def check(self, kind: DataKind = "s3", keys: Sequence[str] = ()) -> None:
        """Raise :class:`DataError` if the store cannot be listed, or has nothing there."""
        import obstore

        self._check_kind(kind)
        store = self._open(BRIEF)
        with self._errors_in_words(listing=True):
            # one object shows that there are some; a prefix may have millions
            first = interruptibly(lambda: next(iter(obstore.list(store, chunk_size=1)), None), 60)
        if not first:
            raise DataError(
                f"{self.name}: the store has no object there, or what answers is a web page; check "
                "the URL's prefix and the endpoint in this node's config",
                detail=self.where,
            )

    def read(self, kind: str, keys: list[str]) -> dict[str, bytes]:
        """Read objects, in the order of their keys; no keys means every object.

        Returns
        -------
        dict
            Bytes by key.

        Raises
        ------
        DataError
            FHIR is asked for; a missing key; the store refuses or does not answer.
        """
        return self._read_each(kind, keys, lambda content: content)

    def fetch(
        self, kind: str, keys: list[str], write: Callable[[bytes], _Taken]
    ) -> dict[str, list[_Taken]]:
        """Read objects as :meth:`read` does; see :class:`~flame_flwr.data.source.RemoteSource`."""
        return self._read_each(kind, keys, lambda content: [write(content)])

    def objects(self) -> list[StoredObject]:
        """Return the objects below the prefix.

        Raises
        ------
        DataError
            There are none; the store refuses or does not answer.
        """
        return self._listed(self._open(PATIENCE))

    def save(self, objects: Sequence[StoredObject], folder: Path) -> list[Path]:
        """Return files with the contents of objects, each with the object's suffix.

        They are the cache's own where it can hold them all, and otherwise new ones in the folder.

        Raises
        ------
        DataError
            An object is gone or has changed; the disk is full; the store refuses or does not
            answer.
        """
        store = self._open(PATIENCE)
        together = sum(item.size for item in objects)
        cache = self._cache if self._cache is not None and self._cache.has_room(together) else None

        def saved(item: StoredObject) -> Path:
            with self._errors_in_words():
                return save_object(store, item, self._identity(item), cache, folder)

        try:
            return call_each(saved, objects, WORKERS)
        except (_MissingError, ChangedError):
            raise self._changed() from None

    def _identity(self, item: StoredObject) -> tuple[str, ...]:
        return self._access.endpoint, self._bucket, self._prefix, item.key, item.etag

    def _read_each(
        self, kind: str, keys: list[str], take: Callable[[bytes], _Taken]
    ) -> dict[str, _Taken]:
        """Return what `take` makes of each object's content as it arrives."""
        self._check_kind(kind)
        store = self._open(PATIENCE)
        objects = self._named(store, keys) if keys else self._listed(store)

        def taken(item: StoredObject) -> _Taken | None:
            content = self._content(store, item, asked=bool(keys))
            return None if content is None else take(content)

        found = zip(objects, call_each(taken, objects, WORKERS), strict=True)
        return {item.key: each for item, each in found if each is not None}

    def _check_kind(self, kind: str) -> None:
        if kind != "s3":
            raise DataError(
                f"{self.name} is an object store and answers no FHIR search: name a FHIR server, "
                "or a folder of bundles"
            )

    def _open(self, patience: Patience) -> S3Store:
        return open_s3(self._bucket, self._prefix, self._access, patience)

    def _listed(self, store: S3Store) -> list[StoredObject]:
        import obstore

        found: dict[str, StoredObject] = {}
        again = 0
        with self._errors_in_words(listing=True):
            stream = obstore.list(store, chunk_size=LISTED)
            while entries := interruptibly(lambda: next(stream, None), LISTING_SECONDS):
                for entry in entries:
                    item = object_of(entry["path"], entry)
                    known = found.get(item.key)
                    again += known is not None  # as where a store pages in a circle
                    found[item.key] = item if known is None else self._without_folder(known, item)
                if again > len(found):
                    raise DataError(f"{self.name}: the store's listing repeats itself without end")
        if not found:
            self.check()  # it says why
        return sorted(found.values())

    def _without_folder(self, one: StoredObject, other: StoredObject) -> StoredObject:
        """Choose between objects whose keys differ in slashes at their ends: ``a`` and ``a/``."""
        if one.size and other.size and one != other:
            raise DataError(
                f"{self.name}: two keys that the store lists differ in slashes at their ends only: "
                "rename one of the objects (this node's log has the key)",
                detail=f"{one.key} in {self.where}",
            )
        return one if one.size else other

    def _named(self, store: S3Store, keys: Sequence[str]) -> list[StoredObject]:
        import obstore

        def look(key: str) -> StoredObject | None:
            # obstore takes slashes off the ends: it would read another object than is named
            if not key.strip("/") or key != key.strip("/") or "//" in key:
                return None
            try:
                with self._errors_in_words():
                    entry = obstore.head(store, key)
            except (_MissingError, ValueError):  # a ValueError is of a key that cannot be
                return None
            return object_of(key, entry)

        wanted = list(dict.fromkeys(keys))
        try:
            found = call_each(look, wanted, WORKERS)
            missing = [key for key, item in zip(wanted, found, strict=True) if item is None]
            if missing:
                raise DataError(
                    f"{self.name} has no {', '.join(map(repr, missing))}, which the query names"
                )
        except DataError:
            self.check()  # an answer about one object does not say why: a listing's does
            raise
        return [item for item in found if item is not None]

    def _content(self, store: S3Store, item: StoredObject, *, asked: bool) -> bytes | None:
        """Return an object's content; ``None`` for what a store shows of an empty folder.

        What the cache has is handed out only where the store shows this object to this key:
        `asked` says that it has just done so. A listing does not.
        """
        import obstore

        identity = self._identity(item)
        cache = self._cache if item.etag else None
        kept = cache.get(identity, item.size) if cache is not None else None
        if kept is not None and asked:
            return kept
        # a listing shows the object to this key, and does not say that it may read it
        try:
            with self._errors_in_words():
                if kept is not None:
                    now, content = object_of(item.key, obstore.head(store, item.key)), kept
                else:
                    now, content = item, self._transferred(store, item)
        except _MissingError:
            if item.size == 0:
                return None
            raise DataError(
                f"{self.name}: an object that the store lists is not there: it was removed just "
                "now, or its key begins or ends in a slash (this node's log has the key)",
                detail=f"{item.key} in {self.where}",
            ) from None
        except (MemoryError, OverflowError):
            raise DataError(
                f"{self.name}: an object is larger than this node's memory",
                detail=f"{item.key}, {item.size} bytes, in {self.where}",
            ) from None
        # the store's word counts for nothing in a cut answer: the size is looked at too
        if now != item or len(content) != item.size:
            raise self._changed()
        if cache is not None and kept is None:
            cache.put(identity, content)
        return content

    def _transferred(self, store: S3Store, item: StoredObject) -> bytes:
        """Read an object; where the connection was cut, see whether the object has changed."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            return _transfer(store, item)
        except BaseError as error:
            if (
                problem_of(error).kind == "slow"
                and object_of(item.key, obstore.head(store, item.key)) != item
            ):
                raise self._changed() from None
            raise

    def _changed(self) -> DataError:
        return DataError(f"{self.name}: an object changed while it was read; run it again")

    @contextmanager
    def _errors_in_words(self, *, listing: bool = False) -> Iterator[None]:
        """Say in words what a store's error means; its own words may hold anything."""
        from obstore.exceptions import PreconditionError

        started = time.monotonic()
        try:
            yield
        except FlameError:
            raise
        except PreconditionError:
            raise self._changed() from None
        except BaseException as error:  # a panic of obstore's is no Exception
            if not is_store_error(error):
                raise
            problem = problem_of(error)
            if problem.kind == "missing" and not listing:
                raise _MissingError from None
            why = problem.message(NODE_DATA, seconds=time.monotonic() - started)
            where = self.where
            if problem.kind == "key":
                why = f"{why} (this node's log has the key)"
                key = str(error).partition("\n\n")[0]  # obstore's debug text comes behind it
                where = f"{where}: {key}"
            raise DataError(f"{self.name}: {why}", detail=where) from None


class _MissingError(Exception):
    """There is no such object; or, of a store that does not say which, no such bucket."""


def _transfer(store: S3Store, item: StoredObject) -> bytes:
    """Read an object; a large one piece by piece, into memory that is there once."""
    import obstore

    same: GetOptions = {"if_match": f'"{item.etag}"'} if item.etag and item.size else {}
    answer = obstore.get(store, item.key, options=same)
    if item.size <= PIECE:
        return bytes(answer.bytes())
    return joined(answer.stream(PIECE), item.size)
