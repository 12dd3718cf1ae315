"""How many values lie between fixed edges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from flame_flwr.errors import ModelError
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.cell_suppression import cells_to_withhold
from flame_flwr.statistics.checks import check_edges, check_lengths
from flame_flwr.statistics.fields import COUNT, WITHHELD_AT, each, parameter
from flame_flwr.statistics.people import people_in
from flame_flwr.statistics.remembered_columns import made_of
from flame_flwr.statistics.values import numbers
from flame_flwr.statistics.visible import Cells, Visible, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Histogram"]


@dataclass(frozen=True)
class Histogram(Statistic):
    """Counts of a column between edges that every node is given, as ``numpy.histogram`` counts.

    A bin holds its lower edge and not its upper one; the last holds both.

    Parameters
    ----------
    edges : tuple of float
        At least two, each above the one before.
    counts : tuple of int
        One per bin; then the values below all of them, those above, and the missing ones.
    withheld_at : tuple of int
        For each of these counts: how many nodes' are not in it.

    Examples
    --------
    >>> Histogram.from_data([1.0, 2.0, 2.5, 9.0], edges=[0, 2, 4]).result()["counts"]
    [1, 2]
    """

    edges: tuple[float, ...] = field(metadata=parameter(check_edges))
    counts: tuple[int, ...] = field(metadata=each(COUNT))
    withheld_at: tuple[int, ...] = field(metadata=each(WITHHELD_AT))

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        super().__post_init__()
        check_lengths("Histogram", self.counts, self.withheld_at, (*self.edges, 0, 0))

    @classmethod
    def from_data(cls, values: Any, edges: Sequence[float]) -> Self:
        """Count a column of numbers."""
        empty = cls.zero(edges)
        column = numbers(values)
        present = column[~np.isnan(column)]
        inside = np.histogram(present, bins=np.array(empty.edges))[0].tolist()
        below = int((present < empty.edges[0]).sum())
        above = int((present > empty.edges[-1]).sum())
        counts = (*inside, below, above, len(column) - len(present))
        # each row's bin, for rules that count people; only that equal bins are alike matters
        places = np.digitize(column, empty.edges[:-1])  # missing values are behind all others
        places += column > empty.edges[-1]  # the last edge itself is in the last bin
        return made_of(empty._changed(counts=counts), {}, people_in(values), places)

    @classmethod
    def zero(cls, edges: Sequence[float]) -> Self:
        """Return that of no values."""
        if not np.iterable(edges) or isinstance(edges, str):
            raise ModelError(
                "Histogram: edges must be a list of numbers, such as [0, 10, 20], the same at "
                "every node, and not a number of bins"
            )
        own = tuple(float(edge) for edge in edges)
        return cls(own, (0,) * (len(own) + 2), (0,) * (len(own) + 2))

    def result(self) -> dict[str, Any]:
        """Return ``edges``, ``counts``, ``known``, ``withheld_at``, and three more counts.

        A count that a node withheld is ``None``. ``known`` has what the other nodes count there,
        so the true one is as large or larger, and ``withheld_at`` how many nodes withheld it.
        ``below``, ``above`` and ``missing`` are the values outside.
        """
        pairs = zip(self.counts, self.withheld_at, strict=True)
        shown = [None if gone else count for count, gone in pairs]
        return {
            "edges": list(self.edges),
            "counts": shown[:-3],
            "known": list(self.counts[:-3]),
            "withheld_at": list(self.withheld_at[:-3]),
            "below": shown[-3],
            "above": shown[-2],
            "missing": shown[-1],
            "suppressed": self.suppressed,
        }

    @property
    def size(self) -> int:
        """The values, missing ones too."""
        return sum(self.counts)

    @property
    def visible(self) -> Visible:
        """The counts by bin, and all values where these can be had from the counts."""
        pairs = enumerate(zip(self.counts, self.withheld_at, strict=True))
        counts: Cells = {i: n for i, (n, gone) in pairs if not gone}
        return Visible(
            totals=() if any(self.withheld_at) else whole(self.size),
            parts=tuple(counts.values()),
            tables=((("Histogram", self.edges), counts),),
            cells=len(self.edges) - 1,
        )

    def with_min_count(self, k: int) -> Self:
        """Withhold small counts, and others so that totals do not give these away."""
        withheld = cells_to_withhold(self.counts, k)
        return self._without_places(withheld, "counts", "withheld_at") if any(withheld) else self
