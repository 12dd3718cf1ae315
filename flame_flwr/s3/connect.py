"""Opening an S3-compatible store with obstore: only as told, and without leaving its host."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flame_flwr.errors import ConfigError
from flame_flwr.s3.access import NOWHERE, REGION, Access

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obstore.store import ClientConfig, S3Config, S3Credential, S3Store

    from flame_flwr.s3.patience import Patience

__all__ = ["open_s3"]


def open_s3(bucket: str, prefix: str, access: Access, patience: Patience) -> S3Store:
    """Return obstore's store for a bucket; nothing is asked of it yet.

    Parameters
    ----------
    bucket, prefix : str
        As :func:`flame_flwr.s3.location.check_url` returns them.
    access : Access
        Where it is, and the key.
    patience : Patience
        How long to wait for it.
    """
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    config = _config(bucket, access)
    options = patience.options()
    # whether http:// may be, `check_endpoint` has decided
    options["allow_http"] = access.endpoint.startswith("http://")
    options.update(_no_redirects(config["endpoint"], access, os.environ))
    if access.certificates:
        options["root_certificate"] = access.certificates
    key = _Credentials(access.key_id, access.secret) if access.key_id else None
    try:
        return S3Store(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options=options,
            retry_config=patience.retry_config(),
            credential_provider=key,
        )
    except (BaseError, ValueError) as error:
        raise ConfigError(
            "an object store cannot be set up: an `AWS_` variable in the environment, or the "
            "certificate of its CA, has a wrong value",
            detail=str(error).partition("\n")[0],
        ) from None


def _config(bucket: str, access: Access) -> S3Config:
    """Return all settings of which store is asked, and how.

    The library reads ``AWS_`` variables for every key that is missing, so all must be here.
    """
    region = access.region or REGION
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


def _no_redirects(endpoint: str, access: Access, environment: Mapping[str, str]) -> ClientConfig:
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
    return {"proxy_url": f"http://{NOWHERE}", "proxy_excludes": host}


class _Credentials:
    """A key as obstore asks for it: unlike one in its config, its `repr` does not show it."""

    def __init__(self, key_id: str, secret: str) -> None:
        self._credential: S3Credential = {
            "access_key_id": key_id,
            "secret_access_key": secret,
            "token": None,
            "expires_at": None,
        }

    def __call__(self) -> S3Credential:
        return self._credential


def _with_bucket(endpoint: str, bucket: str, virtual_host: bool) -> str:
    """Put the bucket before the host where it belongs there; the library wants it so."""
    scheme, _, host = endpoint.partition("://")
    if not virtual_host or host.startswith(f"{bucket}."):
        return endpoint
    return f"{scheme}://{bucket}.{host}"
