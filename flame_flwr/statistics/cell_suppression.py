"""Which counts to withhold so that no small one can be had: cell suppression, on plain counts.

A count from 1 to ``k - 1`` is small and withheld; 0 and ``k`` or more may be seen. Who knows the
totals could subtract what is shown from them, so more counts are withheld, the smallest that will
do, until every small one may be any of at least `k` values. Cox, "Suppression Methodology and
Statistical Disclosure Control" (JASA 1980) is the source of the idea; it does not conceal *that* a
count is withheld, nor does it stop who knows more than totals.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["cells_to_withhold", "coarsen", "table_cells_to_withhold"]

Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def cells_to_withhold(counts: Sequence[int], k: int) -> list[bool]:
    """Tell which counts of one group's parts to withhold from who knows the group's total.

    What is withheld are at least two counts that add up to at least ``k - 1`` more than one each,
    so every one of them may be from 1 to at least `k`.

    Parameters
    ----------
    counts : sequence of int
        One per part; together the parts are the group.
    k : int
        The smallest count that may be seen, above 0.

    Returns
    -------
    list of bool
        ``True`` for those to withhold. All of them where nothing less will do.
    """
    total = sum(counts)
    withheld = [0 < count < k for count in counts]
    if not any(withheld):
        return withheld
    if total < k:
        return [True] * len(counts)
    # The smallest counts go first: what is withheld beside the small ones should cost little.
    order = sorted((count, i) for i, count in enumerate(counts) if count >= k)
    while True:
        inside = [count for count, out in zip(counts, withheld, strict=True) if out]
        # One alone could be had from the total, and so could two of 1 each: who knows that they
        # are above 0 and together 2 knows both.
        if len(inside) > 1 and sum(inside) >= len(inside) + k - 1:
            return withheld
        if not order:
            return [True] * len(counts)
        withheld[order.pop(0)[1]] = True


def table_cells_to_withhold(counts: Counts, k: int) -> Mask:
    """Tell which cells of a table to withhold from who knows its row and column totals.

    Totals are taken to be known where :func:`cells_to_withhold` would show
    them: not the small ones.

    Parameters
    ----------
    counts : ndarray of int, shape (r, c)
        The table.
    k : int
        The smallest count that may be seen, above 0.

    Returns
    -------
    ndarray of bool, shape (r, c)
        ``True`` for those to withhold. All of them where nothing less will do.
    """
    if counts.sum() == 0:
        return np.zeros(counts.shape, dtype=bool)
    if counts.sum() < k:
        return np.ones(counts.shape, dtype=bool)
    net = _Net(counts, k)
    # A rectangle keeps every total, so it is the cheapest cure where there is one; otherwise one
    # more cell is hidden and the next turn looks again. Each turn hides at least one, so it ends.
    while (arc := net.unsafe()) is not None:
        best = _rectangle(counts, net.withheld, arc, k) or _nearest(counts, net.withheld, arc)
        if best is None:
            return np.ones(counts.shape, dtype=bool)
        net.withhold(best)
    return net.withheld


def coarsen(places: Sequence[tuple[int, int]], k: int) -> list[tuple[int, int]] | None:
    """Move neighbours together until no place holds a small count: microaggregation.

    From the lowest place on, neighbours form groups of at least `k`, and all of a group go to
    where its middle one is. Domingo-Ferrer and Mateo-Sanz, "Practical Data-Oriented
    Microaggregation for Statistical Disclosure Control" (IEEE TKDE 2002).

    Parameters
    ----------
    places : sequence of (place, count)
        Sorted by place.
    k : int
        The smallest count that may be seen, above 0.

    Returns
    -------
    list of (place, count) or None
        With the same total; ``None`` where that itself is small.
    """
    groups: list[list[tuple[int, int]]] = [[]]
    for place, count in places:
        if sum(n for _, n in groups[-1]) >= k:
            groups.append([])  # the group is large enough: the next place begins another
        if count:
            groups[-1].append((place, count))
    last = groups.pop()
    if sum(n for _, n in last) >= k:
        groups.append(last)
    elif groups:
        groups[-1] += last
    elif last:
        return None
    return [_together(group) for group in groups]


def _together(group: list[tuple[int, int]]) -> tuple[int, int]:
    total, before = sum(count for _, count in group), 0
    for place, count in group:
        before += count
        if 2 * before >= total:
            return place, total
    raise ValueError("an empty group")


class _Net:
    """A table with its totals as flows: total -> rows -> columns -> total, some of them withheld.

    A withheld count may be larger by `d` if `d` can flow back from its end to its start through the
    other withheld counts: up in one, down in the next, and every total stays. Node 0 is where all
    comes from, 1 where it goes, then rows, then columns.
    """

    def __init__(self, counts: Counts, k: int) -> None:
        self.counts, self.k = counts, k
        self.withheld: Mask = (counts > 0) & (counts < k)
        self.rows = counts.shape[0]
        self.arcs: dict[tuple[int, int], int] = {}
        self.out: dict[int, list[int]] = {}
        self.into: dict[int, list[int]] = {}
        for i, (total, out) in enumerate(_withheld_totals(counts.sum(axis=1), k)):
            if out:
                self._add(0, 2 + i, total)
        for j, (total, out) in enumerate(_withheld_totals(counts.sum(axis=0), k)):
            if out:
                self._add(2 + self.rows + j, 1, total)
        for i, j in np.argwhere(self.withheld):
            self._add(2 + int(i), 2 + self.rows + int(j), int(counts[i, j]))
        # Only these need protection: the others are hidden to give it.
        self.small = [arc for arc, count in self.arcs.items() if 0 < count < k]

    def withhold(self, cells: list[tuple[int, int]]) -> None:
        """Hide more cells."""
        for i, j in cells:
            if not self.withheld[i, j]:
                self.withheld[i, j] = True
                self._add(2 + i, 2 + self.rows + j, int(self.counts[i, j]))

    def unsafe(self) -> tuple[int, int] | None:
        """Return rows and columns of a small count that totals give away; -1 for none of them.

        Hiding more makes no count less safe, so what was found safe is not looked at again.
        """
        while self.small:
            start, end = arc = self.small[-1]
            if not self._is_safe(arc):
                return (start - 2 if start > 1 else -1), (end - 2 - self.rows if end > 1 else -1)
            self.small.pop()
        return None

    def _is_safe(self, arc: tuple[int, int]) -> bool:
        start, end = arc
        # How much larger it could be, then how much smaller: both with every total as it is.
        up = self._flow(end, start, arc, self.k - 1)
        if up >= self.k - 1:
            return True
        down = min(self.arcs[arc] - 1, self.k - 1 - up)
        return up + self._flow(start, end, arc, down) >= self.k - 1

    def _flow(self, start: int, end: int, without: tuple[int, int], most: int) -> int:
        """Return how much can flow from start to end, up to `most`, by shortest paths."""
        changed: dict[tuple[int, int], int] = {}
        total = 0
        # Edmonds and Karp (1972): shortest paths first, so their number does not hang on the counts
        while total < most:
            path = self._path(start, end, without, changed)
            if path is None:
                break
            # Up there is no limit; down a count stays at 1, for it is known that it is above 0.
            room = [
                self.arcs[arc] - 1 + changed.get(arc, 0) for arc, forward in path if not forward
            ]
            step = min([most - total, *room])
            for arc, forward in path:
                changed[arc] = changed.get(arc, 0) + (step if forward else -step)
            total += step
        return total

    def _path(
        self, start: int, end: int, without: tuple[int, int], changed: dict[tuple[int, int], int]
    ) -> list[tuple[tuple[int, int], bool]] | None:
        # breadth first, through arcs as they are and backwards
        came: dict[int, tuple[int, tuple[int, int], bool]] = {start: (start, without, True)}
        queue = deque([start])
        while queue and end not in came:
            node = queue.popleft()
            steps = [((node, to), to, True) for to in self.out.get(node, ())]
            steps += [((to, node), to, False) for to in self.into.get(node, ())]
            for arc, to, forward in steps:
                free = forward or self.arcs[arc] + changed.get(arc, 0) > 1
                if to not in came and arc != without and free:
                    came[to] = (node, arc, forward)
                    queue.append(to)
        if end not in came:
            return None
        path = []
        while end != start:
            end, arc, forward = came[end]
            path.append((arc, forward))
        return path

    def _add(self, start: int, end: int, count: int) -> None:
        self.arcs[start, end] = count
        self.out.setdefault(start, []).append(end)
        self.into.setdefault(end, []).append(start)


def _withheld_totals(totals: Counts, k: int) -> list[tuple[int, bool]]:
    """Pair each total with whether it is withheld; one of 0 is known whatever is withheld."""
    plain = [int(total) for total in totals]
    return [(n, out and n > 0) for n, out in zip(plain, cells_to_withhold(plain, k), strict=True)]


def _rectangle(
    counts: Counts, withheld: Mask, arc: tuple[int, int], k: int
) -> list[tuple[int, int]] | None:
    """Return the cheapest corners of a rectangle that makes a small cell safe.

    With two corners of at least `k` beside it, ``k - 1`` can go round the four.
    """
    i, j = arc
    if i < 0 or j < 0:
        return None
    cost = np.where(withheld, 0, counts).astype(float)
    # of all opposite corners at once: what hiding the corner and the two beside it would cost
    sums = cost + cost[i][None, :] + cost[:, j][:, None]
    allowed = (counts > 0) & (counts[i] >= k)[None, :] & (counts[:, j] >= k)[:, None]
    sums[~allowed] = np.inf
    row, column = (int(place) for place in np.unravel_index(int(sums.argmin()), sums.shape))
    if not np.isfinite(sums[row, column]):
        return None
    return [(i, column), (row, j), (row, column)]


def _nearest(counts: Counts, withheld: Mask, arc: tuple[int, int]) -> list[tuple[int, int]] | None:
    """Return the smallest cell that is still shown, in the same row or column if there is one."""
    shown = (counts > 0) & ~withheld
    if not shown.any():
        return None
    line = np.zeros_like(shown)
    i, j = arc
    if i >= 0:
        line[i] = True
    if j >= 0:
        line[:, j] = True
    near = shown & line
    cost = np.where(near if near.any() else shown, counts, np.iinfo(np.int64).max)
    row, column = np.unravel_index(int(cost.argmin()), cost.shape)
    return [(int(row), int(column))]
