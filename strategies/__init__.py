"""The server's side: Flower strategies that run STAR analyses."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flame_flwr.strategies.merge_statistics import MergeStatistics
    from flame_flwr.strategies.reduce_strategy import ReduceStrategy
    from flame_flwr.strategies.server import make_server_app
    from flame_flwr.strategies.star import StarResult, StarStrategy
    from flame_flwr.strategies.weighted_fedavg import WeightedFedAvg

__all__ = [
    "MergeStatistics",
    "ReduceStrategy",
    "StarResult",
    "StarStrategy",
    "WeightedFedAvg",
    "make_server_app",
]

_HOMES = {
    "MergeStatistics": "merge_statistics",
    "ReduceStrategy": "reduce_strategy",
    "StarResult": "star",
    "StarStrategy": "star",
    "WeightedFedAvg": "weighted_fedavg",
    "make_server_app": "server",
}


def __getattr__(name: str) -> Any:
    """Import lazily: a node's process has no use for the server's side."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"flame_flwr.strategies.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
