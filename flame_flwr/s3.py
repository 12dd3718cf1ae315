"""S3-compatible stores: where one is, the key to it, how long to wait, what its errors mean.

Used by :mod:`flame_flwr.store` for results and by :mod:`flame_flwr.data` for a node's data; it
reads and writes nothing itself.
"""

from __future__ import annotations

import codecs
import os
import re
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import urlsplit

from flame_flwr.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Credential, S3Store

__all__ = [
    "BRIEF",
    "ENVIRONMENT",
    "LONG",
    "Access",
    "Answer",
    "Patience",
    "check_credentials",
    "check_endpoint",
    "check_url",
    "classify",
    "interruptibly",
    "is_panic",
    "is_url",
    "open_s3",
    "read_certificates",
]

_T = TypeVar("_T")

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f%\\]")
_ENDPOINT = re.compile(
    r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?"
)
_LIKE_AN_ADDRESS = re.compile(r"(.*\.)?([0-9]+|0[xX][0-9A-Fa-f]*)")
_IN_A_HEADER = re.compile(r"[!-~]*")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
ENVIRONMENT = {
    "endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "addressing": ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST",),
    "ca-file": ("AWS_CA_BUNDLE",),
    "key-id": ("AWS_SKIP_SIGNATURE",),
}
"""The variables that say the same as a registry's key; the first that is set counts."""

_REGION = "us-east-1"
_NOWHERE = "127.0.0.1:0"
"""An address that nothing can listen at."""

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
    stalled : float
        Seconds without a byte after which a request has failed; 0 leaves it to `request`.
    """

    connect: float
    request: float
    retry: float
    retries: int
    stalled: float = 0

    def options(self) -> ClientConfig:
        """Return obstore's ``client_options``."""
        options: ClientConfig = {
            "connect_timeout": timedelta(seconds=self.connect),
            "timeout": timedelta(seconds=self.request),
        }
        if self.stalled:
            options["read_timeout"] = timedelta(seconds=self.stalled)
        return options

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


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach an S3 store, and with which key.

    Parameters
    ----------
    endpoint : str
        Its URL; empty for Amazon's own.
    key_id, secret : str
        The key; empty leaves it to the ``AWS_`` variables in the environment.
    region : str
        Empty for Amazon's first.
    virtual_host : bool
        Whether the bucket stands in the host's name (``bucket.host``) and not in the path.
    certificates : bytes, optional
        Those of the CA that is to be trusted besides the system's, as PEM.
    unsigned : bool
        Whether to ask without any key, for a public bucket.
    """

    endpoint: str = ""
    key_id: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    region: str = ""
    virtual_host: bool = False
    certificates: bytes | None = field(default=None, repr=False)
    unsigned: bool = False

    def __post_init__(self) -> None:
        """Refuse what the library would end this process for, and not say why."""
        for what, text in (("key id", self.key_id), ("region", self.region)):
            if not _IN_A_HEADER.fullmatch(text):
                raise ConfigError(
                    f"the {what} of an object store must be one word, without spaces, line ends "
                    "and umlauts: look where it comes from"
                )
        if self.virtual_host and _is_address(urlsplit(self.endpoint).hostname or ""):
            raise ConfigError(
                "an object store's endpoint is an IP address, and the bucket is to stand before "
                'it: name a host, or set addressing = "path" (in the environment, '
                "AWS_VIRTUAL_HOSTED_STYLE_REQUEST=false)"
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Access:
        """Return what the ``AWS_`` variables say; the key itself the library reads there.

        Raises
        ------
        ConfigError
            The address or the certificates' file cannot be.
        """
        certificates = environment.get("AWS_CA_BUNDLE")
        return cls(
            endpoint=_endpoint(environment),
            region=_first("region", environment)[1],
            unsigned=_is_true(environment.get("AWS_SKIP_SIGNATURE")),
            virtual_host=_is_true(environment.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST")),
            certificates=(
                read_certificates(certificates, "AWS_CA_BUNDLE in the environment")
                if certificates
                else None
            ),
        )


def open_s3(bucket: str, prefix: str, access: Access, patience: Patience) -> S3Store:
    """Return obstore's store for a bucket; nothing is asked of it yet.

    Parameters
    ----------
    bucket, prefix : str
        As :func:`check_url` returns them.
    access : Access
        Where it is, and the key.
    patience : Patience
        How long to wait for it.
    """
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    config = _config(bucket, access)
    options = patience.options()
    options["allow_http"] = access.endpoint.startswith("http://")
    options.update(_staying_at(config["endpoint"], access, os.environ))
    if access.certificates:
        options["root_certificate"] = access.certificates
    try:
        return S3Store(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options=options,
            retry_config=patience.retry_config(),
            credential_provider=_Key(access.key_id, access.secret) if access.key_id else None,
        )
    except (BaseError, ValueError) as error:
        raise ConfigError(
            "an object store cannot be set up: an `AWS_` variable in the environment, or the "
            "certificate of its CA, has a wrong value",
            detail=str(error).partition("\n")[0],
        ) from None


def _config(bucket: str, access: Access) -> S3Config:
    """Return all that says which store is asked and how: the library reads the rest itself.

    It reads ``AWS_`` variables for every key that is missing here, so none of these may be.
    """
    region = access.region or _REGION
    server = access.endpoint or f"https://s3.{region}.amazonaws.com"
    endpoint = _with_bucket(server, bucket, access.virtual_host)
    return {
        "endpoint": endpoint,
        "aws_endpoint_url_s3": endpoint,
        "virtual_hosted_style_request": access.virtual_host,
        "region": region,
        "skip_signature": access.unsigned and not access.key_id,
        "s3_express": False,
    }


def _staying_at(endpoint: str, access: Access, environment: Mapping[str, str]) -> ClientConfig:
    """Return options that let no redirect lead to another host; the library follows every one.

    All other hosts are behind a proxy that does not exist. This cannot be where a real one stands
    before the store, nor where the library asks other hosts for the key.
    """
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    known = access.key_id or access.unsigned or environment.get("AWS_ACCESS_KEY_ID")
    proxies = getproxies()
    proxied = proxies.get(parts.scheme) or proxies.get("all")
    if not known or (proxied and not proxy_bypass(host)):
        return {}
    return {"proxy_url": f"http://{_NOWHERE}", "proxy_excludes": host}


class _Key:
    """A key as obstore asks for it; unlike one in its config, the store's text cannot show it."""

    def __init__(self, key_id: str, secret: str) -> None:
        self._credential: S3Credential = {
            "access_key_id": key_id,
            "secret_access_key": secret,
            "token": None,
            "expires_at": None,
        }

    def __call__(self) -> S3Credential:
        return self._credential


