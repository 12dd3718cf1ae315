"""Reads the address and the key of an S3-compatible store from the environment, and checks them."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flame_flwr.errors import ConfigError
from flame_flwr.files import os_errors_as
from flame_flwr.s3.location import check_endpoint, is_ip_address

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = [
    "ENVIRONMENT",
    "NOWHERE",
    "REGION",
    "Access",
    "check_credentials",
    "read_certificates",
]

_IN_A_HEADER = re.compile(r"[!-~]*")
ENVIRONMENT = {
    "endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "addressing": ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST",),
    "ca-file": ("AWS_CA_BUNDLE",),
    "key-id": ("AWS_SKIP_SIGNATURE",),
}
"""The variables that say the same as a registry's key; the first that is set counts."""

REGION = "us-east-1"
NOWHERE = "127.0.0.1:0"
"""An address that nothing can listen at."""

_OTHER_CREDENTIALS = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


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

    Examples
    --------
    >>> access = Access("https://store.example.org:9000", "KEY", "secret", region="eu-1")
    >>> "secret" in repr(access)
    False
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
        if self.virtual_host and is_ip_address(urlsplit(self.endpoint).hostname or ""):
            raise ConfigError(
                "an object store's endpoint is an IP address, and the bucket is to stand before "
                'it: name a host, or set addressing = "path" (in the environment, '
                "AWS_VIRTUAL_HOSTED_STYLE_REQUEST=false)"
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Access:
        """Return what the ``AWS_`` variables say, but for the key: obstore reads that itself.

        Raises
        ------
        ConfigError
            The address is wrong, or the file of certificates.
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


def _first(key: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the first variable for this that is set, and its value; else two empty texts."""
    name = next((name for name in ENVIRONMENT[key] if environment.get(name)), "")
    return name, environment.get(name, "")


def _endpoint(environment: Mapping[str, str]) -> str:
    """Return the store's address, checked; empty for Amazon's own."""
    name, endpoint = _first("endpoint", environment)
    allowed = _is_true(environment.get("AWS_ALLOW_HTTP"))
    return check_endpoint(
        endpoint, f"{name} in the environment", allowed, "set AWS_ALLOW_HTTP=true"
    )


def _is_true(text: str | None) -> bool:
    return (text or "").lower() in ("true", "1")


def check_credentials(environment: Mapping[str, str], what: str, whose: str) -> None:
    """Refuse a missing key at once: the library would look for one on the network.

    Parameters
    ----------
    environment : mapping
        This process's environment variables.
    what : str
        What names the store, for the message.
    whose : str
        Whose environment must have the key, for the message.

    Raises
    ------
    ConfigError
        There is no key, or one that no header can hold.
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
    with os_errors_as(ConfigError, f"{what} names a file that cannot be read"):
        certificates = Path(path).read_bytes().removeprefix(codecs.BOM_UTF8)
    import ssl

    try:
        # as text it must be ASCII, and what stands around the certificates may be anything
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            cadata=certificates.decode("ascii", "ignore")
        )
    except (ssl.SSLError, ValueError):
        raise ConfigError(
            f"{what} names a file that has no certificates in it, or others than PEM's", detail=path
        ) from None
    return certificates
