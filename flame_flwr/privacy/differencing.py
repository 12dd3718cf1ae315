"""Withholds what could be computed from the rest of an answer: group sizes and cell counts.

Who has everyone's sum, the women's and the men's has that of the three others. So of groups whose
sizes, added and subtracted, come to less than `k`, the smallest is withheld; likewise of tables
whose counts do, cell by cell. It goes by sizes alone, so that chance hits are withheld, too. Two
cells of different statistics are not compared unless they have the same labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.rule_changes import without_totals
from flame_flwr.statistics.visible import Cells

__all__ = ["Leaf", "without_overlaps"]

_FEW = 8
_MOST_SUMS = 20_000
_MOST_TABLES = 4_000
"""So many sums are looked at; a group or table with which there would be more is withheld."""
_MOST_GROUPS = 1_000
"""So many sizes of groups are kept, each compared with all of them; smaller ones are withheld."""


class Leaf(NamedTuple):
    """One statistic of an answer, not made of others.

    Attributes
    ----------
    source : int
        The place of the statistic of the answer that it is, or is a part of.
    column : str or None
        The column that it describes: it is compared with other columns in pairs only.
    true, sent : Statistic
        As computed, and as it may leave for all that it says alone.
    has_people : bool
        Whether it is known whom it is about: then its differences are those of the sets, see
        :mod:`flame_flwr.privacy.published_sets`, and not of sizes.
    """

    source: int
    column: str | None
    true: Statistic
    sent: Statistic
    has_people: bool = False


def without_overlaps(leaves: Sequence[Leaf], k: int) -> list[Statistic]:
    """Return what may leave of an answer, without what would give away fewer than `k` people.

    Parameters
    ----------
    leaves : sequence of Leaf
        All of the answer.
    k : int
        The smallest group that may be seen.

    Returns
    -------
    list of Statistic
        In the same order.
    """
    rest = iter(_without_sizes([leaf for leaf in leaves if not leaf.has_people], leaves, k))
    leaves = [leaf if leaf.has_people else next(rest) for leaf in leaves]
    tables = _tables_to_withhold(leaves, k)
    return [leaf.sent.withheld() if i in tables else leaf.sent for i, leaf in enumerate(leaves)]


def _without_sizes(leaves: Sequence[Leaf], every: Sequence[Leaf], k: int) -> list[Leaf]:
    """Return leaves of which nobody says whom they are about, without what sizes give away."""
    leaves = _without(leaves, _totals_to_withhold(leaves, k))
    leaves = _without(leaves, _near_a_part(leaves, k))
    known = {n for leaf in every if leaf.has_people for n in leaf.sent.visible.sizes}
    return _without(leaves, {n + d for n in known for d in range(1 - k, k) if d})


def _without(leaves: Sequence[Leaf], totals: set[int]) -> list[Leaf]:
    return [leaf._replace(sent=without_totals(leaf.sent, totals)) for leaf in leaves]


# ---- sizes of groups ------------------------------------------------------------------------


class _Group(NamedTuple):
    size: int
    column: str | None
    source: int


def _totals_to_withhold(leaves: Sequence[Leaf], k: int) -> set[int]:
    """Return the sizes of groups of which nothing may leave."""
    groups = {
        _Group(total, leaf.column or column, leaf.source)
        for leaf in leaves
        for column, total in leaf.sent.visible.totals
    }
    small = {
        _Group(leaf.true.size, leaf.column, leaf.source)
        for leaf in leaves
        if 0 < leaf.true.size < k
    }
    unsafe = _close({group.size for group in groups}, k)
    for column in _columns(group.column for group in groups):
        sizes = [size for size in _sizes(groups, column) if size not in unsafe]
        unsafe |= _Sums.of(_sizes(small, column), k).unsafe(sizes)
    return unsafe


def _sizes(groups: Iterable[_Group], column: str | None) -> list[int]:
    """Return the sizes of a column's groups; in one source those of one size are one."""
    found = {(group.size, group.source) for group in groups if group.column in (None, column)}
    return [size for size, _ in found]


