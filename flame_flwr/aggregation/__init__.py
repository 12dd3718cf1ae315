"""What is done with the nodes' values of a round: reductions, convergence, corrections."""

from flame_flwr.aggregation.base import (
    Aggregation,
    Finished,
    Remembering,
    Resumable,
    StarAggregation,
)
from flame_flwr.aggregation.convergence import Convergence, DeltaNorm, MaxRounds, Plateau, When
from flame_flwr.aggregation.corrections import (
    proximal_gradient,
    proximal_term,
    scaffold_control,
    scaffold_gradient,
    scaffold_update,
    zeros_like,
)
from flame_flwr.aggregation.flower_strategies import FlowerReduction
from flame_flwr.aggregation.reductions import (
    Concat,
    Function,
    Max,
    Mean,
    Merge,
    Mergeable,
    MergeCounts,
    Min,
    PerNode,
    Reduction,
    Sum,
    WeightedMean,
)

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
    "Remembering",
    "Resumable",
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
