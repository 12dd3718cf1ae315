"""Reductions that keep the nodes' values until the round ends, and counts by name.

They get what nodes sent, as they sent it, NaN and infinity too. No result depends on the order in
which nodes answer. Those that compute are in :mod:`.numeric`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flame_flwr.aggregation.accumulators import Accumulator, AllValues, Where
from flame_flwr.aggregation.concatenation import check_follows, concatenated, without_rows
from flame_flwr.aggregation.counts import Counts, are_count_labels
from flame_flwr.aggregation.merged_statistics import StatisticForms, merged_statistics
from flame_flwr.aggregation.misfits import Kinds
from flame_flwr.aggregation.odd_values import other_forms
from flame_flwr.aggregation.reductions.base import NON_FINITE, Mergeable, NonFinite, Reduction
from flame_flwr.errors import FlameError, ModelError, text_of
from flame_flwr.parameters import Domain, one_of, parameter
from flame_flwr.text.words import name_in_words
from flame_flwr.user_code.signatures import check_function

__all__ = ["Concat", "Function", "Merge", "MergeCounts", "PerNode"]


_LABELS = Domain("must be a list of texts or whole numbers that all differ", are_count_labels)


@dataclass(frozen=True, kw_only=True)
class MergeCounts(Reduction):
    """Counts by name, added up: dicts, ``Counter`` or pandas' ``value_counts()``.

    A name that a node does not have counts 0 there; ``"0"`` and ``0`` are one name, as the first
    node writes it. The result is a dict, in the order of the nodes and of their names. Counts are
    whole numbers, 0 or more; the names may be NaN.

    Parameters
    ----------
    labels : sequence of str or int, optional
        The names that there are, in the order of the result; another one is an error. Secure sums
        need them, as a name that is found in the data tells that somebody has it.
    missing
        As for :class:`Reduction`.
    non_finite
        As for :class:`Sum`.

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> merge_values(MergeCounts(), [{"f": 3, "m": 1}, {"f": 2, "x": 1}])
    {'f': 5, 'm': 1, 'x': 1}
    >>> merge_values(MergeCounts(labels=["m", "f", "d"]), [{"f": 3, "m": 1}, {"f": 2}])
    {'m': 1, 'f': 5, 'd': 0}
    """

    labels: Sequence[str | int] | None = parameter(_LABELS, None)
    non_finite: NonFinite | None = parameter(NON_FINITE, None)

    def collector(self, place: Where) -> Accumulator:
        """Return what counts."""
        return Counts(place, self.labels)


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

    columns: Literal["error", "common", "all"] = parameter(
        one_of("error", "common", "all"), "error"
    )

    def collector(self, place: Where) -> Accumulator:
        """Return what keeps the values."""
        kinds = Kinds(lambda values: check_follows(values, place, self.columns))
        return AllValues(
            place,
            lambda values: concatenated(values, self.columns),
            lambda node, value: {(): kinds.of(node, without_rows(value))},
        )


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
        return AllValues(place, dict)


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

    def in_words(self) -> str:
        """Return what it does, for readers who write no Python."""
        return f"merging {name_in_words(self.kind.__name__) if self.kind else 'statistics'}"

    def collector(self, place: Where) -> Accumulator:
        """Return what keeps the values, to be merged in participant order."""
        wanted = Mergeable if self.kind is None else self.kind
        forms = StatisticForms(place, wanted, self.missing == "skip")
        return AllValues(place, lambda values: merged_statistics(values, place), forms)


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
        return AllValues(place, lambda values: self._applied(values, place))

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
            odd = other_forms(values)
            raise place.error(
                f"the function {name} of the list of their values raised a "
                f"{type(error).__name__}: mend it, or what they send{odd and f' ({odd})'}",
                *values,
                detail=text_of(error),
            ) from error