def _columns(found: Iterable[str | None]) -> list[str | None]:
    """Return the columns, in order; what is of none is compared with all, or alone."""
    named = sorted({column for column in found if column is not None})
    return [*named] if named else [None]


def _close(totals: set[int], k: int) -> set[int]:
    """Return the totals that are less than `k` below a larger one that is kept."""
    kept: list[int] = []
    close: set[int] = set()
    # From the largest on, and compared with the last one kept: one that is withheld is no longer
    # there to be subtracted from.
    for total in sorted(totals, reverse=True):
        if kept and kept[-1] - total < k:
            close.add(total)
        else:
            kept.append(total)
    return close


@dataclass
class _Sums:
    """Sizes that are kept, from the largest on, and what can be had from these.

    Attributes
    ----------
    limit : int
        A difference from 1 to this is too small: ``k - 1``; of several withheld groups as much
        more as :func:`flame_flwr.statistics.cell_suppression.cells_to_withhold` asks for.
    targets : set of int
        What the withheld groups come to, up to the limit.
    kept : set of int
        The sizes themselves.
    groups : int
        How many groups have them: one size may be that of several.
    rests : set of int
        One of them less any number of others, where that is positive.
    gaps : set of int
        One less another one.
    mixed : set of int
        Any of the first few, added and subtracted.
    """

    limit: int
    targets: set[int]
    kept: set[int] = field(default_factory=set)
    groups: int = 0
    rests: set[int] = field(default_factory=set)
    gaps: set[int] = field(default_factory=set)
    mixed: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, withheld: list[int], k: int) -> _Sums:
        """Begin, with the sizes of the groups that are withheld for being small."""
        limit, sums = k - 1 + max(0, len(withheld) - 1), {0}
        # Several withheld groups may come out of a difference together, so their sums count too.
        for size in withheld:
            sums |= {size + other for other in sums if size + other <= limit}
        return cls(limit, sums - {0})

    def unsafe(self, sizes: list[int]) -> set[int]:
        """Return those that with larger ones come to too little."""
        found: set[int] = set()
        # From the largest on: of two that give a small one away, the larger says more and stays.
        for size in sorted(sizes, reverse=True):
            if size in found:
                continue
            rests = {rest - size for rest in self.rests if rest > size}
            is_more = size not in self.kept and len(self.kept) >= _MOST_GROUPS
            too_many = is_more or len(self.rests | rests) > _MOST_SUMS
            if too_many or self._too_close(size, rests):
                found.add(size)
                continue
            self.rests |= rests | {size}
            # What the size gives with those that are kept is known from now on, too.
            self.gaps |= {other - size for other in self.kept}
            if self.groups < _FEW:
                self.mixed |= {size} | self._mixed_with(size)
            self.kept.add(size)
            self.groups += 1
        return found

    def _too_close(self, size: int, rests: set[int]) -> bool:
        if any(rest <= self.limit for rest in rests):  # all - f - m - ... = the few others
            return True
        if any({size - d, size + d} & self.gaps for d in range(1, self.limit + 1)):
            return True  # f + m - all = the few that are both
        if self.groups < _FEW:  # f + m + x - young - old = those who are withheld
            return not self.targets.isdisjoint(self._mixed_with(size))
        return any(  # likewise, with two on each side
            {other - size + d, other - size - d} & self.gaps
            for other in self.kept
            for d in self.targets
        )

    def _mixed_with(self, size: int) -> set[int]:
        return {abs(other + sign * size) for other in self.mixed - {0} for sign in (1, -1)}


