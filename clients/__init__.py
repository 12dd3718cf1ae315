"""The node's side: an analyzer as a Flower client, its state across rounds, its ClientApp."""

from typing import TYPE_CHECKING

from flame_flwr.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from flame_flwr.clients.app import make_client_app as make_client_app
    from flame_flwr.clients.client import StarClient as StarClient
    from flame_flwr.clients.node import Node as Node
    from flame_flwr.clients.node import NodePlan as NodePlan

__all__, __dir__, __getattr__ = lazy_exports(
    __name__,
    {".app": ["make_client_app"], ".client": ["StarClient"], ".node": ["Node", "NodePlan"]},
)
