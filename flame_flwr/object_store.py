"""Object stores, ``s3://bucket/prefix``: checked URLs, bounded waits, errors in words.

Credentials and the server's address come from the environment (``AWS_ACCESS_KEY_ID``,
``AWS_SECRET_ACCESS_KEY``, ``AWS_ENDPOINT_URL``, ``AWS_REGION``, ``AWS_CA_BUNDLE``), never from a
URL; a node's data sources bring an :class:`Access` of their own. A folder can be read the same
way. Not for writing into a folder: that is ``results.folder``.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.errors import FlameError, StoreError
from flame_flwr.processes.threads import interruptibly
from flame_flwr.s3.access import Access, check_credentials
from flame_flwr.s3.connect import open_s3
from flame_flwr.s3.error_messages import is_store_error, problem_of, results_at
from flame_flwr.s3.location import check_url, is_url
from flame_flwr.s3.patience import BRIEF, LONG, Patience

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import LocalStore, S3Store

__all__ = ["BRIEF", "LONG", "ObjectStore", "Patience", "check_url", "is_url", "open_store"]


_OF_THE_SUPERLINK = (
    "of the SuperLink, where a run writes there; a running SuperLink must be started again"
)


def open_store(place: str, patience: Patience, *, what: str = "the URL") -> ObjectStore:
    """Open an object store, or a folder for reading; nothing is asked of a store yet.

    Parameters
    ----------
    place : str
        ``s3://bucket/prefix`` or a folder's path.
    patience : Patience
        How long to wait for it.
    what : str
        What `place` is, for messages.

    Raises
    ------
    ConfigError
        The URL or the environment cannot be.
    StoreError
        There is no such folder.
    """
    if not is_url(place):
        from obstore.store import LocalStore

        folder = Path(place).expanduser().absolute()
        if not folder.is_dir():
            raise StoreError(f"there is no folder {folder}")
        return ObjectStore(LocalStore(folder), str(folder), "", Access())
    bucket, prefix = check_url(place, what)
    check_credentials(os.environ, what, _OF_THE_SUPERLINK)
    access = Access.from_environment(os.environ)
    return ObjectStore(open_s3(bucket, prefix, access, patience), place.rstrip("/"), bucket, access)


class ObjectStore:
    """An object store or a folder, below one prefix: made by :func:`open_store`.

    Attributes
    ----------
    place : str
        Its URL or path, without a slash at the end.
    """

    def __init__(
        self, store: S3Store | LocalStore, place: str, bucket: str, access: Access
    ) -> None:
        self.place = place
        self._store = store
        self._bucket = bucket
        endpoint = access.endpoint or "Amazon S3 (AWS_ENDPOINT_URL is not set)"
        self._named = results_at(endpoint)

    def put(self, name: str, content: Path | bytes) -> None:
        """Write an object: a file's content, or bytes. It is complete or absent.

        Raises
        ------
        StoreError
            It could not be written; the message has cause and mend.
        """
        import obstore

        with self._errors_in_words(f"{self.place}/{name} could not be written"):
            interruptibly(lambda: obstore.put(self._store, name, content))

    def delete(self, name: str) -> None:
        """Remove an object."""
        import obstore

        with self._errors_in_words(f"{self.place}/{name} could not be removed"):
            interruptibly(lambda: obstore.delete(self._store, name))

    def folders(self) -> list[str]:
        """Return the names of the folders right below."""
        import obstore

        with self._errors_in_words(f"{self.place} could not be listed"):
            found = interruptibly(lambda: obstore.list_with_delimiter(self._store))
        return [str(prefix).rstrip("/") for prefix in found["common_prefixes"]]

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the objects below a folder, with their sizes in bytes."""
        import obstore

        with self._errors_in_words(f"{self.place}/{folder} could not be listed"):
            entries = interruptibly(lambda: obstore.list(self._store, folder).collect())
        return {entry["path"]: entry["size"] for entry in entries}

    def chunks(self, name: str, limit: int) -> Iterator[bytes]:
        """Yield an object's content in pieces, no more than `limit` bytes of it and one piece.

        Raises
        ------
        FileNotFoundError
            There is no such object.
        StoreError
            It could not be read.
        """
        import obstore

        seen = 0
        with self._errors_in_words(f"{self.place}/{name} could not be read", missing=True):
            stream = interruptibly(lambda: obstore.get(self._store, name).stream(2**20))
            while (chunk := interruptibly(lambda: next(stream, None))) is not None:
                piece = bytes(chunk)
                seen += len(piece)
                yield piece
                if seen > limit:
                    return

    @contextmanager
    def _errors_in_words(self, what: str, *, missing: bool = False) -> Iterator[None]:
        """Say in words what a store's error means; let a missing object through if `missing`."""
        started = time.monotonic()
        try:
            yield
        except FlameError:
            raise
        except FileNotFoundError as error:
            # of a bucket that is not there, stores say 404 as well
            if missing and "NoSuchBucket" not in str(error):
                raise FileNotFoundError(what) from None
            raise StoreError(f"{what}: {self._why(error, started)}") from None
        except BaseException as error:  # a panic of obstore's is no Exception
            if not (is_store_error(error) or isinstance(error, ValueError)):
                raise
            raise StoreError(f"{what}: {self._why(error, started)}") from None

    def _why(self, error: BaseException, started: float) -> str:
        """Return cause and mend."""
        if not self._bucket:
            return "the file is not there or cannot be read"
        return problem_of(error).message(self._named, seconds=time.monotonic() - started)
