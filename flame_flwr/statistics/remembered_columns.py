"""The columns behind a statistic that ``from_data`` made, remembered at the node, in memory only.

They are no field, so that they neither travel nor are pickled, compared or shown. Where rules hold,
the gate is told a few numbers of them: :mod:`flame_flwr.statistics.column_facts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from flame_flwr.statistics.column_facts import ColumnFacts, coded, rarest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.statistics.base import Statistic
    from flame_flwr.statistics.column_facts import RowCodes
    from flame_flwr.statistics.people import People
    from flame_flwr.statistics.values import Numbers

__all__ = [
    "Behind",
    "behind",
    "keep_columns",
    "made_of",
    "merge_columns",
    "sources_behind",
    "tell",
    "without_columns",
]

_S = TypeVar("_S", bound="Statistic")
_ATTRIBUTE = "_columns_behind"
_FEW_CROSSED = 3
"""Columns of as few values are crossed: product sums tell how many rows have both."""


def made_of(
    statistic: _S,
    columns: Mapping[str, Numbers],
    people: People | None = None,
    places: RowCodes | None = None,
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
    return _remembering(statistic, _Columns(pieces, of, () if places is None else (places,)))


def tell(statistic: Statistic, known: Behind) -> None:
    """Attach to a statistic, at the gate, what its node says of columns and people behind it."""
    _remembering(statistic, known)


def keep_columns(before: Statistic, changed: _S) -> _S:
    """Return a changed statistic that remembers what the one before did."""
    known = getattr(before, _ATTRIBUTE, None)
    return changed if known is None else _remembering(changed, known)


def merge_columns(one: Statistic, two: Statistic, merged: _S) -> _S:
    """Return a merged statistic that remembers the columns of both."""
    # one of no values adds nothing, and so may be without columns, as `zero` is
    both: list[Any] = [getattr(each, _ATTRIBUTE, None) for each in (one, two) if each.size]
    if both and all(isinstance(each, _Columns) for each in both):
        names = both[0].pieces  # the other one may have them in another order
        joined = {name: sum((each.pieces[name] for each in both), ()) for name in names}
        of = tuple(part for each in both for part in each.people)
        places = tuple(part for each in both for part in each.places)
        # of pieces of which some do not say whose they are, the rows count
        known = _Columns(joined, of, places) if all(each.people for each in both) else None
        return _remembering(merged, known or _Columns(joined))
    return merged


def behind(statistic: Statistic) -> Behind | _Columns:
    """Return what is known of what a statistic is of; nothing of one without values."""
    known: Behind | _Columns | None = getattr(statistic, _ATTRIBUTE, None)
    return known if known is not None and statistic.size else Behind()


def sources_behind(statistic: Statistic) -> set[str]:
    """Return which columns that were read a statistic is of, also of one that is withheld."""
    known: Behind | _Columns = getattr(statistic, _ATTRIBUTE, Behind())
    return {facts.source for facts in known.facts if facts.source}


def without_columns(state: dict[str, Any]) -> dict[str, Any]:
    """Return a statistic's attributes without its columns, as they are pickled."""
    return {name: value for name, value in state.items() if name != _ATTRIBUTE}


def _remembering(statistic: _S, known: Behind | _Columns) -> _S:
    # Where `cached_property` keeps its values, too: what is no field is no part of what is frozen.
    vars(statistic)[_ATTRIBUTE] = known
    return statistic


@dataclass(frozen=True, slots=True, eq=False)
class Behind:
    """What the gate is told of a statistic that has arrived.

    Parameters
    ----------
    facts : tuple of ColumnFacts
        Of each of its columns.
    ids : ndarray of uint64, optional
        Whom it is about, each once; ``None`` where that is not known.
    cells : tuple of ndarray
        Whom each bin or label is about, where each person has one row.
    with_rows : ndarray of uint64, optional
        Whom it is about, with how many rows each; ``None`` where all have one.
    """

    facts: tuple[ColumnFacts, ...] = ()
    ids: People | None = None
    cells: tuple[People, ...] = ()
    with_rows: People | None = None


@dataclass(frozen=True, eq=False)
class _Columns:
    """The columns that a statistic was made of, each in pieces: one for each that was merged."""

    pieces: Mapping[str, tuple[Numbers, ...]]
    people: tuple[People, ...] = ()
    places: tuple[RowCodes, ...] = ()

    @cached_property
    def ids(self) -> People | None:
        return coded(_joined(self.people))[0] if self.people else None

    @cached_property
    def with_rows(self) -> People | None:
        """A hash of each person and the number of rows; ``None`` where all have one."""
        if not self.people:
            return None
        ids, codes = coded(_joined(self.people))
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
        # each cell's people in one sort, and not a search for each cell
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
            rarest(_FEW_CROSSED * codes[i] + codes[j], people) for i, j in combinations(few, 2)
        ]
        n = found[0].n if found else 0
        return (*found, *([ColumnFacts(n, 2, min(crossed), n)] if crossed else []))


def _joined(parts: tuple[People, ...]) -> People:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