def _near_a_part(leaves: Sequence[Leaf], k: int) -> set[int]:
    """Return the sizes of groups that are close to a count within a statistic of other cells.

    A count that may be seen tells nothing new of a group of its size.
    """
    seen = [leaf.sent.visible for leaf in leaves]
    keys = [frozenset(key for key, _ in visible.tables) for visible in seen]
    # By keys, as of many statistics with the same a few have to be looked at.
    found: dict[int, dict[frozenset[object], set[int]]] = {}
    for leaf, visible, its in zip(leaves, seen, keys, strict=True):
        for total in visible.sizes:
            found.setdefault(total, {}).setdefault(its, set()).add(leaf.source)
    return {
        total
        for leaf, its in zip(leaves, keys, strict=True)
        for part, known in _parts(leaf, k)
        for total in range(max(1, part - k + 1), part + k)
        if not (known and total == part)
        and any(
            sources != {leaf.source} and not its & others
            for others, sources in found.get(total, {}).items()
        )
    }


def _parts(leaf: Leaf, k: int) -> set[tuple[int, bool]]:
    """Return the counts within a statistic, and whether they may be seen.

    One that is withheld to protect a smaller one must not be had from a group of its size.
    """
    sent = Counter(leaf.sent.visible.parts)
    withheld = Counter(leaf.true.visible.parts) - sent
    return {(part, True) for part in sent} | {(part, False) for part in withheld if part >= k}


# ---- counts of the same cells ---------------------------------------------------------------

_Table = tuple[int, Cells, Cells]
"""The number of a leaf, its counts as computed, and those of them that may leave."""


def _tables_to_withhold(leaves: Sequence[Leaf], k: int) -> set[int]:
    """Return the leaves that with larger ones of the same cells give away a small count."""
    by_key: dict[object, list[_Table]] = {}
    for i, leaf in enumerate(leaves):
        both = zip(leaf.true.visible.tables, leaf.sent.visible.tables, strict=False)
        for (key, cells), (_, shown) in both:
            if shown:
                by_key.setdefault(key, []).append((i, cells, shown))
    found: set[int] = set()
    for key, tables in by_key.items():
        for column in _columns(leaves[i].column for i, _, _ in tables):
            alike = [
                table
                for table in tables
                if table[0] not in found and leaves[table[0]].column in (None, column)
            ]
            found |= _nested(alike, _least(key, k)) if len(alike) > 1 else set()
    return found


def _least(key: object, k: int) -> int:
    """Return the smallest count that may be seen; of covariances, what could not be solved."""
    if isinstance(key, tuple) and key[0] == "Covariance":
        return max(k, len(key[1]) + 1)
    return k


def _nested(tables: list[_Table], k: int) -> set[int]:
    """Return the tables that fit into larger ones and leave a small count there."""
    at = {place: j for j, place in enumerate(dict.fromkeys(p for t in tables for p in t[1]))}
    rests = np.zeros((0, len(at)), dtype=np.int64)
    known = np.zeros((0, len(at)), dtype=bool)
    found: set[int] = set()
    for i, places, shown in sorted(tables, key=lambda table: -sum(table[1].values())):
        if i in found:
            continue
        counts, seen = np.zeros(len(at), dtype=np.int64), np.ones(len(at), dtype=bool)
        for place, count in places.items():
            counts[at[place]], seen[at[place]] = count, place in shown
        # It fits into a table, or what is left of one, where no cell is larger.
        less = rests - counts
        fits = (less >= 0).all(axis=1) & less.any(axis=1)
        less, both = less[fits], known[fits] & seen
        # With too many combinations to look at, it is withheld as if one had been found.
        if len(rests) + len(less) >= _MOST_TABLES or _gives_away(less, both, k):
            found.add(i)
            continue
        rests, known = np.vstack([rests, less, counts]), np.vstack([known, both, seen])
    return found


def _gives_away(rests: npt.NDArray[np.int64], known: npt.NDArray[np.bool_], k: int) -> bool:
    """Tell whether a count, or all that are not known of one rest together, is small."""
    together = np.where(known, 0, rests).sum(axis=1)
    few = (together > 0) & (together < k)
    return bool(few.any() or ((rests > 0) & (rests < k) & known).any())
