"""How often labels occur: of one column, and of two together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from flame_flwr.errors import ModelError
from flame_flwr.statistics.base import Places, Statistic, added, check_counts, check_lengths
from flame_flwr.statistics.suppression import hide, hide_table
from flame_flwr.statistics.values import check_labels, label_key, labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.statistics.values import Label

__all__ = ["ContingencyTable", "ValueCounts"]

Entry = tuple["Label | None", int, int]

_MOST_CELLS = 2500


@dataclass(frozen=True)
class ValueCounts(Statistic):
    """How often each label of a column occurs, as ``Series.value_counts`` tells.

    Declare the labels where you know them. Where not, they are found in the data, and a label
    that is withheld leaves no trace of its name.

    Parameters
    ----------
    declared : tuple of labels or None
        The labels that are counted; ``None`` for those that are found.
    entries : tuple of (label, count, shown)
        Sorted by label; the missing values first, with the label ``None``. `shown` is how many of
        the `suppressed` nodes did not withhold this count.
    other, other_shown : int
        The values with a label that is not declared.

    Examples
    --------
    >>> counts = ValueCounts.from_data(["f", "m", "f", None])
    >>> counts.result()["labels"], counts.result()["counts"], counts.result()["missing"]
    (['f', 'm'], [2, 1], 1)
    """

    declared: tuple[Label, ...] | None
    entries: tuple[Entry, ...]
    other: int = 0
    other_shown: int = 0

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        check_counts("ValueCounts", self.other, self.other_shown, self.suppressed)
        check_counts("ValueCounts", self.suppressed - self.other_shown)
        for entry in self.entries:
            if type(entry) is not tuple or len(entry) != 3:
                raise ModelError("ValueCounts: an entry is a label, a count and a number of nodes")
            check_counts("ValueCounts", *entry[1:], self.suppressed - entry[2])
        found = tuple(label for label, _, _ in self.entries)
        check_labels("ValueCounts", found[1:])
        if not found or found[0] is not None or list(found) != sorted(found, key=label_key):
            raise ModelError("ValueCounts: the entries must be sorted, missing values first")
        if self.declared is not None:
            check_labels("ValueCounts", self.declared)
            if sorted(self.declared, key=label_key) != list(found[1:]):
                raise ModelError("ValueCounts: the entries must be the declared labels")
        elif self.other or self.other_shown:
            raise ModelError("ValueCounts: other labels need declared ones")

    @classmethod
    def from_data(cls, values: Any, labels: Sequence[Label] | None = None) -> Self:
        """Count the labels of a column.

        Parameters
        ----------
        values : sequence, array or Series
            Strings, numbers or bools; a float without a fraction counts as an int.
        labels : sequence of labels, optional
            Those to count; all others are counted together. Without them, those that are found.
        """
        counted = _counted(values)
        empty = cls.zero(labels)
        if empty.declared is None:
            keys = sorted(counted | {label_key(None): (None, 0)})
            return empty._changed(entries=tuple((*counted.get(key, (None, 0)), 0) for key in keys))
        entries = [
            (label, counted.pop(label_key(label), (None, 0))[1], 0) for label, _, _ in empty.entries
        ]
        return empty._changed(
            entries=tuple(entries), other=sum(count for _, count in counted.values())
        )

    @classmethod
    def zero(cls, labels: Sequence[Label] | None = None) -> Self:
        """Return that of no values."""
        declared = None if labels is None else _declared(labels)
        known = sorted(declared or (), key=label_key)
        return cls(declared, ((None, 0, 0), *((label, 0, 0) for label in known)))

    def merge(self, other: Self) -> Self:
        """Return that of both together."""
        self._check_alike(other, "declared")
        merged = {label_key(label): (label, count, shown) for label, count, shown in self.entries}
        for label, count, shown in other.entries:
            _, had, had_shown = merged.get(label_key(label), (label, 0, 0))
            merged[label_key(label)] = (label, had + count, had_shown + shown)
        return self._changed(
            entries=tuple(merged[key] for key in sorted(merged)),
            other=self.other + other.other,
            other_shown=self.other_shown + other.other_shown,
            suppressed=self.suppressed + other.suppressed,
        )

    def result(self) -> dict[str, Any]:
        """Return ``labels`` with ``counts``, ``known`` and ``withheld_at``; ``missing``, ``other``.

        A count that a node withheld is ``None``. ``known`` has what the other nodes count, so the
        true one is as large or larger, and ``withheld_at`` how many nodes withheld it. Of labels
        that are found in the data, some may be withheld whole: ``suppressed`` nodes did so.
        """
        (_, missing, missing_shown), *found = self.entries
        return {
            "labels": [label for label, _, _ in found],
            "counts": [self._shown(count, shown) for _, count, shown in found],
            "known": [count for _, count, _ in found],
            "withheld_at": [self.suppressed - shown for _, _, shown in found],
            "missing": self._shown(missing, missing_shown),
            "other": self._shown(self.other, self.other_shown) if self.declared is not None else 0,
            "suppressed": self.suppressed,
        }

    def _shown(self, count: int, shown: int) -> int | None:
        return count if shown == self.suppressed else None

    @property
    def size(self) -> int:
        """The values, missing ones too."""
        return sum(count for _, count, _ in self.entries) + self.other

    @property
    def cells(self) -> int:
        """The labels."""
        return len(self.entries) - 1

    def totals(self) -> tuple[int, ...]:
        """Return how many values there are, where that can be had from the counts."""
        return () if self.suppressed or not self.size else (self.size,)

    def part_sizes(self) -> tuple[int, ...]:
        """Return the counts that can be seen."""
        return tuple(self.cells_by_form()[0][1].values())

    def cells_by_form(self) -> tuple[tuple[object, Places], ...]:
        """Return the counts by label; those of the same labels can be subtracted."""
        places: Places = {
            label_key(label): n for label, n, shown in self.entries if shown == self.suppressed
        }
        if self.other_shown == self.suppressed and self.declared is not None:
            places["other"] = self.other
        return (("labels", places),)

    def withheld(self) -> Self:
        """Return it without any count, and without the labels that were found in the data."""
        return self.zero(self.declared)._changed(suppressed=1)

    def with_min_count(self, k: int) -> Self:
        """Withhold small counts, and others so that totals do not give these away."""
        *hidden, other = hide([*(count for _, count, _ in self.entries), self.other], k)
        if not any([*hidden, other]):
            return self
        kept = zip(self.entries, hidden, strict=True)
        return self._changed(
            entries=tuple(
                (label, 0 if out else count, int(not out))
                for (label, count, _), out in kept
                if not out or label is None or self.declared is not None
            ),
            other=0 if other else self.other,
            other_shown=int(not other and self.declared is not None),
            suppressed=1,
        )


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

    rows: tuple[Label, ...]
    columns: tuple[Label, ...]
    counts: tuple[int, ...]
    withheld_at: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        check_labels("ContingencyTable", self.rows)
        check_labels("ContingencyTable", self.columns)
        check_counts("ContingencyTable", *self.counts, *self.withheld_at, self.suppressed)
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
        first, second = labels(rows), labels(columns)
        check_lengths("ContingencyTable", first, second)
        down = {label_key(label): i for i, label in enumerate(empty.rows)}
        across = {label_key(label): j for j, label in enumerate(empty.columns)}
        counts = np.zeros((len(down) + 1, len(across) + 1), dtype=np.int64)
        for (one, two), count in Counter(
            zip(map(label_key, first), map(label_key, second), strict=True)
        ).items():
            counts[down.get(one, len(down)), across.get(two, len(across))] += count
        return empty._changed(counts=tuple(counts.ravel().tolist()))

    @classmethod
    def zero(cls, row_labels: Sequence[Label], column_labels: Sequence[Label]) -> Self:
        """Return that of no pairs."""
        rows, columns = _declared(row_labels), _declared(column_labels)
        nothing = (0,) * ((len(rows) + 1) * (len(columns) + 1))
        return cls(rows, columns, nothing, nothing)

    def merge(self, other: Self) -> Self:
        """Return that of both together."""
        self._check_alike(other, "rows", "columns")
        return self._changed(
            counts=added(self.counts, other.counts),
            withheld_at=added(self.withheld_at, other.withheld_at),
            suppressed=self.suppressed + other.suppressed,
        )

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
                [None if out else count for count, out in zip(row, hidden, strict=True)]
                for row, hidden in pairs
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
    def cells(self) -> int:
        """The cells, of declared labels."""
        return len(self.rows) * len(self.columns)

    def totals(self) -> tuple[int, ...]:
        """Return how many pairs there are, where that can be had from the counts."""
        return () if any(self.withheld_at) or not self.size else (self.size,)

    def part_sizes(self) -> tuple[int, ...]:
        """Return the counts that can be seen, and the sums of rows and columns where they can."""
        return tuple(n for _, places in self.cells_by_form() for n in places.values())

    def cells_by_form(self) -> tuple[tuple[object, Places], ...]:
        """Return the counts by cell, and those of each column by label."""
        counts, out = self._grid(self.counts), self._grid(self.withheld_at) > 0
        cells = {(int(i), int(j)): int(counts[i, j]) for i, j in np.argwhere(~out)}
        by_label: list[tuple[object, Places]] = []
        for axis, names in ((1, self.rows), (0, self.columns)):
            keys = [*map(label_key, names), "other"]
            sums, hidden = counts.sum(axis=axis).tolist(), out.any(axis=axis).tolist()
            pairs = zip(keys, sums, hidden, strict=True)
            by_label.append(("labels", {key: n for key, n, gone in pairs if not gone}))
        return ((("cells", self.rows, self.columns), cells), *by_label)

    def withheld(self) -> Self:
        """Return it without any count."""
        return self._hidden([True] * len(self.counts))

    def with_min_count(self, k: int) -> Self:
        """Withhold small counts, and others so that totals do not give these away."""
        hidden = hide_table(self._grid(self.counts), k).ravel().tolist()
        return self._hidden(hidden) if any(hidden) else self

    def _hidden(self, hidden: list[bool]) -> Self:
        pairs = list(zip(hidden, self.counts, strict=True))
        return self._changed(
            counts=tuple(0 if out else count for out, count in pairs),
            withheld_at=tuple(int(out) for out in hidden),
            suppressed=1,
        )


def _declared(found: Sequence[Label]) -> tuple[Label, ...]:
    """Return labels as a column's are read: 1.0 is 1."""
    if isinstance(found, str):
        raise ModelError("labels must be a list of labels, not one string")
    read = labels(np.array([*found, None], dtype=object)[:-1])
    if None in read:
        raise ModelError("a missing value is no label: missing values are counted anyway")
    return tuple(label for label in read if label is not None)


def _counted(values: Any) -> dict[Any, tuple[Label | None, int]]:
    found = labels(values)
    first = {label_key(label): label for label in found}
    return {key: (first[key], count) for key, count in Counter(map(label_key, found)).items()}