Cause = Literal[
    "name",
    "secret",
    "key",
    "clock",
    "denied",
    "bucket",
    "missing",
    "region",
    "elsewhere",
    "answer",
    "changed",
    "odd",
    "garbled",
    "broken",
    "cut",
    "endless",
    "tls",
    "silent",
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store's error means.

    Parameters
    ----------
    cause : str
        ``name``: it cannot be an object's; ``secret``, ``key``: which half of the key is wrong;
        ``clock``: this machine's; ``denied``: the key may not do it; ``bucket``, ``missing``:
        there is no such bucket, or no such object; ``region``: another one; ``elsewhere``: a
        redirect to another host, which was not followed; ``changed``: another state of the object;
        ``answer``: another status; ``odd``: a listed key that the library cannot read;
        ``garbled``: no answer of an S3 store; ``broken``: the library failed at it; ``cut``: the
        connection, for good; ``endless``: waited for in vain; ``tls``: no trusted connection;
        ``silent``: none at all.
    words : str
        Status and code as the store gave them, such as ``403 AccessDenied``.
    """

    cause: Cause
    words: str = ""


_CAUSES: dict[str, Cause] = {
    "SignatureDoesNotMatch": "secret",
    "InvalidAccessKeyId": "key",
    "RequestTimeTooSkewed": "clock",
    "NoSuchBucket": "bucket",
    "401": "denied",
    "403": "denied",
    "404": "missing",
    "412": "changed",
    "AuthorizationHeaderMalformed": "region",
    "301": "region",
    "307": "region",
}


_REASONS: tuple[tuple[str, Cause], ...] = (
    (rf"\s{re.escape(_NOWHERE)},", "elsewhere"),
    ("BareRedirect", "region"),
    ("InvalidPath {", "odd"),
    (r"InvalidListResponse|source: Header \{|hyper::Error\(\s*Parse", "garbled"),
    ("(?i)certificate|UnknownIssuer|InvalidContentType|handshake", "tls"),
    ("kind: Interrupted", "cut"),
)


def classify(error: BaseException) -> Answer:
    """Tell what an error of obstore's means. Its text stays out: it may hold anything."""
    text = str(error)
    if is_panic(error):
        return Answer("broken")
    status = re.search(r"status code: (\d{3})", text)
    code = re.search(r"<Code>([A-Za-z]{1,60})</Code>", text)
    found = [match.group(1) for match in (status, code) if match]
    if "Could not parse path" in text:
        return Answer("name")
    if status:
        known = [_CAUSES[each] for each in reversed(found) if each in _CAUSES]
        return Answer(known[0] if known else "answer", " ".join(found))
    if isinstance(error, TimeoutError):
        return Answer("endless")
    if isinstance(error, OSError):
        return Answer("silent")
    reason = text.rpartition("inner:")[2]  # before it stand addresses and keys
    otherwise: Cause = "silent" if "HTTP error" in text else "garbled"
    return Answer(next((why for how, why in _REASONS if re.search(how, reason)), otherwise))


def interruptibly(call: Callable[[], _T], seconds: float | None = None) -> _T:
    """Wait for a call so that Ctrl-C ends the wait: the library's own does not notice it.

    Parameters
    ----------
    call : callable
        Its own waits should be bounded.
    seconds : float, optional
        How long to wait where they are not.

    Raises
    ------
    TimeoutError
        It has not ended.
    """
    answer: Future[_T] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return answer.result(seconds)


def _first(key: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the variable that says this, and what it says; of none, empty texts."""
    name = next((name for name in ENVIRONMENT[key] if environment.get(name)), "")
    return name, environment.get(name, "")


def _endpoint(environment: Mapping[str, str]) -> str:
    """Return the store's address, checked; empty for Amazon's own."""
    name, endpoint = _first("endpoint", environment)
    allowed = _is_true(environment.get("AWS_ALLOW_HTTP"))
    return check_endpoint(
        endpoint, f"{name} in the environment", allowed, "set AWS_ALLOW_HTTP=true"
    )


def check_endpoint(endpoint: str, what: str, allow_http: bool, mend: str) -> str:
    """Return a store's address without a slash at its end; empty stays empty.

    Parameters
    ----------
    endpoint : str
        Whatever was given.
    what : str
        What it is, for messages.
    allow_http : bool
        Whether it may be http:// to another machine.
    mend : str
        How to allow it.

    Raises
    ------
    ConfigError
        It is no URL, has a password in it, or everybody could read along.
    """
    endpoint = endpoint.rstrip("/")
    if not endpoint:
        return ""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
        odd = not _ENDPOINT.fullmatch(endpoint) or port == 0
        if _is_address(host):
            ip_address(host)
    except ValueError:
        odd = True
    if odd:
        raise ConfigError(
            f"{what} must be a URL such as https://store.example.org:9000, without user and "
            "password"
        )
    if parts.scheme == "http" and host not in _LOOPBACK and not allow_http:
        raise ConfigError(
            f"{what} is http://, so everybody on the way could read along: use https://, or "
            f"{mend} where the network is trusted"
        )
    return endpoint


def _with_bucket(endpoint: str, bucket: str, virtual_host: bool) -> str:
    """Put the bucket before the host where it belongs there; the library wants it so."""
    scheme, _, host = endpoint.partition("://")
    if not virtual_host or host.startswith(f"{bucket}."):
        return endpoint
    return f"{scheme}://{bucket}.{host}"


def _is_address(host: str) -> bool:
    """Tell whether a host would be read as an IP address, also as one that cannot be."""
    return ":" in host or bool(_LIKE_AN_ADDRESS.fullmatch(host))


def _is_true(text: str | None) -> bool:
    return (text or "").lower() in ("true", "1")


def check_credentials(environment: Mapping[str, str], what: str, whose: str) -> None:
    """Refuse a missing key at once: the library would look for one on the network.

    Parameters
    ----------
    environment : mapping
        Of this process.
    what : str
        What names the store, for the message.
    whose : str
        Whose environment must have the key, for the message.

    Raises
    ------
    ConfigError
        There is none, or one that cannot be.
    """
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"):
        if not _IN_A_HEADER.fullmatch(environment.get(name, "")):
            raise ConfigError(
                f"{name} in the environment ({whose}) must be one word, without spaces, line ends "
                "and umlauts"
            )
    if _is_true(environment.get("AWS_SKIP_SIGNATURE")):
        return
    if any(environment.get(name) for name in _OTHER_CREDENTIALS):
        return
    needed = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    missing = [name for name in needed if not environment.get(name)]
    if missing:
        raise ConfigError(
            f"{what} names an object store, and there is no key for it: set "
            f"{' and '.join(missing)} in the environment ({whose})"
        )


def read_certificates(path: str, what: str) -> bytes:
    """Read a CA's certificates; `what` names the file in the error."""
    try:
        certificates = Path(path).read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise ConfigError(
            f"{what} names a file that cannot be read: {path} ({error.strerror})"
        ) from None
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            cadata=certificates.decode("ascii", "ignore")
        )
    except (ssl.SSLError, ValueError):
        raise ConfigError(
            f"{what} names a file that has no certificates in it, or others than PEM's", detail=path
        ) from None
    return certificates


def is_panic(error: BaseException) -> bool:
    """Tell whether an error is one that the library did not mean to raise."""
    return type(error).__name__ == "PanicException"
