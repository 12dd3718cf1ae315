"""A reverse proxy in front of the SuperLink, which closes what Flower leaves open to all."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from flame_flwr.deploy.text_templates import fill
from flame_flwr.errors import ConfigError

if TYPE_CHECKING:
    from flame_flwr.deploy.federation import Federation, Server

__all__ = ["PROXIES", "nginx_config", "with_proxy"]

PROXIES = ("nginx",)
"""The programs that a configuration is written for."""


def with_proxy(federation: Federation, proxy: str) -> Federation:
    """Return the federation with its SuperLink behind a reverse proxy.

    Hospitals and analyst connect to the proxy, at the address that they had; the SuperLink
    listens on 127.0.0.1, and the analyst gets a certificate for the proxy.

    Raises
    ------
    ConfigError
        There is no such proxy here, or what the file says of the server cannot be with one.
    """
    server = federation.server
    if proxy not in PROXIES:
        raise ConfigError(f"there is a configuration for {', '.join(PROXIES)}, not for {proxy!r}")
    if server.local_port == server.port:
        raise ConfigError(f"`local-port` in [server] must not be `port`, which is {proxy}'s")
    if "$" in server.folder:  # nginx has no way to write one
        raise ConfigError(f"`folder` in [server] must have no $ in it: {proxy} reads that file")
    return dataclasses.replace(federation, server=dataclasses.replace(server, is_proxied=True))


def nginx_config(server: Server) -> str:
    """Return nginx's configuration; it names the files in the server's folder."""
    listen = f"[{server.listen}]" if ":" in server.listen else server.listen
    return fill(
        "nginx.conf",
        LISTEN=listen,
        PORT=f"{server.port}",
        LOCAL_PORT=f"{server.local_port}",
        CERTIFICATE=_quoted(f"{server.folder}/server.pem"),
        KEY=_quoted(f"{server.folder}/server.key"),
        ANALYSTS=_quoted(f"{server.folder}/analysts.pem"),
        CA=_quoted(f"{server.folder}/ca.pem"),
    )


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
