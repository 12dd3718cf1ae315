"""What rules must know of the columns behind a statistic, beyond its figures: how few values.

Who knows that a column is 0 or 1 reads its count from its mean. So a statistic that ``from_data``
made remembers its columns, at the node and in memory only: it is no field, so that it neither
travels nor is pickled, compared or shown. Where rules hold, the gate is told a few numbers of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from flame_flwr.statistics.read_columns import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.statistics.base import Statistic
    from flame_flwr.statistics.people import People
    from flame_flwr.statistics.values import Numbers

__all__ = [
    "FEW",
    "ColumnFacts",
    "cells_of",
    "facts_of",
    "ids_of",
    "ids_with_rows",
    "keep_columns",
    "made_of",
    "merge_columns",
    "sources_behind",
    "with_facts",
    "without_columns",
]

Places = npt.NDArray[np.int64]

_S = TypeVar("_S", bound="Statistic")
_ATTRIBUTE = "_columns_behind"
_MOST = 2**63
FEW = 10
"""Columns of as many values may be columns of codes."""
_FEW_CROSSED = 3
"""Columns of as few values are crossed: product sums tell how many rows have both."""
_MOST_CELLS = 100
_MOST_ORDERED = 10_000
"""Longer columns have no order: so many figures that they could be solved are not asked of them."""


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What the gate is told of a column behind a statistic.

    Parameters
    ----------
    n : int
        How many people, or how many values where it is not known whose they are.
    distinct : int
        How many different ones.
    rarest, commonest : int
        How many rows have the rarest and the commonest of them.
    digest : str
        Tells columns of other values apart, in whatever order; empty of two columns crossed.
    order : str
        Tells columns of another order apart: that of a column and of its square is the same.
    of_people : bool
        Whether people are counted, in all these numbers.
    cells : tuple of (int, int)
        How many rows a bin or label with so few people has at most, for each number of people up
        to a hundred with which there are more than with fewer.
    source : str
        Which column of the data it is, or ``"="`` where it was computed; '' where nobody knows.

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
    of_people: bool = False
    cells: tuple[tuple[int, int], ...] = ()
    source: str = ""

    @classmethod
    def of(cls, column: Numbers, people: People | None = None) -> Self:
        """Look at a column without missing values, and at whose they are."""
        values, counts = np.unique(column, return_counts=True)
        if not len(values):
            return cls(0, 0, 0, 0)
        n, rarest, commonest = len(column), int(counts.min()), int(counts.max())
        if people is not None:
            places = np.searchsorted(values, column)
            is_common = places == counts.argmax()
            n, rarest, commonest = _counted_by_people(places, is_common, len(values), people)
        is_short = len(column) <= _MOST_ORDERED
        return cls(
            n,
            len(values),
            rarest,
            commonest,
            _digest(values + 0.0, counts),
            _order(np.searchsorted(values, column)) if is_short else "",
            people is not None,
            source=source_of(column),
        )

    @classmethod
    def of_rows(cls, people: People, places: Places | None = None) -> Self:
        """Count the people of rows, and those of the cell that each row is in.

        Without cells, any rows may be together: those of the people with most of them.
        """
        codes = _coded(people)[1]
        rows = np.bincount(codes)
        if places is None:
            pairs = list(enumerate(np.cumsum(np.sort(rows)[::-1][:_MOST_CELLS]).tolist(), start=1))
        else:
            pairs = _people_and_rows(codes, places)
        return cls(len(rows), 0, 0, 0, of_people=True, cells=_frontier(pairs))

    def least_rows(self, k: int) -> int:
        """Return how many rows a cell must have, so that none with fewer than `k` people has."""
        return max([k, *(rows + 1 for people, rows in self.cells if people < k)])

    def is_small(self, k: int) -> bool:
        """Tell whether sums of the column may give away that fewer than `k` have some value.

        So it is where it has three values or fewer, or up to ten with `k` rows for each on
        average; and where all but fewer than `k` rows have one and the same. Where all rows differ,
        nobody knows the values. What is of fewer people is small, too.
        """
        if self.of_people and 0 < self.n < k:
            return True
        few = 0 < self.distinct < self.n and self.distinct <= max(3, min(FEW, self.n // k))
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
        n, distinct, rarest, commonest, digest, order, of_people, cells, source = said
        pairs = tuple((people, rows) for people, rows in cells)
        numbers = (n, distinct, rarest, commonest, *(count for pair in pairs for count in pair))
        if not all(type(number) is int and 0 <= number < _MOST for number in numbers):
            raise ValueError("no numbers of a column")
        if not all(isinstance(text, str) and len(text) <= 16 for text in (digest, order, source)):
            raise ValueError("no digest")
        if len(pairs) > _MOST_CELLS:
            raise ValueError("too many cells")
        people = of_people is True
        return cls(n, distinct, rarest, commonest, digest, order, people, pairs, source)


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """What the gate is told of a statistic that has arrived."""

    facts: tuple[ColumnFacts, ...]
    ids: People | None
    cells: tuple[People, ...] = ()
    with_rows: People | None = None


@dataclass(frozen=True, eq=False)
class _Columns:
    """The columns that a statistic was made of, each in pieces: one for each that was merged."""

    pieces: Mapping[str, tuple[Numbers, ...]]
    people: tuple[People, ...] = ()
    places: tuple[Places, ...] = ()

    @cached_property
    def ids(self) -> People | None:
        return _coded(_joined(self.people))[0] if self.people else None

    @cached_property
    def with_rows(self) -> People | None:
        """A hash of each person and the number of rows; ``None`` where all have one."""
        if not self.people:
            return None
        ids, codes = _coded(_joined(self.people))
        if len(ids) == len(codes):
            return None
        step = np.uint64(0x9E3779B97F4A7C15)  # odd: wraps around, and is the same in all rounds
        more = np.bincount(codes).astype(np.uint64) - np.uint64(1)
        return np.unique(ids + more * step)

    @cached_property
    def cells(self) -> tuple[People, ...]:
        """Whom each bin or label is about, where each person has one row, of one piece."""
        if self.ids is None or len(self.places) != 1 or len(self.ids) != len(self.people[0]):
            return ()
        order = np.argsort(self.places[0], kind="stable")
        starts = np.flatnonzero(np.diff(self.places[0][order])) + 1
        return tuple(np.sort(each) for each in np.split(self.people[0][order], starts))

    @cached_property
    def facts(self) -> tuple[ColumnFacts, ...]:
        columns = [np.concatenate(parts) for parts in self.pieces.values()]
        people = _joined(self.people) if self.people else None
        if not columns and people is not None:
            places = np.concatenate(self.places) if self.places else None
            return (ColumnFacts.of_rows(people, places),)
        found = [ColumnFacts.of(column, people) for column in columns]
        few = [i for i, facts in enumerate(found) if 1 < facts.distinct <= _FEW_CROSSED]
        codes = {i: np.unique(columns[i], return_inverse=True)[1] for i in few}
        crossed = [
            _rarest(_FEW_CROSSED * codes[i] + codes[j], people) for i, j in combinations(few, 2)
        ]
        n = found[0].n if found else 0
        return (*found, *([ColumnFacts(n, 2, min(crossed), n)] if crossed else []))


def made_of(
    statistic: _S,
    columns: Mapping[str, Numbers],
    people: People | None = None,
    places: Places | None = None,
) -> _S:
    """Return a new statistic that remembers what it was made of.

    Parameters
    ----------
    statistic : Statistic
        The new one.
    columns : mapping of str to ndarray
        The columns that it has sums or extremes of, without missing values.
    people : ndarray, optional
        Whom each row is about.
    places : ndarray, optional
        Which bin or label each row is in.
    """
    pieces = {name: (column,) for name, column in columns.items()}
    if not pieces and people is None:
        return statistic
    of = () if people is None else (people,)
    known = _Columns(pieces, of, () if places is None else (places,))
    object.__setattr__(statistic, _ATTRIBUTE, known)
    return statistic


def with_facts(
    statistic: Statistic,
    facts: Sequence[ColumnFacts],
    ids: People | None = None,
    cells: Sequence[People] = (),
    with_rows: People | None = None,
) -> None:
    """Have a statistic that has arrived at the gate know what is said of its columns and people."""
    object.__setattr__(statistic, _ATTRIBUTE, _Told(tuple(facts), ids, tuple(cells), with_rows))


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
        of = tuple(part for each in both for part in each.people)
        places = tuple(part for each in both for part in each.places)
        # of pieces of which some do not say whose they are, the rows count
        known = _Columns(joined, of, places) if all(each.people for each in both) else None
        object.__setattr__(merged, _ATTRIBUTE, known or _Columns(joined))
    return merged


def facts_of(statistic: Statistic) -> tuple[ColumnFacts, ...]:
    """Return what is known of the columns behind a statistic; nothing of one without values."""
    known: _Columns | _Told | None = getattr(statistic, _ATTRIBUTE, None)
    return known.facts if known is not None and statistic.size else ()


def ids_of(statistic: Statistic) -> People | None:
    """Return whom a statistic is about, each once; ``None`` where that is not known."""
    known: _Columns | _Told | None = getattr(statistic, _ATTRIBUTE, None)
    return known.ids if known is not None and statistic.size else None


def cells_of(statistic: Statistic) -> tuple[People, ...]:
    """Return whom each bin or label of a statistic is about, where each person has one row."""
    known: _Columns | _Told | None = getattr(statistic, _ATTRIBUTE, None)
    return known.cells if known is not None and statistic.size else ()


def ids_with_rows(statistic: Statistic) -> People | None:
    """Return whom it is about, with how many rows each; ``None`` where all have one."""
    known: _Columns | _Told | None = getattr(statistic, _ATTRIBUTE, None)
    return known.with_rows if known is not None and statistic.size else None


def sources_behind(statistic: Statistic) -> set[str]:
    """Return which columns that were read a statistic is of, also of one that is withheld."""
    known: _Columns | _Told | None = getattr(statistic, _ATTRIBUTE, None)
    return {facts.source for facts in known.facts if facts.source} if known is not None else set()


def without_columns(state: dict[str, Any]) -> dict[str, Any]:
    """Return a statistic's attributes without its columns, as they are pickled."""
    return {name: value for name, value in state.items() if name != _ATTRIBUTE}


