"""The client of an installed package that a run selects by its name."""

from __future__ import annotations

from typing import Any

from flame_flwr.clients.client import StarClient
from flame_flwr.errors import ModelError
from flame_flwr.installed.entry_points import load

__all__ = ["check_client", "client"]


def client(name: str) -> type[StarClient]:
    """Return the client class of a plug-in.

    Raises
    ------
    ConfigError
        No package offers the name, more than one does, or it cannot be loaded.
    ModelError
        It is no subclass of ``StarClient``.
    """
    offered: type[StarClient] = load("client", name)
    check_client(name, offered)
    return offered


def check_client(name: str, offered: Any) -> None:
    """Refuse what a plug-in offers where it is no client class.

    Raises
    ------
    ModelError
        It is no subclass of ``StarClient``.
    """
    if not isinstance(offered, type) or not issubclass(offered, StarClient):
        raise ModelError(f"the client plug-in `{name}` must be a subclass of StarClient")
