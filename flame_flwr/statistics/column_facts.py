"""What rules must know of the columns behind a statistic, beyond its figures: how few values.

Who knows that a column is 0 or 1 reads its count from its mean. So a statistic that ``from_data``
made remembers its columns, at the node and in memory only: it is no field, so that it neither
travels nor is pickled, compared or shown. Where rules hold, the gate is told a few numbers of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.statistics.base import Statistic
    from flame_flwr.statistics.values import Numbers

__all__ = [
    "FEW",
    "ColumnFacts",
    "facts_of",
    "keep_columns",
    "made_of",
    "merge_columns",
    "with_facts",
    "without_columns",
]

_S = TypeVar("_S", bound="Statistic")
_ATTRIBUTE = "_columns_behind"
_MOST = 2**63
FEW = 10
"""Columns of as many values may be columns of codes."""
_FEW_CROSSED = 3
"""Columns of as few values are crossed: product sums tell how many rows have both."""
_MOST_ORDERED = 10_000
"""Longer columns have no order: so many figures that they could be solved are not asked of them."""


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What the gate is told of a column behind a statistic.

    Parameters
    ----------
    n : int
        How many values.
    distinct : int
        How many different ones.
    rarest, commonest : int
        How many rows have the rarest and the commonest of them.
    digest : str
        Tells columns of other values apart, in whatever order; empty of two columns crossed.
    order : str
        Tells columns of another order apart: that of a column and of its square is the same.

    Examples
    --------
    >>> died = ColumnFacts.of(np.array([0.0, 0, 0, 0, 0, 1]))
    >>> died.rarest, died.is_small(5)
    (1, True)
    """

    n: int
    distinct: int
    rarest: int
    commonest: int
    digest: str = ""
    order: str = ""

    @classmethod
    def of(cls, column: Numbers) -> Self:
        """Look at a column without missing values."""
        values, counts = np.unique(column, return_counts=True)
        if not len(values):
            return cls(0, 0, 0, 0)
        return cls(
            len(column),
            len(values),
            int(counts.min()),
            int(counts.max()),
            _digest(values + 0.0, counts),
            _order(np.searchsorted(values, column)) if len(column) <= _MOST_ORDERED else "",
        )

    def is_small(self, k: int) -> bool:
        """Tell whether sums of the column may give away that fewer than `k` have some value.

        So it is where it has three values or fewer, or up to ten with `k` rows for each on
        average; and where all but fewer than `k` rows have one and the same. Where all rows differ,
        nobody knows the values.
        """
        few = self.distinct < self.n and self.distinct <= max(3, min(FEW, self.n // k))
        others = self.n - self.commonest
        return (few and 0 < self.rarest < k) or (self.commonest >= k and 0 < others < k)

    def to_json(self) -> list[Any]:
        """Return what is known, for :meth:`from_json`."""
        return list(astuple(self))

    @classmethod
    def from_json(cls, said: Any) -> Self:
        """Read what another process said.

        Raises
        ------
        TypeError, ValueError
            It is not of this form.
        """
        n, distinct, rarest, commonest, digest, order = said
        numbers = (n, distinct, rarest, commonest)
        if not all(type(number) is int and 0 <= number < _MOST for number in numbers):
            raise ValueError("no numbers of a column")
        if not all(isinstance(text, str) and len(text) <= 16 for text in (digest, order)):
            raise ValueError("no digest")
        return cls(n, distinct, rarest, commonest, digest, order)


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """The columns that a statistic was made of, each in pieces: one for each that was merged."""

    pieces: Mapping[str, tuple[Numbers, ...]]

    def facts(self) -> tuple[ColumnFacts, ...]:
        columns = [np.concatenate(parts) for parts in self.pieces.values()]
        found = [ColumnFacts.of(column) for column in columns]
        few = [i for i, facts in enumerate(found) if 1 < facts.distinct <= _FEW_CROSSED]
        crossed = [_rarest_pair(columns[i], columns[j]) for i, j in combinations(few, 2)]
        n = found[0].n if found else 0
        return (*found, *([ColumnFacts(n, 2, min(crossed), n)] if crossed else []))


def made_of(statistic: _S, columns: Mapping[str, Numbers]) -> _S:
    """Return a new statistic that remembers the columns it was made of, without missing values."""
    pieces = {name: (column,) for name, column in columns.items()}
    object.__setattr__(statistic, _ATTRIBUTE, _Columns(pieces))
    return statistic


def with_facts(statistic: Statistic, facts: Sequence[ColumnFacts]) -> None:
    """Have a statistic that has arrived at the gate know what is said of its columns."""
    object.__setattr__(statistic, _ATTRIBUTE, tuple(facts))


def keep_columns(before: Statistic, changed: _S) -> _S:
    """Return a changed statistic that remembers what the one before did."""
    if (known := getattr(before, _ATTRIBUTE, None)) is not None:
        object.__setattr__(changed, _ATTRIBUTE, known)
    return changed


def merge_columns(one: Statistic, two: Statistic, merged: _S) -> _S:
    """Return a merged statistic that remembers the columns of both."""
    both: list[Any] = [getattr(each, _ATTRIBUTE, None) for each in (one, two) if each.size]
    if both and all(isinstance(each, _Columns) for each in both):
        names = both[0].pieces  # the other one may have them in another order
        joined = {name: sum((each.pieces[name] for each in both), ()) for name in names}
        object.__setattr__(merged, _ATTRIBUTE, _Columns(joined))
    return merged


def facts_of(statistic: Statistic) -> tuple[ColumnFacts, ...]:
    """Return what is known of the columns behind a statistic; nothing of one without values."""
    known = getattr(statistic, _ATTRIBUTE, ())
    if not statistic.size:
        return ()
    return known.facts() if isinstance(known, _Columns) else known


def without_columns(state: dict[str, Any]) -> dict[str, Any]:
    """Return a statistic's attributes without its columns, as they are pickled."""
    return {name: value for name, value in state.items() if name != _ATTRIBUTE}


def _rarest_pair(one: Numbers, two: Numbers) -> int:
    """Return how many rows have the rarest pair of values that there is."""
    pairs = np.column_stack([one, two])
    return int(np.unique(pairs, axis=0, return_counts=True)[1].min())


def _order(ranks: Any) -> str:
    """Return the same for a column and for one that falls where it rises."""
    return min(_digest(ranks), _digest(ranks.max() - ranks))


def _digest(*arrays: Any) -> str:
    found = hashlib.blake2b(digest_size=8)
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
