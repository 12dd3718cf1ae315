"""How often the labels of two columns occur together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from flame_flwr.errors import ModelError
from flame_flwr.labels import shared_keys
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.cell_suppression import table_cells_to_withhold
from flame_flwr.statistics.checks import check_lengths
from flame_flwr.statistics.fields import COUNT, WITHHELD_AT, each, labels_of
from flame_flwr.statistics.people import people_in
from flame_flwr.statistics.remembered_columns import made_of
from flame_flwr.statistics.values import declared_labels, label_places
from flame_flwr.statistics.visible import Cells, Visible, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.labels import Label

__all__ = ["ContingencyTable"]

_MOST_CELLS = 2500


def _cells_in_order(rows: list[int], columns: list[int]) -> list[int]:
    """Return the place of every cell, in another order of labels; the last ones stay last."""
    width = len(columns) + 1
    return [i * width + j for i in (*rows, len(rows)) for j in (*columns, len(columns))]


@dataclass(frozen=True)
class ContingencyTable(Statistic):
    """How often each pair of two columns' labels occurs, as ``pandas.crosstab`` tells.

    Parameters
    ----------
    rows, columns : tuple of labels
        Those that are counted.
    counts : tuple of int
        The table row by row, with one more row and one more column at its end, for missing
        values and other labels.
    withheld_at : tuple of int
        For each of these counts: how many nodes' are not in it.

    Examples
    --------
    >>> table = ContingencyTable.from_data(
    ...     ["f", "m", "f"], [1, 0, 0], row_labels=["f", "m"], column_labels=[0, 1]
    ... )
    >>> table.result()["counts"]
    [[1, 1], [1, 0]]
    """

    rows: tuple[Label, ...] = field(metadata=labels_of("row labels"))
    columns: tuple[Label, ...] = field(metadata=labels_of("column labels"))
    counts: tuple[int, ...] = field(
        metadata=each(COUNT, by=("rows", "columns"), arrange=_cells_in_order)
    )
    withheld_at: tuple[int, ...] = field(
        metadata=each(WITHHELD_AT, by=("rows", "columns"), arrange=_cells_in_order)
    )

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        super().__post_init__()
        check_lengths("ContingencyTable", self.counts, self.withheld_at)
        if len(self.counts) != (len(self.rows) + 1) * (len(self.columns) + 1):
            raise ModelError("ContingencyTable: the counts do not fit the labels")
        if len(self.counts) > _MOST_CELLS:
            raise ModelError(f"ContingencyTable: it has more than {_MOST_CELLS} cells")

    @classmethod
    def from_data(
        cls,
        rows: Any,
        columns: Any,
        row_labels: Sequence[Label],
        column_labels: Sequence[Label],
    ) -> Self:
        """Count the pairs of two columns of one length.

        Raises
        ------
        ModelError
            The lengths differ.
        """
        empty = cls.zero(row_labels, column_labels)
        down = label_places(f"{cls.__name__}, rows", rows, empty.rows)
        across = label_places(f"{cls.__name__}, columns", columns, empty.columns)
        check_lengths("ContingencyTable", down, across)
        counts = np.zeros((len(empty.rows) + 1, len(empty.columns) + 1), dtype=np.int64)
        # what fits no label and what is missing are together in the last row and column
        places = np.minimum(down, len(empty.rows)), np.minimum(across, len(empty.columns))
        np.add.at(counts, places, 1)
        made = empty._changed(counts=tuple(counts.ravel().tolist()))
        people = people_in(rows)
        cells = np.ravel_multi_index(places, counts.shape)  # each row's cell, by one number
        # either column may be of the table that says whom rows are about
        return made_of(made, {}, people_in(columns) if people is None else people, cells)

    @classmethod
    def zero(cls, row_labels: Sequence[Label], column_labels: Sequence[Label]) -> Self:
        """Return that of no pairs."""
        rows = declared_labels(cls.__name__, row_labels)
        columns = declared_labels(cls.__name__, column_labels)
        nothing = (0,) * ((len(rows) + 1) * (len(columns) + 1))
        return cls(rows, columns, nothing, nothing)

    def result(self) -> dict[str, Any]:
        """Return ``rows``, ``columns``, ``counts``, ``known``, ``withheld_at`` and ``other``.

        A count that a node withheld is ``None``. ``known`` has what the other nodes count there,
        so the true one is as large or larger, and ``withheld_at`` how many nodes withheld it.
        ``other`` are the pairs with a missing value or another label.
        """
        counts, gone = self._grid(self.counts), self._grid(self.withheld_at)
        outside = np.ones(counts.shape, dtype=bool)
        outside[:-1, :-1] = False
        pairs = zip(counts[:-1, :-1].tolist(), gone[:-1, :-1].tolist(), strict=True)
        return {
            "rows": list(self.rows),
            "columns": list(self.columns),
            "counts": [
                [None if out else count for count, out in zip(row, withheld, strict=True)]
                for row, withheld in pairs
            ],
            "known": counts[:-1, :-1].tolist(),
            "withheld_at": gone[:-1, :-1].tolist(),
            "other": None if gone[outside].any() else int(counts[outside].sum()),
            "suppressed": self.suppressed,
        }

    def _grid(self, flat: tuple[int, ...]) -> Any:
        return np.array(flat, dtype=np.int64).reshape(len(self.rows) + 1, len(self.columns) + 1)

    @property
    def size(self) -> int:
        """The pairs, those with a missing value too."""
        return sum(self.counts)

    @property
    def visible(self) -> Visible:
        """The counts by cell, those of rows and columns, and all where nothing is withheld."""
        tables = self._tables()
        return Visible(
            totals=() if any(self.withheld_at) else whole(self.size),
            parts=tuple(n for _, counts in tables for n in counts.values()),
            tables=tables,
            cells=len(self.rows) * len(self.columns),
        )

    def _tables(self) -> tuple[tuple[object, Cells], ...]:
        """Return the counts by cell, and those of each column by label."""
        counts, out = self._grid(self.counts), self._grid(self.withheld_at) > 0
        own = [shared_keys(self.rows), shared_keys(self.columns)]
        keys = [[*names, "other"] for names in own]
        cells: Cells = {(keys[0][i], keys[1][j]): int(counts[i, j]) for i, j in np.argwhere(~out)}
        of_lines: list[tuple[object, Cells]] = []
        # a row's sum is told by its cells, so long as none of them is withheld
        for axis, names in ((1, keys[0]), (0, keys[1])):
            sums, withheld = counts.sum(axis=axis).tolist(), out.any(axis=axis).tolist()
            pairs = zip(names, sums, withheld, strict=True)
            of_lines.append(("labels", {key: n for key, n, gone in pairs if not gone}))
        which = ("cells", *(tuple(sorted(names)) for names in own))
        return ((which, cells), *of_lines)

    def with_min_count(self, k: int) -> Self:
        """Withhold small counts, and others so that totals do not give these away."""
        withheld = table_cells_to_withhold(self._grid(self.counts), k).ravel().tolist()
        return self._without_places(withheld, "counts", "withheld_at") if any(withheld) else self
