"""What rules must know of the columns behind a statistic, beyond its figures: how few values.

Who knows that a column is 0 or 1 reads its count from its mean. So the gate is told a few numbers
of each column, where rules hold; :mod:`flame_flwr.statistics.remembered_columns` has the columns.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from flame_flwr.statistics.read_columns import COMPUTED, source_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.statistics.people import People
    from flame_flwr.statistics.values import Numbers

__all__ = ["FEW", "ColumnFacts", "RowCodes", "coded", "rarest"]

RowCodes = npt.NDArray[np.int64]
"""Which bin or label each row is in, or whom it is about, by a number from 0."""

_LAST_CODED: list[tuple[People, tuple[People, RowCodes]]] = []

_MOST = 2**63
FEW = 10
"""Columns of as many values may be columns of codes."""
_MOST_CELLS = 100
_TEXT = re.compile("[0-9a-f]{0,16}")
"""A digest of ours, or nothing."""
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
            _digest(values + 0.0, counts),  # -0.0 has other bytes than 0.0
            _order(np.searchsorted(values, column)) if is_short else "",
            people is not None,
            source=source_of(column),
        )

    @classmethod
    def of_rows(cls, people: People, places: RowCodes | None = None) -> Self:
        """Count the people of rows, and those of the cell that each row is in.

        Without cells, any rows may be together: those of the people with most of them.
        """
        codes = coded(people)[1]
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
        # of them a `FigureAccount` makes names of several words
        if not all(isinstance(text, str) and _TEXT.fullmatch(text) for text in (digest, order)):
            raise ValueError("no digest")
        if source != COMPUTED and not (isinstance(source, str) and _TEXT.fullmatch(source)):
            raise ValueError("no source")
        if len(pairs) > _MOST_CELLS:
            raise ValueError("too many cells")
        people = of_people is True  # of anything else nothing is believed
        return cls(n, distinct, rarest, commonest, digest, order, people, pairs, source)


def coded(people: People) -> tuple[People, RowCodes]:
    """Return each person once, and for each row the place there."""
    # Columns of one table have one array of people, and they are many.
    last = next(iter(_LAST_CODED), None)
    if last is None or last[0] is not people:
        ids, codes = np.unique(people, return_inverse=True)
        last = people, (ids, codes)
        _LAST_CODED[:] = [last]
    return last[1]


def _people_by_place(codes: RowCodes, places: RowCodes) -> RowCodes:
    """Return how many people are in each place that has some, given each row's person and place."""
    n = int(codes.max()) + 1
    return np.bincount(np.unique(places * n + codes) // n)


def _people_and_rows(codes: RowCodes, places: RowCodes) -> list[tuple[int, int]]:
    """Return how many people and rows each place has, from few people to many."""
    people, rows = _people_by_place(codes, places), np.bincount(places)
    return sorted(zip(people.tolist(), rows.tolist(), strict=True))


def rarest(places: RowCodes, people: People | None) -> int:
    """Return how many rows, or people, are in the place with the fewest that has some."""
    counts = np.bincount(places)
    if people is not None:
        counts = _people_by_place(coded(people)[1], places)
    return int(counts[counts > 0].min())


def _counted_by_people(
    places: RowCodes, is_common: npt.NDArray[np.bool_], distinct: int, people: People
) -> tuple[int, int, int]:
    """Return how many people there are, how many have the rarest value, and no value but one.

    Of many values nobody asks how many people have the rarest: one.
    """
    ids, codes = coded(people)
    others = np.count_nonzero(np.bincount(codes[~is_common], minlength=len(ids)))
    rarest = int(_people_by_place(codes, places).min()) if distinct <= FEW else 1
    return len(ids), rarest, len(ids) - int(others)


def _frontier(pairs: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the pairs, sorted, that have more rows than people and than all before them."""
    found: list[tuple[int, int]] = []
    for people, rows in pairs:
        if people < rows and (not found or rows > found[-1][1]):
            if found and found[-1][0] == people:
                found.pop()
            found.append((people, rows))
    return tuple(found[:_MOST_CELLS])


def _order(ranks: Any) -> str:
    """Return the same for a column and for one that falls where it rises."""
    return min(_digest(ranks), _digest(ranks.max() - ranks))


def _digest(*arrays: Any) -> str:
    found = hashlib.blake2b(digest_size=8)
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
