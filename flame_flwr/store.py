"""Object stores, ``s3://bucket/prefix``: checked URLs, bounded waits, errors in words.

Credentials and the server's address come from the environment (``AWS_ACCESS_KEY_ID``,
``AWS_SECRET_ACCESS_KEY``, ``AWS_ENDPOINT_URL``, ``AWS_REGION``, ``AWS_CA_BUNDLE``), never from a
URL. A folder can be read the same way. Not for writing into a folder: that is ``results.folder``.
"""

from __future__ import annotations

import os
import re
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from flame_flwr.errors import ConfigError, FlameError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from obstore.store import ClientConfig, LocalStore, RetryConfig, S3Store

__all__ = ["BRIEF", "LONG", "Patience", "Store", "check_url", "is_url", "open_store"]

_T = TypeVar("_T")

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f%\\]")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_OTHER_CREDENTIALS = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a store.

    Parameters
    ----------
    connect : float
        Seconds for a connection.
    request : float
        Seconds for one request; a file goes in requests of 5 MB.
    retry : float
        Seconds after which a request is not tried again.
    retries : int
        How often a request is tried again.
    """

    connect: float
    request: float
    retry: float
    retries: int

    def options(self) -> ClientConfig:
        """Return obstore's ``client_options``."""
        return {
            "connect_timeout": timedelta(seconds=self.connect),
            "timeout": timedelta(seconds=self.request),
        }

    def retry_config(self) -> RetryConfig:
        """Return obstore's ``retry_config``."""
        return {
            "max_retries": self.retries,
            "retry_timeout": timedelta(seconds=self.retry),
            "backoff": {
                "init_backoff": timedelta(seconds=0.2),
                "max_backoff": timedelta(seconds=5),
                "base": 2,
            },
        }


BRIEF = Patience(connect=5, request=20, retry=15, retries=3)
"""Where somebody waits for the answer: at the start of a run, after its failure, in a terminal."""

LONG = Patience(connect=10, request=120, retry=120, retries=1000)
"""Where a result would be lost: a store may restart within the two minutes."""


def is_url(place: str) -> bool:
    """Tell whether a place is a URL and not a path."""
    return "://" in place


