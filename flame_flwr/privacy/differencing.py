"""Withholds what two figures of one answer give away together, where only their sizes are known.

Of plain arrays nobody says whom they are about. So of two groups whose sizes differ by less than
`k` only the larger leaves; likewise of two tables of one form, cell by cell, and of a group beside
a bin or label of another statistic. It goes by sizes, so that chance hits are withheld, too; and in
pairs: what three groups give away together is known of sets of people alone, see
:mod:`flame_flwr.privacy.published_sets`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.rule_changes import without_totals
from flame_flwr.statistics.visible import Cells

__all__ = ["Leaf", "without_overlaps"]

_MOST_TABLES = 1_000
"""So many tables of one form are compared with each other; more are withheld."""


class Leaf(NamedTuple):
    """One statistic of an answer, not made of others.

    Attributes
    ----------
    source : int
        The place of the statistic of the answer that it is, or is a part of.
    column : str or None
        The column that it describes: tables of other columns are not compared with it.
    true, sent : Statistic
        As computed, and as it may leave for all that it says alone.
    has_people : bool
        Whether it is known whom it is about: then its differences are those of the sets, see
        :mod:`flame_flwr.privacy.published_sets`, and not of sizes.
    has_cells : bool
        Whether it is known who is in each bin or of each label, likewise.
    """

    source: int
    column: str | None
    true: Statistic
    sent: Statistic
    has_people: bool = False
    has_cells: bool = False


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
    # Sizes first: a table that is withheld by its total has no cells left to compare.
    rest = iter(_without_sizes([leaf for leaf in leaves if not leaf.has_people], leaves, k))
    leaves = [leaf if leaf.has_people else next(rest) for leaf in leaves]
    tables = _tables_to_withhold(leaves, k)
    return [leaf.sent.withheld() if i in tables else leaf.sent for i, leaf in enumerate(leaves)]


def _without_sizes(leaves: Sequence[Leaf], every: Sequence[Leaf], k: int) -> list[Leaf]:
    """Return leaves of which nobody says whom they are about, without what sizes give away."""
    leaves = _without(leaves, _close((n for leaf in leaves for n in leaf.sent.visible.sizes), k))
    leaves = _without(leaves, _near_a_part(leaves, k))
    # A group of known people is compared by its sets. Beside it others go by size, but for equal
    # ones, which may be of the same people.
    known = {n for leaf in every if leaf.has_people for n in leaf.sent.visible.sizes}
    return _without(leaves, {n + d for n in known for d in range(1 - k, k) if d})


def _without(leaves: Sequence[Leaf], totals: set[int]) -> list[Leaf]:
    return [leaf._replace(sent=without_totals(leaf.sent, totals)) for leaf in leaves]


# ---- sizes of groups ------------------------------------------------------------------------


def _close(totals: Iterable[int], k: int) -> set[int]:
    """Return the totals that are less than `k` below a larger one that is kept."""
    kept: list[int] = []
    close: set[int] = set()
    # From the largest on, and compared with the last one kept: one that is withheld is no longer
    # there to be subtracted from.
    for total in sorted(set(totals), reverse=True):
        if kept and kept[-1] - total < k:
            close.add(total)
        else:
            kept.append(total)
    return close


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
            # Where it is known who is in each cell, the people are compared instead, elsewhere.
            by_sizes = any(not leaves[i].has_cells for i, _, _ in alike)
            found |= _nested(alike, _least(key, k)) if len(alike) > 1 and by_sizes else set()
    return found


def _columns(found: Iterable[str | None]) -> list[str | None]:
    """Return the columns, in order: tables of none are compared with those of each."""
    named = sorted({column for column in found if column is not None})
    return [*named] if named else [None]


def _least(key: object, k: int) -> int:
    """Return the smallest count that may be seen; of as many columns as people these are solved."""
    if isinstance(key, tuple) and key[0] == "Covariance":
        return max(k, len(key[1]) + 1)
    return k


def _nested(tables: list[_Table], k: int) -> set[int]:
    """Return the tables that fit into a larger one and leave a small count there."""
    at = {place: j for j, place in enumerate(dict.fromkeys(p for t in tables for p in t[1]))}
    kept = np.zeros((0, len(at)), dtype=np.int64)
    known = np.zeros((0, len(at)), dtype=bool)
    found: set[int] = set()
    # The larger first: of two that give a few away the one that says more is kept.
    for i, places, shown in sorted(tables, key=lambda table: -sum(table[1].values())):
        if i in found:
            continue
        counts, seen = np.zeros(len(at), dtype=np.int64), np.ones(len(at), dtype=bool)
        for place, count in places.items():
            counts[at[place]], seen[at[place]] = count, place in shown
        # It fits into a table where no cell is larger.
        less = kept - counts
        fits = (less >= 0).all(axis=1) & less.any(axis=1)
        if len(kept) >= _MOST_TABLES or _gives_away(less[fits], known[fits] & seen, k):
            found.add(i)
            continue
        kept, known = np.vstack([kept, counts]), np.vstack([known, seen])
    return found


def _gives_away(rests: npt.NDArray[np.int64], known: npt.NDArray[np.bool_], k: int) -> bool:
    """Tell whether a count, or all that are not known of one difference together, is small."""
    # The cells that are not seen have their sum from the two totals.
    together = np.where(known, 0, rests).sum(axis=1)
    few = (together > 0) & (together < k)
    return bool(few.any() or ((rests > 0) & (rests < k) & known).any())
