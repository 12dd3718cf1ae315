"""What is done with the nodes' values of a round: reductions, convergence, corrections."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.base import Aggregation, Finished
from flame_flwr.aggregation.convergence import Convergence, MaxRounds, When
from flame_flwr.aggregation.corrections import (
    proximal_gradient,
    proximal_term,
    scaffold_control,
    scaffold_gradient,
    scaffold_update,
    zeros_like,
)
from flame_flwr.aggregation.delta_norm import DeltaNorm
from flame_flwr.aggregation.flower_strategies import FlowerReduction
from flame_flwr.aggregation.numeric_reductions import Max, Mean, Min, Sum, WeightedMean
from flame_flwr.aggregation.plateau import Plateau
from flame_flwr.aggregation.reduction_base import Mergeable, Reduction
from flame_flwr.aggregation.reductions import Concat, Function, Merge, MergeCounts, PerNode

if TYPE_CHECKING:
    from flame_flwr.strategies.star_aggregation import StarAggregation

__all__ = [
    "Aggregation",
    "Concat",
    "Convergence",
    "DeltaNorm",
    "Finished",
    "FlowerReduction",
    "Function",
    "Max",
    "MaxRounds",
    "Mean",
    "Merge",
    "MergeCounts",
    "Mergeable",
    "Min",
    "PerNode",
    "Plateau",
    "Reduction",
    "StarAggregation",
    "Sum",
    "WeightedMean",
    "When",
    "proximal_gradient",
    "proximal_term",
    "scaffold_control",
    "scaffold_gradient",
    "scaffold_update",
    "zeros_like",
]


def __getattr__(name: str) -> Any:
    """Import lazily: ``StarAggregation`` stands with the strategies, and was named from here."""
    if name == "StarAggregation":
        return getattr(import_module("flame_flwr.strategies.star_aggregation"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