_LAST_CODED: list[tuple[People, tuple[People, Places]]] = []


def _joined(parts: tuple[People, ...]) -> People:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _coded(people: People) -> tuple[People, Places]:
    """Return each person once, and for each row the place there."""
    # Columns of one table have one array of people, and they are many.
    last = next(iter(_LAST_CODED), None)
    if last is None or last[0] is not people:
        ids, codes = np.unique(people, return_inverse=True)
        last = people, (ids, codes)
        _LAST_CODED[:] = [last]
    return last[1]


def _counted_by_people(
    places: Places, is_common: npt.NDArray[np.bool_], distinct: int, people: People
) -> tuple[int, int, int]:
    """Return how many people there are, how many have the rarest value, and no value but one.

    Of many values nobody asks how many people have the rarest: one.
    """
    ids, codes = _coded(people)
    others = np.count_nonzero(np.bincount(codes[~is_common], minlength=len(ids)))
    rarest = int(_people_by_place(codes, places).min()) if distinct <= FEW else 1
    return len(ids), rarest, len(ids) - int(others)


def _people_by_place(codes: Places, places: Places) -> Places:
    n = int(codes.max()) + 1
    return np.bincount(np.unique(places * n + codes) // n)


def _people_and_rows(codes: Places, places: Places) -> list[tuple[int, int]]:
    people, rows = _people_by_place(codes, places), np.bincount(places)
    return sorted(zip(people.tolist(), rows.tolist(), strict=True))


def _frontier(pairs: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the pairs, sorted, that have more rows than people and than all before them."""
    found: list[tuple[int, int]] = []
    for people, rows in pairs:
        if people < rows and (not found or rows > found[-1][1]):
            if found and found[-1][0] == people:
                found.pop()
            found.append((people, rows))
    return tuple(found[:_MOST_CELLS])


def _rarest(places: Places, people: People | None) -> int:
    """Return how many rows, or people, are in the place with the fewest that has some."""
    counts = np.bincount(places)
    if people is not None:
        counts = _people_by_place(_coded(people)[1], places)
    return int(counts[counts > 0].min())


def _order(ranks: Any) -> str:
    """Return the same for a column and for one that falls where it rises."""
    return min(_digest(ranks), _digest(ranks.max() - ranks))


def _digest(*arrays: Any) -> str:
    found = hashlib.blake2b(digest_size=8)
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