def check_url(url: str, what: str) -> tuple[str, str]:
    """Check the URL of an object store and return its bucket and prefix.

    Parameters
    ----------
    url : str
        Whatever was given.
    what : str
        What it is, for the message, such as ```results` in the run config``.

    Raises
    ------
    ConfigError
        It is not ``s3://bucket/prefix``. What may hold a password is not in the message.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if set("@?#") & set(rest) or ":" in bucket or (scheme != "s3" and ":" in rest):
        raise ConfigError(
            f"{what} must hold no user, password, port or keys: credentials come from "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, the server's address "
            "from AWS_ENDPOINT_URL"
        )
    if scheme != "s3":
        raise ConfigError(
            f"{what} must be an absolute path or a URL such as s3://bucket/prefix, not {url}"
        )
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError(f"{what} names no bucket: it must be a URL such as s3://bucket/prefix")
    parts = prefix.rstrip("/").split("/") if prefix.strip("/") else []
    if any(part in ("", ".", "..") or _FORBIDDEN.search(part) for part in parts):
        raise ConfigError(
            f"{what} must be a URL such as s3://bucket/prefix, without empty parts, `.`, `..`, "
            "`%` or `\\`"
        )
    return bucket, "/".join(parts)


def open_store(place: str, patience: Patience, *, what: str = "the URL") -> Store:
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
        return Store(LocalStore(folder), str(folder), "", "")
    from obstore.store import S3Store

    bucket, prefix = check_url(place, what)
    endpoint = _endpoint(os.environ)
    _check_credentials(os.environ, what)
    options = patience.options()
    options["allow_http"] = endpoint.startswith("http://")
    if certificates := os.environ.get("AWS_CA_BUNDLE"):
        options["root_certificate"] = _certificates(certificates)
    store = S3Store(
        bucket,
        prefix=prefix or None,
        config={"endpoint": endpoint} if endpoint else {},
        client_options=options,
        retry_config=patience.retry_config(),
    )
    return Store(store, place.rstrip("/"), bucket, endpoint)


class Store:
    """An object store or a folder, below one prefix: made by :func:`open_store`.

    Attributes
    ----------
    place : str
        Its URL or path, without a slash at the end.
    """

    def __init__(self, store: S3Store | LocalStore, place: str, bucket: str, endpoint: str) -> None:
        self.place = place
        self._store = store
        self._bucket = bucket
        self._endpoint = endpoint or "Amazon S3 (AWS_ENDPOINT_URL is not set)"

    def put(self, name: str, content: Path | bytes) -> None:
        """Write an object: a file's content, or bytes. It is complete or absent.

        Raises
        ------
        StoreError
            It could not be written; the message has cause and mend.
        """
        import obstore

        with self._asking(f"{self.place}/{name} could not be written"):
            _interruptibly(lambda: obstore.put(self._store, name, content))

    def delete(self, name: str) -> None:
        """Remove an object."""
        import obstore

        with self._asking(f"{self.place}/{name} could not be removed"):
            _interruptibly(lambda: obstore.delete(self._store, name))

    def folders(self) -> list[str]:
        """Return the names of the folders right below."""
        import obstore

        with self._asking(f"{self.place} could not be listed"):
            found = _interruptibly(lambda: obstore.list_with_delimiter(self._store))
        return [str(prefix).rstrip("/") for prefix in found["common_prefixes"]]

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the objects below a folder, with their sizes in bytes."""
        import obstore

        with self._asking(f"{self.place}/{folder} could not be listed"):
            entries = _interruptibly(lambda: obstore.list(self._store, folder).collect())
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
        with self._asking(f"{self.place}/{name} could not be read", missing=True):
            stream = _interruptibly(lambda: obstore.get(self._store, name).stream(2**20))
            while (chunk := _interruptibly(lambda: next(stream, None))) is not None:
                piece = bytes(chunk)
                seen += len(piece)
                yield piece
                if seen > limit:
                    return

    @contextmanager
    def _asking(self, what: str, *, missing: bool = False) -> Iterator[None]:
        """Say in words what a store's error means; let a missing object through if `missing`."""
        from obstore.exceptions import BaseError

        started = time.monotonic()
        try:
            yield
        except FlameError:
            raise
        except FileNotFoundError as error:
            if missing and "NoSuchBucket" not in str(error):
                raise FileNotFoundError(what) from None
            raise StoreError(f"{what}: {self._why(str(error), started)}") from None
        except (BaseError, OSError, ValueError) as error:
            raise StoreError(f"{what}: {self._why(str(error), started)}") from None

    def _why(self, text: str, started: float) -> str:
        """Return cause and mend. The store's own text stays out: it may hold anything."""
        found = re.search(r"status code: (\d{3})", text)
        code = re.search(r"<Code>([A-Za-z]{1,60})</Code>", text)
        status = found.group(1) if found else ""
        answer = " ".join(filter(None, [status, code.group(1) if code else ""]))
        if not self._bucket:
            return "the file is not there or cannot be read"
        if "Could not parse path" in text:
            return "the name cannot be an object's"
        if status in ("401", "403"):
            return (
                f"access denied ({answer}): AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY in the "
                "environment is wrong, or this key may not do it"
            )
        if status == "404":
            return (
                f"not there ({answer}): is there a bucket {self._bucket} on {self._endpoint}? "
                "Have it made, or mend the URL"
            )
        if status in ("301", "307"):
            return f"the bucket is in another region ({answer}): set AWS_REGION"
        if status:
            return (
                f"the store answered {answer}; its own log says why (is its disk full or "
                "read-only?)"
            )
        if re.search(r"certificate|UnknownIssuer|InvalidContentType|handshake", text, re.I):
            return (
                f"no trusted TLS connection to {self._endpoint}: is it https://, and does "
                "AWS_CA_BUNDLE name the certificate of its CA?"
            )
        return (
            f"no answer from {self._endpoint} within {time.monotonic() - started:.0f} s: is it "
            "running, and is AWS_ENDPOINT_URL right?"
        )


def _interruptibly(call: Callable[[], _T]) -> _T:
    """Wait for a call so that Ctrl-C ends the wait: the library's own does not notice it."""
    answer: Future[_T] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return answer.result()


def _endpoint(environment: Mapping[str, str]) -> str:
    """Return the store's address, checked; empty for Amazon's own."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    name = next((name for name in names if environment.get(name)), "")
    endpoint = environment.get(name, "").rstrip("/")
    if not endpoint:
        return ""
    try:
        parts = urlsplit(endpoint)
        host, odd = parts.hostname, bool(parts.username or parts.query or parts.fragment)
        _ = parts.port
    except ValueError:
        host, odd = None, True
    if odd or not host or parts.scheme not in ("http", "https"):
        raise ConfigError(
            f"{name} in the environment must be a URL such as https://store.example.org:9000, "
            "without user and password"
        )
    allowed = environment.get("AWS_ALLOW_HTTP", "").lower() in ("true", "1")
    if parts.scheme == "http" and host not in _LOOPBACK and not allowed:
        raise ConfigError(
            f"{name} in the environment is http://, so everybody on the way could read the "
            "results: use https://, or set AWS_ALLOW_HTTP=true where the network is trusted"
        )
    return endpoint


def _check_credentials(environment: Mapping[str, str], what: str) -> None:
    """Refuse a missing key at once: the library would look for one on the network."""
    if environment.get("AWS_SKIP_SIGNATURE", "").lower() in ("true", "1"):
        return
    if any(environment.get(name) for name in _OTHER_CREDENTIALS):
        return
    needed = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    missing = [name for name in needed if not environment.get(name)]
    if missing:
        raise ConfigError(
            f"{what} names an object store, and there is no key for it: set "
            f"{' and '.join(missing)} in the environment (of the SuperLink, where a run writes "
            "there; a running SuperLink must be started again)"
        )


def _certificates(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"AWS_CA_BUNDLE in the environment names a file that cannot be read: {path} "
            f"({error.strerror})"
        ) from None
