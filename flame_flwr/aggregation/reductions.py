"""Reductions: how the values that nodes return under one key become one value.

They are declared, per key, to a :class:`~flame_flwr.strategies.ReduceStrategy`. ``Sum``,
``Mean``, ``WeightedMean``, ``Min`` and ``Max`` take numbers, arrays, Series, tables, and lists,
tuples and dicts of them, merge every reply as it arrives and keep nothing of it; the others keep
the nodes' values until the round ends. No result depends on the order in which nodes answer.

NaN and infinity are a node's failure where a reduction computes with them; ``PerNode``,
``Concat``, ``Merge`` and functions get what nodes sent, as they sent it.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flame_flwr.aggregation.accumulators import Accumulator, Kept, Where, choice
from flame_flwr.aggregation.counts import Counts
from flame_flwr.aggregation.extremes import Extremes
from flame_flwr.aggregation.merging import merged, row_bound
from flame_flwr.aggregation.model_buffers import ModelMean, Named, check_buffers, named
from flame_flwr.aggregation.pytree import Key
from flame_flwr.aggregation.reduction_base import (
    NON_FINITE,
    Mergeable,
    NonFinite,
    Numeric,
    Reduction,
    Treatment,
)
from flame_flwr.aggregation.sums import Totals
from flame_flwr.buffers import BUFFERS
from flame_flwr.errors import FlameError, ModelError, text_of
from flame_flwr.signatures import check_function

__all__ = [
    "Concat",
    "Function",
    "Max",
    "Mean",
    "Merge",
    "MergeCounts",
    "Mergeable",
    "Min",
    "PerNode",
    "Reduction",
    "Sum",
    "WeightedMean",
]
__all__ += ["as_reduction", "checked_weight"]


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

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> merge_values(Sum(), [{"cases": 3, "loss": 0.5}, {"cases": 4, "loss": 1.5}])
    {'cases': 7, 'loss': 2.0}
    """

    def collector(self, place: Where) -> Accumulator:
        """Return what adds up."""
        return Totals(place, self.differing, mean=False)


@dataclass(frozen=True, kw_only=True)
class Mean(Numeric):
    """The mean over nodes, each counting the same.

    Parameters
    ----------
    buffers : str or sequence of str
        Which arrays of a model are buffers, as for ``FlowerReduction``: those of whole numbers,
        such as BatchNorm's ``num_batches_tracked``, are rounded in their type.
    missing, differing, non_finite
        As for :class:`Sum`.

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> merge_values({"loss": Mean()}, [{"loss": 1.0}, {"loss": 4.0}])
    {'loss': 2.5}
    """

    buffers: str | Sequence[str] = BUFFERS

    def __post_init__(self) -> None:
        """Check what was declared."""
        super().__post_init__()
        check_buffers(self.buffers)

    def collector(self, place: Where) -> Accumulator:
        """Return what adds up, to divide by the number of nodes."""
        return ModelMean(place, self.differing, self.buffers)

    def taken(self, values: list[Any]) -> Named:
        """Return the value, and what of it are buffers."""
        return named(values, self.buffers)


