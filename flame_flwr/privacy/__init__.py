"""Protection of what is released."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flame_flwr.privacy.clip import Clip
    from flame_flwr.privacy.disclosure import Disclosure
    from flame_flwr.privacy.disclosure_rule import DisclosureRule
    from flame_flwr.privacy.gaussian_noise import GaussianNoise
    from flame_flwr.privacy.laplace import Laplace
    from flame_flwr.privacy.rules import MaxBins, MaxRows, MinCount, NoisyMinMax, Strict
    from flame_flwr.privacy.sparse_vector import SparseVector
    from flame_flwr.privacy.top_fraction import TopFraction
    from flame_flwr.privacy.update_filter import UpdateFilter

__all__ = [
    "Clip",
    "Disclosure",
    "DisclosureRule",
    "GaussianNoise",
    "Laplace",
    "MaxBins",
    "MaxRows",
    "MinCount",
    "NoisyMinMax",
    "SparseVector",
    "Strict",
    "TopFraction",
    "UpdateFilter",
]

_HOMES = {
    "Clip": "clip",
    "Disclosure": "disclosure",
    "DisclosureRule": "disclosure_rule",
    "GaussianNoise": "gaussian_noise",
    "Laplace": "laplace",
    "MaxBins": "rules",
    "MaxRows": "rules",
    "MinCount": "rules",
    "NoisyMinMax": "rules",
    "SparseVector": "sparse_vector",
    "Strict": "rules",
    "TopFraction": "top_fraction",
    "UpdateFilter": "update_filter",
}


def __getattr__(name: str) -> Any:
    """Import lazily: a node's process takes only what it applies."""
    if name in _HOMES:
        return getattr(import_module(f"flame_flwr.privacy.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
