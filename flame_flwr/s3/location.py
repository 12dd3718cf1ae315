"""Checks the URLs of buckets and servers of S3-compatible stores."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from flame_flwr.errors import ConfigError
from flame_flwr.text.hosts import is_loopback

__all__ = ["check_endpoint", "check_url", "is_ip_address", "is_url"]

_ENDPOINT = re.compile(
    r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?"
)
_LIKE_AN_ADDRESS = re.compile(r"(.*\.)?([0-9]+|0[xX][0-9A-Fa-f]*)")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f%\\]")


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

    Examples
    --------
    >>> check_url("s3://long-covid/2026/results/", "`results` in the run config")
    ('long-covid', '2026/results')
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
        It is not a URL, has a password in it, or is http:// where that is not allowed.
    """
    endpoint = endpoint.rstrip("/")
    if not endpoint:
        return ""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
        # the text itself: urlsplit takes line ends and tabs out of it, and says nothing
        odd = not _ENDPOINT.fullmatch(endpoint) or port == 0
        if is_ip_address(host):
            ip_address(host)  # a ValueError for what looks like one and is none, such as 10.1
    except ValueError:
        odd = True
    if odd:
        raise ConfigError(
            f"{what} must be a URL such as https://store.example.org:9000, without user and "
            "password"
        )
    if parts.scheme == "http" and not is_loopback(host) and not allow_http:
        raise ConfigError(
            f"{what} is http://, so everybody on the way could read along: use https://, or "
            f"{mend} where the network is trusted"
        )
    return endpoint


def is_ip_address(host: str) -> bool:
    """Tell whether a host would be read as an IP address, also as one that cannot be.

    By the rule of https://url.spec.whatwg.org/#ends-in-a-number-checker, which obstore has.
    """
    return ":" in host or bool(_LIKE_AN_ADDRESS.fullmatch(host))