@dataclass(frozen=True)
class WeightedMean(Numeric):
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
    missing, differing, non_finite
        As for :class:`Sum`.

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> answers = [{"loss": 1.0, "n": 30}, {"loss": 4.0, "n": 10}]
    >>> merge_values({"loss": WeightedMean(by="n")}, answers)
    {'loss': 1.75}
    """

    by: Key = "local_n_samples"
    bad_weight: Treatment = "error"
    zero_total: Literal["error", "none"] = "error"
    buffers: str | Sequence[str] = field(default=BUFFERS, kw_only=True)

    def __post_init__(self) -> None:
        """Check what was declared."""
        super().__post_init__()
        choice(self, "bad_weight", "error", "skip")
        choice(self, "zero_total", "error", "none")
        check_buffers(self.buffers)
        if not (isinstance(self.by, str | int) or callable(self.by)):
            raise ModelError(f"WeightedMean: by must be a key or a function, not {self.by!r}")

    def collector(self, place: Where) -> Accumulator:
        """Return what adds up products and weights."""
        none = self.zero_total == "none"
        return ModelMean(place, self.differing, self.buffers, weighted=True, none_of_zero=none)

    def taken(self, values: list[Any]) -> Named:
        """Return the value, and what of it are buffers."""
        return named(values, self.buffers)


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


@dataclass(frozen=True, kw_only=True)
class MergeCounts(Reduction):
    """Counts by name, added up: dicts, ``Counter`` or pandas' ``value_counts()``.

    A name that a node does not have counts 0 there; ``"0"`` and ``0`` are one name, as the first
    node writes it. The result is a dict, in the order of the nodes and of their names. Counts are
    whole numbers, 0 or more; the names may be NaN.

    Parameters
    ----------
    missing
        As for :class:`Reduction`.
    non_finite
        As for :class:`Sum`.

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> merge_values(MergeCounts(), [{"f": 3, "m": 1}, {"f": 2, "x": 1}])
    {'f': 5, 'm': 1, 'x': 1}
    """

    non_finite: NonFinite | None = None

    def __post_init__(self) -> None:
        """Check what was declared."""
        super().__post_init__()
        choice(self, "non_finite", None, *NON_FINITE)

    def collector(self, place: Where) -> Accumulator:
        """Return what counts."""
        return Counts(place)


@dataclass(frozen=True, kw_only=True)
class Concat(Reduction):
    """The nodes' arrays, lists or tables one after another, in participant order.

    Parameters
    ----------
    columns : {'error', 'common', 'all'}
        Where tables differ in columns: an error that names the node, only the columns that all
        have, or all of them with NaN where a node has none.
    missing
        As for :class:`Reduction`.

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> merge_values(Concat(), [["a", "b"], ["c"]])
    ['a', 'b', 'c']
    """

    columns: Literal["error", "common", "all"] = "error"

    def __post_init__(self) -> None:
        """Check what was declared."""
        super().__post_init__()
        choice(self, "columns", "error", "common", "all")

    def collector(self, place: Where) -> Accumulator:
        """Return what keeps the values."""
        return Kept(place, lambda values: row_bound(values, place, self.columns))


@dataclass(frozen=True, kw_only=True)
class PerNode(Reduction):
    """Every node's value, kept with the node it came from: a dict by node, in order.

    Parameters
    ----------
    missing
        As for :class:`Reduction`.

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> merge_values({"auc": PerNode()}, [{"auc": 0.8}, {"auc": 0.7}])
    {'auc': {'node-0': 0.8, 'node-1': 0.7}}
    """

    def collector(self, place: Where) -> Accumulator:
        """Return what keeps the values."""
        return Kept(place, dict)


@dataclass(frozen=True)
class Merge(Reduction):
    """Statistics, merged: one, or lists and dicts of them.

    Parameters
    ----------
    kind : type, optional
        The statistic's class. ``None``: any object that has ``merge`` and ``result``.
    missing
        As for :class:`Reduction`; it also holds within dicts of statistics.

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> from flame_flwr.statistics import Total
    >>> answers = [{"age": Total.from_data([61, 70])}, {"age": Total.from_data([83])}]
    >>> merge_values(Merge(), answers)
    {'age': Total(n=3, sum=214, mean=71.3333)}
    """

    kind: type[Any] | None = None

    def collector(self, place: Where) -> Accumulator:
        """Return what keeps the values, to be merged in participant order."""
        wanted = Mergeable if self.kind is None else self.kind
        skip = self.missing == "skip"
        return Kept(place, lambda values: merged(values, place, wanted, skip))


@dataclass(frozen=True)
class Function(Reduction):
    """A function of the list of the nodes' values, in participant order.

    Parameters
    ----------
    function : callable
        Its result is the aggregate's value.
    missing
        As for :class:`Reduction`.

    Examples
    --------
    >>> from statistics import median
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> merge_values({"auc": Function(median)}, [{"auc": 0.8}, {"auc": 0.7}, {"auc": 0.9}])
    {'auc': 0.8}
    """

    function: Callable[[list[Any]], Any] = list

    def __post_init__(self) -> None:
        """Check what was declared."""
        super().__post_init__()
        if not callable(self.function):
            raise ModelError(f"Function: {self.function!r} is no function")
        check_function(self.function, "Function", ("values",))

    def collector(self, place: Where) -> Accumulator:
        """Return what keeps the values."""
        return Kept(place, lambda values: self._applied(values, place))

    def _applied(self, values: dict[str, Any], place: Where) -> Any:
        """Call the function.

        Raises
        ------
        DataError
            It raised an error.
        """
        try:
            return self.function(list(values.values()))
        except FlameError:
            raise
        except Exception as error:
            name = getattr(self.function, "__name__", type(self.function).__name__)
            raise place.error(
                f"the function {name} of the list of their values raised a "
                f"{type(error).__name__}: mend it, or what they send",
                *values,
                detail=text_of(error),
            ) from error


def checked_weight(weight: Any) -> float | str:
    """Return a weight as a number, or what is wrong with it."""
    if weight is None:
        return "is missing"
    if isinstance(weight, bool) or not isinstance(weight, numbers.Real):
        return f"is of type {type(weight).__name__}, not a number"
    try:
        number = float(weight)
    except OverflowError:
        return "is too large"
    if math.isnan(number):
        return "is NaN"
    if number < 0:
        return "is negative"
    return "is infinite" if math.isinf(number) else number


def as_reduction(declared: Any, key: str) -> Reduction:
    """Return what was declared for a key as a reduction.

    Raises
    ------
    ModelError
        It is none.
    """
    if isinstance(declared, Reduction):
        return declared
    if isinstance(declared, type):
        if issubclass(declared, Reduction):
            return declared()
        if issubclass(declared, Mergeable):
            return Merge(declared)
    if callable(declared) and not isinstance(declared, Mapping):
        return Function(declared)
    raise ModelError(
        f"{key}: {declared!r} is no reduction: declare Sum(), Mean(), WeightedMean(by=...), a "
        "statistic's class, a function of the list of values, or a dict of these"
    )
