"""Reductions that compute: sums, means and extremes of numbers and arrays, merged on arrival.

They take numbers, arrays, Series, tables, and lists, tuples and dicts of them, and keep nothing of
a reply. NaN and infinity are a node's failure, unless ``non_finite`` says something else. Those
that keep the nodes' values are in :mod:`.reductions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

from flame_flwr.aggregation.accumulators import Accumulator, Where
from flame_flwr.aggregation.extremes import Extremes
from flame_flwr.aggregation.grid import Grid
from flame_flwr.aggregation.model_buffers import ModelMean, ModelValue, with_buffer_names
from flame_flwr.aggregation.pytree import Key
from flame_flwr.aggregation.reductions.base import (
    NON_FINITE,
    TREATMENT,
    NonFinite,
    Reduction,
    Treatment,
)
from flame_flwr.aggregation.sums import Totals
from flame_flwr.buffer_names import BUFFERS
from flame_flwr.parameters import Domain, one_of, parameter

__all__ = ["ZERO_TOTAL", "Max", "Mean", "Min", "Numeric", "OfModel", "Sum", "WeightedMean"]

ZERO_TOTAL = one_of("error", "none")
_GRID = Domain("must be a Grid, such as Grid(128, 64)", lambda grid: isinstance(grid, Grid | None))
_BY = Domain("must be a key or a function", lambda by: isinstance(by, str | int) or callable(by))


def _are_buffers(declared: Any) -> bool:
    listed = declared if isinstance(declared, list | tuple) else [None]
    return isinstance(declared, str) or all(isinstance(name, str) for name in listed)


_BUFFERS = Domain("must be the key under which nodes name them, or a list of names", _are_buffers)


@dataclass(frozen=True, kw_only=True)
class Numeric(Reduction):
    """The base of reductions of numbers and arrays; for parameters see :class:`Sum`."""

    differing: Treatment = parameter(TREATMENT, "error")
    non_finite: NonFinite | None = parameter(NON_FINITE, None)


@dataclass(frozen=True, kw_only=True)
class OfModel(Numeric):
    """The base of reductions of models; for parameters see :class:`Mean`."""

    buffers: str | Sequence[str] = parameter(_BUFFERS, BUFFERS)

    def taken(self, values: list[Any]) -> ModelValue:
        """Return the value, and what of it are buffers."""
        return with_buffer_names(values, self.buffers)


@dataclass(frozen=True, kw_only=True)
class Sum(Numeric):
    """The sum; of whole numbers exact, of others rounded once.

    Series and tables are added by their labels, in whatever order nodes have them. A sum that is
    too large for the type in which it was sent is an error that names the key.

    Parameters
    ----------
    missing : {'error', 'skip'}
        As for :class:`Reduction`.
    differing : {'error', 'skip'}
        Where nodes' values differ in shape, keys, index or columns: an error that names nodes and
        key, or keep to what most nodes sent (of as many, the first node's) and leave out others.
    non_finite : {'error', 'skip', 'keep'}, optional
        What to do about a node whose value holds NaN or infinity: take it for a failure of that
        node, so that ``on-failure`` decides; leave its whole answer out of the round, with all
        keys; or merge it as it is. ``None``: what the strategy says, by default an error.
    grid : Grid, optional
        Where secure sums put the values. Without one whole numbers are on ``Grid(64, 0)``, others
        on ``Grid(256, 128)``.

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> merge_values(Sum(), [{"cases": 3, "loss": 0.5}, {"cases": 4, "loss": 1.5}])
    {'cases': 7, 'loss': 2.0}
    """

    grid: Grid | None = parameter(_GRID, None)

    def collector(self, place: Where) -> Accumulator:
        """Return what adds up."""
        return Totals(place, self.differing, mean=False)


@dataclass(frozen=True, kw_only=True)
class Mean(OfModel):
    """The mean over nodes, each counting the same.

    Parameters
    ----------
    buffers : str or sequence of str
        Which arrays of a model are buffers, as for ``FlowerReduction``: those of whole numbers,
        such as BatchNorm's ``num_batches_tracked``, are rounded in their type.
    missing, differing, non_finite
        As for :class:`Sum`.
    grid : Grid, optional
        Where secure sums put the values. Without one numbers are on ``Grid(256, 128)``, arrays on
        ``Grid(64, 32)``, and of whole numbers on ``Grid(64, 0)``.

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> merge_values({"loss": Mean()}, [{"loss": 1.0}, {"loss": 4.0}])
    {'loss': 2.5}
    """

    grid: Grid | None = parameter(_GRID, None)

    def collector(self, place: Where) -> Accumulator:
        """Return what adds up, to divide by the number of nodes."""
        return ModelMean(place, self.differing, self.buffers)


@dataclass(frozen=True)
class WeightedMean(OfModel):
    """The mean weighted by a number that nodes send along: ``sum(w * x) / sum(w)``.

    With sample counts this is federated averaging (McMahan et al., "Communication-Efficient
    Learning of Deep Networks from Decentralized Data", AISTATS 2017, algorithm 1).

    Parameters
    ----------
    by : str, int or callable
        The weight's key, beside the value or further out; keys with dots between count from the
        outermost; a function gets all that the node sent. A score is as good as a count.
    bad_weight : {'error', 'skip'}
        What to do about a node whose weight is missing, negative, NaN or infinite, or on whose
        value a function raises. A weight of zero is a good one: its node does not count, and its
        value is not looked at.
    zero_total : {'error', 'none'}
        Where all weights together are zero: an error, or the value is ``None``.
    buffers
        As for :class:`Mean`.
    grid : Grid, optional
        Where secure sums put the products, as for :class:`Mean`. Weights that are whole numbers
        are on ``Grid(64, 0)``, others on ``Grid(256, 128)``.
    like : Any, optional
        A value of the form that nodes send, such as ``0.0``: in the first secure sum that of a node
        of weight 0 that has none.
    missing, differing, non_finite
        As for :class:`Sum`.

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> answers = [{"loss": 1.0, "n": 30}, {"loss": 4.0, "n": 10}]
    >>> merge_values({"loss": WeightedMean(by="n")}, answers)
    {'loss': 1.75}
    """

    by: Key = parameter(_BY, "local_n_samples")
    bad_weight: Treatment = parameter(TREATMENT, "error")
    zero_total: Literal["error", "none"] = parameter(ZERO_TOTAL, "error")
    _: KW_ONLY
    grid: Grid | None = parameter(_GRID, None)
    like: Any = field(default=None, compare=False)

    def collector(self, place: Where) -> Accumulator:
        """Return what adds up products and weights."""
        none = self.zero_total == "none"
        return ModelMean(place, self.differing, self.buffers, weighted=True, none_of_zero=none)


@dataclass(frozen=True, kw_only=True)
class Min(Numeric):
    """The smallest, element by element; where NaN is kept, NaN where a node has NaN.

    Parameters
    ----------
    missing, differing, non_finite
        As for :class:`Sum`.

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> merge_values(Min(), [[3, 0.5], [1, 2.5]])
    [1, 0.5]
    """

    def collector(self, place: Where) -> Accumulator:
        """Return what keeps the smallest."""
        return Extremes(place, self.differing, smallest=True)


@dataclass(frozen=True, kw_only=True)
class Max(Numeric):
    """The largest, element by element; where NaN is kept, NaN where a node has NaN.

    Parameters
    ----------
    missing, differing, non_finite
        As for :class:`Sum`.

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> merge_values(Max(), [[3, 0.5], [1, 2.5]])
    [3, 2.5]
    """

    def collector(self, place: Where) -> Accumulator:
        """Return what keeps the largest."""
        return Extremes(place, self.differing, smallest=False)
