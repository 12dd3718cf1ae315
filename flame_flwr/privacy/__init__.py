"""Protection of what is released."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flame_flwr.privacy.disclosure import Disclosure, DisclosureRule
    from flame_flwr.privacy.laplace import Laplace
    from flame_flwr.privacy.rules import MaxBins, MinCount, NoisyMinMax, Strict

__all__ = [
    "Disclosure",
    "DisclosureRule",
    "Laplace",
    "MaxBins",
    "MinCount",
    "NoisyMinMax",
    "Strict",
]

_HOMES = {
    "Disclosure": "disclosure",
    "DisclosureRule": "disclosure",
    "Laplace": "laplace",
    "MaxBins": "rules",
    "MinCount": "rules",
    "NoisyMinMax": "rules",
    "Strict": "rules",
}


def __getattr__(name: str) -> Any:
    """Import lazily: a node's process takes only what it applies."""
    if name in _HOMES:
        return getattr(import_module(f"flame_flwr.privacy.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
