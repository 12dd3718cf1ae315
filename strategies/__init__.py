"""The server's side: Flower strategies that run STAR analyses."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flame_flwr.strategies.merge import MergeStatistics
    from flame_flwr.strategies.reduce import ReduceStrategy, WeightedFedAvg
    from flame_flwr.strategies.run import StarResult
    from flame_flwr.strategies.server import make_server_app
    from flame_flwr.strategies.star import StarStrategy

__all__ = [
    "MergeStatistics",
    "ReduceStrategy",
    "StarResult",
    "StarStrategy",
    "WeightedFedAvg",
    "make_server_app",
]

_HOMES = {
    "MergeStatistics": "merge",
    "ReduceStrategy": "reduce",
    "StarResult": "run",
    "StarStrategy": "star",
    "WeightedFedAvg": "reduce",
    "make_server_app": "server",
}


def __getattr__(name: str) -> Any:
    """Import lazily: a node's process has no use for the server's side."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"flame_flwr.strategies.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
