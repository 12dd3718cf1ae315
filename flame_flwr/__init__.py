"""flame-flwr: federated analyses as two small classes, on Flower."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flame_flwr.versions import warn_of_untried

if TYPE_CHECKING:
    from flame_flwr.clients import StarClient
    from flame_flwr.star import (
        StarAggregator,
        StarAnalyzer,
        StarLocalDPModel,
        StarModel,
        StarModelTester,
    )
    from flame_flwr.strategies import StarStrategy

__all__ = [
    "StarAggregator",
    "StarAnalyzer",
    "StarClient",
    "StarLocalDPModel",
    "StarModel",
    "StarModelTester",
    "StarStrategy",
    "__version__",
]

__version__ = "0.1.0"

_HOMES = {
    "StarAggregator": "star",
    "StarAnalyzer": "star",
    "StarClient": "clients",
    "StarLocalDPModel": "star",
    "StarModel": "star",
    "StarModelTester": "star",
    "StarStrategy": "strategies",
}


def __getattr__(name: str) -> Any:
    """Import lazily: on a deployment every message is a new process, and imports are its cost."""
    if name in _HOMES:
        return getattr(import_module(f"flame_flwr.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


warn_of_untried()  # here, as most of what a user imports loads Flower much later, or never
