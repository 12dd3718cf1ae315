"""Row-level data: what leaves a node with an axis that is as long as the node's data has rows.

Such an axis is mostly one entry per patient, whatever it is called. By chance it happens, too, most
of all with small numbers: a result has a few entries per class, bin or feature. So an axis counts
where it follows the data from node to node; where all nodes have as many rows, from ten on, or
from five on where it is that of a table's rows.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from flame_flwr.testing.axes import axes, row_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flame_flwr.testing.axes import ValueAxis
    from flame_flwr.testing.observer import At

__all__ = ["RowLevel", "RowsAndAxes"]

_LEAST_ALIKE = 10
"""Rows of all nodes alike: below, a class, bin or feature per entry is as likely."""

_ROUNDS = 10
"""Rounds in which all of a large value is looked at, and not only its first parts."""

_LEAST_FOLLOWED = 5
"""Rows of the largest node where nodes differ, and the axis with them; of all nodes for tables."""


class RowLevel(NamedTuple):
    """Something that leaves with an axis as long as the data, first seen at a node in a round."""

    at: At
    text: str


class _Seen(NamedTuple):
    """An axis of one node's value: its length, and of what it is."""

    at: At
    length: int
    what: str
    rows: bool


class RowsAndAxes:
    """The numbers of rows in one run: of each node's data, and of the axes of what leaves it."""

    def __init__(self) -> None:
        self._rows: dict[str, set[int]] = {}
        self._axes: dict[tuple[str, str], dict[str, list[_Seen]]] = defaultdict(dict)

    def note_data(self, node: str, data: Any) -> None:
        """Count the rows of a node's data, once."""
        if node not in self._rows:
            self._rows[node] = set()
            with suppress(Exception):  # data of a type of its own, that cannot be looked at
                self._rows[node] = row_counts(data)

    def note_value(self, at: At, value: Any) -> None:
        """Keep the axes of a value that leaves."""
        if not self._rows.get(at.node):
            return
        lengths: dict[str, set[int]] = defaultdict(set)
        few = at.round > _ROUNDS
        found: list[ValueAxis] = []
        with suppress(Exception):
            found = list(axes(value, 1000)) if few else list(axes(value))
        for axis in found:
            lengths[axis.place].add(axis.length)
        for axis in found:
            # Of many entries at one place, all must be alike: else one of them fits by chance.
            if len(lengths[axis.place]) == 1:
                seen = self._axes[f"{at.class_name}.{at.method}", axis.place]
                known = seen.setdefault(at.node, [])
                if all(axis.length != other.length for other in known):
                    known.append(_Seen(at, axis.length, axis.what, axis.rows))

    def found(self) -> Iterator[RowLevel]:
        """Yield what is row-level data at every node that it leaves."""
        for (_, place), nodes in self._axes.items():
            times = self._times(nodes)
            if times is None:
                continue
            at, length, what, _ = next(
                one
                for node, seen in nodes.items()
                for one in seen
                if one.length % times == 0 and one.length // times in self._rows[node]
            )
            said = f"{length} rows, as many as the input"
            if times > 1:
                said = f"{length} entries, {times} for each of the input's {length // times} rows"
            yield RowLevel(at, f"row-level data: {said} ({at}; {what} at {place})")

    def _times(self, nodes: dict[str, list[_Seen]]) -> int | None:
        """Return how many entries of an axis there are per row; ``None`` where it follows none."""
        first, *_ = nodes
        tried = {
            seen.length // rows
            for seen in nodes[first]
            for rows in self._rows[first]
            if seen.length and seen.length % rows == 0
        }
        for times in sorted(tried):  # once per row is likelier than twice
            fitting = {
                node: {seen.length // times for seen in found if seen.length % times == 0}
                & self._rows[node]
                for node, found in nodes.items()
            }
            if not all(fitting.values()):
                continue
            largest = [max(rows) for rows in fitting.values()]
            table = all(one.rows for found in nodes.values() for one in found)
            least = _LEAST_FOLLOWED if table else _LEAST_ALIKE
            differs = len(set(largest)) > 1 and max(largest) >= _LEAST_FOLLOWED
            if differs or (times == 1 and min(largest) >= least):
                return times
        return None
