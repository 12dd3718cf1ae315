"""Which sets of people figures have left about, and whether one more gives few of them away.

Who has the sum over A and that over B within A has that over A less B. So no set that has left,
less any sets within it that have no one in common, may have fewer than `k` people and some; nor may
A less B, or B less A; nor what A and B have in common, where all of A and B together have left. And
of no fewer than `k` who are in the same sets may the sum be had from any sums over the sets.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from flame_flwr.privacy.solved_sums import rows_of, solves_few
from flame_flwr.statistics.people_sets import packed_ids, unpacked_bits, unpacked_ids

if TYPE_CHECKING:
    from flame_flwr.statistics.people import People

__all__ = ["PublishedSets"]

_MOST_SETS = 1000
"""After so many none that is new leaves, of frozen data in any run."""
_MOST_BITS = 4e8
"""So many of people times groups are kept of counts; after that no new count leaves."""
_MOST_STEPS = 5_000
"""So many choices of sets within a set are looked at; one that needs more is withheld."""


class PublishedSets:
    """The sets of people about whom figures have left, as bitmaps.

    Examples
    --------
    >>> sets, everyone = PublishedSets(), np.arange(100, dtype=np.uint64)
    >>> sets.takes(everyone, None, 5), sets.takes(everyone[:50], None, 5)
    (True, True)
    >>> sets.takes(everyone[50:97], None, 5)  # with it the last three could be had
    False
    """

    def __init__(self) -> None:
        self._ids: People = np.zeros(0, dtype=np.uint64)
        self._order = np.zeros(0, dtype=np.int64)
        self._left: list[tuple[str | None, int]] = []
        self._counted: set[tuple[bool, int]] = set()

    def __bool__(self) -> bool:
        """Tell whether any has left."""
        return bool(self._left)

    def takes(self, people: People, column: str | None, k: int) -> bool:
        """Tell whether a figure about these people may leave, too; if so, it has.

        Parameters
        ----------
        people : ndarray of uint64
            Their ids, each once.
        column : str or None
            The column that it is about: other columns' figures cannot be subtracted from it.
        k : int
            The smallest group that may be seen.
        """
        new = self._bitmap(people)
        if (column, new) in self._left:  # as in every round: a second time it tells nothing
            return True
        if len(self._left) >= _MOST_SETS:
            return False
        # A count of whole rows can be compared with figures of every column, each by itself.
        columns = {None, *(of for of, _ in self._left)} if column is None else {column}
        if any(self._tells_of_few(new, self._alike(each), k) for each in columns):
            return False
        self._left.append((column, new))
        return True

    def takes_counts(self, whole: Sequence[People], cells: Sequence[People], k: int) -> bool:
        """Tell whether a statistic's counts of people may leave; if so, they have.

        A bin tells who is beside it where another bin or group is within it, or it within them.
        Those of one statistic are not compared: its own rule has seen to them.

        Parameters
        ----------
        whole : sequence of ndarray of uint64
            The ids of all, each once; none where a count of rows is no count of people.
        cells : sequence of ndarray of uint64
            Those of each bin or label.
        k : int
            The smallest group that may be seen.
        """
        both = [*((False, each) for each in whole), *((True, each) for each in cells)]
        new = {(is_cell, self._bitmap(ids)) for is_cell, ids in both} - self._counted
        if new and (len(self._counted) + len(new)) * len(self._ids) > _MOST_BITS:
            return False
        if any(
            (is_cell or was_cell) and _is_few_apart(one, two, k)
            for is_cell, one in new
            for was_cell, two in self._counted
        ):
            return False
        self._counted |= new
        return True

    def _tells_of_few(self, new: int, left: Sequence[int], k: int) -> bool:
        return _gives_away(new, left, k) or solves_few(new, left, len(self._ids), k)

    def add(self, other: PublishedSets) -> None:
        """Add sets that have left elsewhere."""
        for column, bits in other._left:
            mine = column, self._bitmap(other._people(bits))
            if mine not in self._left:
                self._left.append(mine)
        self._counted |= {(of, self._bitmap(other._people(bits))) for of, bits in other._counted}

    def _people(self, bits: int) -> People:
        people: People = self._ids[rows_of(bits, len(self._ids))]
        return people

    def _alike(self, column: str | None) -> list[int]:
        """Return the sets about whole rows, and those of the column, each once."""
        return list(dict.fromkeys(bits for of, bits in self._left if of in (None, column)))

    def _bitmap(self, people: People) -> int:
        if len(self._order) != len(self._ids):
            self._order = np.argsort(self._ids)
        # Sorted by an index: a person's bit stays where it is when others come.
        places = np.searchsorted(self._ids, people, sorter=self._order)
        known = places < len(self._ids)
        known[known] = self._ids[self._order[places[known]]] == people[known]
        if not known.all():  # grows once, and then knows all
            self._ids = np.concatenate([self._ids, people[~known]])
            return self._bitmap(people)
        bits = np.zeros(len(self._ids), dtype=bool)
        bits[self._order[places]] = True
        return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")

    def to_json(self) -> dict[str, Any]:
        """Return it for :meth:`from_json`."""
        length = (len(self._ids) + 7) // 8
        packed = [[column, _packed(bits, length)] for column, bits in self._left]
        counted = [[is_cell, _packed(bits, length)] for is_cell, bits in sorted(self._counted)]
        return {"people": packed_ids(self._ids.tobytes()), "left": packed, "counted": counted}

    @classmethod
    def from_json(cls, said: Any) -> Self:
        """Return what :meth:`to_json` wrote, of however many people and sets.

        The limits are of one answer; several together may be about more.

        Raises
        ------
        ValueError, TypeError, KeyError
            It is not of this form.
        """
        sets = cls()
        sets._ids = np.frombuffer(unpacked_ids(said["people"], None), dtype=np.uint64)
        if len(np.unique(sets._ids)) != len(sets._ids):
            raise ValueError("no sets of people")
        length = (len(sets._ids) + 7) // 8
        for column, text in said["left"]:
            if not isinstance(column, str | None):
                raise TypeError("no name of a column")
            sets._left.append((column, sets._unpacked(text, length)))
        sets._counted = {
            (is_cell is True, sets._unpacked(text, length)) for is_cell, text in said["counted"]
        }
        return sets

    def _unpacked(self, text: str, length: int) -> int:
        bits = int.from_bytes(unpacked_bits(text, length), "little")
        if bits >> len(self._ids):
            raise ValueError("no set of people")
        return bits


def _packed(bits: int, length: int) -> str:
    return base64.b64encode(zlib.compress(bits.to_bytes(length, "little"), 1)).decode()


def _is_few_apart(one: int, two: int, k: int) -> bool:
    """Tell whether one is within the other, and few are only in that."""
    return not (one & ~two and two & ~one) and _is_few(one ^ two, k)


def _gives_away(new: int, left: Sequence[int], k: int) -> bool:
    """Tell whether a new set gives away fewer than `k`, with those that have left."""
    if any(_is_few(new & ~other, k) or _is_few(other & ~new, k) for other in left):
        return True
    known = set(left)
    if any((new | other) in known and _is_few(new & other, k) for other in left):
        return True
    # From here on of the sets within a larger one: those in the new one, ...
    within = [other for other in left if other != new and not other & ~new]
    if _has_few_in_common(new, within, k) or _leaves_few(new, within, k):
        return True
    # ... and the new one in those that have left.
    return any(
        _leaves_few(larger & ~new, [o for o in left if not o & ~(larger & ~new)], k)
        for larger in left
        if larger != new and not new & ~larger
    )


def _has_few_in_common(whole: int, within: Sequence[int], k: int) -> bool:
    """Tell whether two sets that make up a third have few people in common."""
    by_size: dict[int, list[int]] = {}
    for each in within:
        by_size.setdefault(each.bit_count(), []).append(each)
    return any(
        one | two == whole  # they have as many in common as their sizes are more than its
        for one in within
        for common in range(1, k)
        for two in by_size.get(whole.bit_count() + common - one.bit_count(), ())
    )


def _leaves_few(rest: int, within: Iterable[int], k: int) -> bool:
    """Tell whether few are left of a set without some disjoint ones of those within it."""
    steps = _MOST_STEPS
    # What is left when a set that fits is not taken is never few: it has that one in it. So those
    # that overlap no other are taken, and of the others only the choices between them are tried.
    open_ones = [(rest, list(within))]
    while open_ones:
        rest, fitting = open_ones.pop()
        steps -= 1
        if _is_few(rest, k) or steps < 0:
            return True
        covered = 0
        for each in fitting:
            covered |= each
        if (rest & ~covered).bit_count() >= k or not fitting:
            continue  # nobody can take these away, so at least `k` stay
        one, *others = fitting
        apart = [each for each in others if not each & one]
        open_ones.append((rest & ~one, apart))
        if len(apart) < len(others):
            open_ones.append((rest, others))
    return False


def _is_few(people: int, k: int) -> bool:
    return 0 < people.bit_count() < k
