"""The STAR API: what ``flame.star`` exports, under this framework."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flame_flwr.star.model import StarLocalDPModel, StarModel
    from flame_flwr.star.nodes import StarAggregator, StarAnalyzer
    from flame_flwr.star.tester import StarModelTester

__all__ = [
    "StarAggregator",
    "StarAnalyzer",
    "StarLocalDPModel",
    "StarModel",
    "StarModelTester",
]

_HOMES = {
    "StarAggregator": "nodes",
    "StarAnalyzer": "nodes",
    "StarLocalDPModel": "model",
    "StarModel": "model",
    "StarModelTester": "tester",
}


def __getattr__(name: str) -> Any:
    """Import lazily: the node's side needs this package's parts, and these need the node's side."""
    if name in _HOMES:
        value = getattr(import_module(f"flame_flwr.star.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
