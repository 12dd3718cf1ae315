"""The STAR API: what ``flame.star`` exports, under this framework."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flame_flwr.analysis.model import StarLocalDPModel, StarModel
    from flame_flwr.analysis.tester import StarModelTester
    from flame_flwr.star.nodes import StarAggregator, StarAnalyzer

__all__ = [
    "StarAggregator",
    "StarAnalyzer",
    "StarLocalDPModel",
    "StarModel",
    "StarModelTester",
]

_HOMES = {
    "StarAggregator": "star.nodes",
    "StarAnalyzer": "star.nodes",
    "StarLocalDPModel": "analysis.model",
    "StarModel": "analysis.model",
    "StarModelTester": "analysis.tester",
}


def __getattr__(name: str) -> Any:
    """Import lazily: the model and the tester stand above this package, and are named from it."""
    if name in _HOMES:
        value = getattr(import_module(f"flame_flwr.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
