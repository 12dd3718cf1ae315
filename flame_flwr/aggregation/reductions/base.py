"""The base class of all reductions, and what their parameters may be."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from flame_flwr.aggregation.accumulators import Accumulator, Where
from flame_flwr.parameters import check_parameters, one_of, parameter
from flame_flwr.text.words import settings_in_words

__all__ = ["NON_FINITE", "TREATMENT", "Mergeable", "NonFinite", "Reduction", "Treatment"]

Treatment = Literal["error", "skip"]
NonFinite = Literal["error", "skip", "keep"]
TREATMENT = one_of(*get_args(Treatment))
NON_FINITE = one_of(None, *get_args(NonFinite))


@runtime_checkable
class Mergeable(Protocol):
    """A statistic that merges, as those of :mod:`flame_flwr.statistics` do.

    Examples
    --------
    >>> from flame_flwr.statistics import RowCount
    >>> isinstance(RowCount(31), Mergeable), isinstance(31, Mergeable)
    (True, False)
    """

    def merge(self, other: Any) -> Any:
        """Return the statistic of both data together."""

    def result(self) -> Any:
        """Return the number, or numbers, it stands for."""


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """Base of all reductions; one of your own overrides :meth:`collector`.

    Parameters
    ----------
    missing : {'error', 'skip'}
        What to do about a node whose value has not the key: end the run with an error that names
        node and key, or leave the node out of this key. Where no node has it, it is ``None``.

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> class Spread(Reduction):
    ...     def collector(self, place):
    ...         return Extremes()
    >>> class Extremes:
    ...     def __init__(self):
    ...         self.values = []
    ...
    ...     def add(self, node, value, weight):
    ...         self.values.append(value)
    ...
    ...     def result(self):
    ...         return max(self.values) - min(self.values)
    >>> merge_values({"age": Spread()}, [{"age": 61}, {"age": 83}, {"age": 70}])
    {'age': 22}
    """

    missing: Treatment = parameter(TREATMENT, "error")

    def __post_init__(self) -> None:
        """Check what was declared."""
        check_parameters(self)

    def __str__(self) -> str:
        """Return it as it was written, without what is as by default."""
        # without what compares with nothing, as `like`, which may be as long as a model
        given = [
            f"{item.name}={getattr(self, item.name)!r}"
            for item in fields(self)
            if item.compare and getattr(self, item.name) != item.default
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def in_words(self) -> str:
        """Return what it does, for readers who write no Python."""
        return settings_in_words(self)

    def collector(self, place: Where) -> Accumulator:
        """Return what takes one round's values.

        Parameters
        ----------
        place : Where
            The round, the key, the nodes in order, and the last aggregate's value there.
        """
        raise NotImplementedError(f"{type(self).__name__} has no collector(self, place)")

    def taken(self, values: list[Any]) -> Any:
        """Return what the collector takes of an answer; by default the value under the key.

        Parameters
        ----------
        values : list
            The value last, and before it those around it, the whole answer first.
        """
        return values[-1]

    def for_run(self) -> Reduction:
        """Return what to use in one run; where there is something to remember, a new object."""
        return self

    def save(self) -> bytes | None:
        """Return what it remembers from round to round; ``None``, as by default, for nothing."""
        return None

    def load(self, data: bytes) -> None:
        """Remember what :meth:`save` returned in another process."""
