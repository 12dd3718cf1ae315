"""Merges the nodes' values of a round: reductions, convergence, corrections."""

from typing import TYPE_CHECKING

from flame_flwr.aggregation.base import Aggregation, Finished
from flame_flwr.aggregation.convergence import Convergence, MaxRounds, When
from flame_flwr.aggregation.delta_norm import DeltaNorm
from flame_flwr.aggregation.drift_corrections import (
    proximal_gradient,
    proximal_term,
    scaffold_control,
    scaffold_gradient,
    scaffold_update,
    zeros_like,
)
from flame_flwr.aggregation.flower_strategies import FlowerReduction
from flame_flwr.aggregation.grid import Grid
from flame_flwr.aggregation.plateau import Plateau
from flame_flwr.aggregation.reductions.base import Mergeable, Reduction
from flame_flwr.aggregation.reductions.collecting import (
    Concat,
    Function,
    Merge,
    MergeCounts,
    PerNode,
)
from flame_flwr.aggregation.reductions.numeric import Max, Mean, Min, Sum, WeightedMean
from flame_flwr.lazy_imports import lazy_exports

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
    "Grid",
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

# StarAggregation stands with the strategies, and was named from here.
_, __dir__, __getattr__ = lazy_exports(
    __name__, {"flame_flwr.strategies.star_aggregation": ["StarAggregation"]}
)
