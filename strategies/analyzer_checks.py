"""What declared strategies need of an analyzer, checked before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.flower_strategies import FlowerReduction
from flame_flwr.aggregation.flower_supported import is_one
from flame_flwr.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.aggregation.reductions.tree import Tree
    from flame_flwr.star.nodes import StarAnalyzer

__all__ = ["check_proximal", "declared"]


def declared(
    analyzer: type[StarAnalyzer], arguments: Mapping[str, Any], name: str, default: Any
) -> Any:
    """Return a setting of an analyzer: an argument of its constructor, else a class attribute."""
    value = arguments.get(name)
    return getattr(analyzer, name, default) if value is None else value


def check_proximal(tree: Tree, analyzer: type[StarAnalyzer], arguments: Mapping[str, Any]) -> None:
    """Check that the analyzer trains with the term of FedProx where Flower's FedProx merges.

    Raises
    ------
    ModelError
        It does not, or with another ``proximal_mu``.
    """
    for leaf in tree.leaves():
        if not isinstance(leaf.reduction, FlowerReduction):
            continue
        strategy: Any = leaf.reduction.strategy
        mu = getattr(strategy, "proximal_mu", 0) if is_one(strategy, ("FedProx",)) else 0
        own = declared(analyzer, arguments, "fedprox_mu", 0)
        if mu and own != mu:
            raise ModelError(
                f"{type(strategy).__name__}(proximal_mu={mu:g}) merges as FedAvg does: its term is "
                f"a part of training, and {analyzer.__name__} has fedprox_mu {own!r}. Say "
                f"`fedprox_mu = {mu:g}` in that class: a TorchAnalyzer then trains with it. One of "
                "another kind adds proximal_gradient of flame_flwr.aggregation in its training, "
                "and has the attribute so that this can be seen"
            )
