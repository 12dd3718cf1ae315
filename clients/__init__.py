"""The node's side: an analyzer as a Flower client, its state across rounds, its ClientApp."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flame_flwr.clients.app import make_client_app
    from flame_flwr.clients.client import StarClient
    from flame_flwr.clients.node import Node, NodePlan

__all__ = ["Node", "NodePlan", "StarClient", "make_client_app"]

_HOMES = {"Node": "node", "NodePlan": "node", "StarClient": "client", "make_client_app": "app"}


def __getattr__(name: str) -> Any:
    """Import lazily: a local test needs no flwr, and every import is a cost per message."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"flame_flwr.clients.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
