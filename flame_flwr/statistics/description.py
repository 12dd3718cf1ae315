"""A data frame's usual figures, column by column, as ``DataFrame.describe`` gives them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from flame_flwr.errors import ModelError
from flame_flwr.statistics.alignment import by_name
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.checks import check_lengths
from flame_flwr.statistics.columns import (
    DATE,
    LABEL,
    NUMBER,
    QUARTILES,
    figures,
    merged_column,
    of_column,
)
from flame_flwr.statistics.counts import RowCount
from flame_flwr.statistics.fields import COLUMNS, child
from flame_flwr.statistics.formatting import shown_table, shown_title
from flame_flwr.statistics.minmax import MinMax
from flame_flwr.statistics.moments import Moments
from flame_flwr.statistics.people import of_rows, people_in
from flame_flwr.statistics.quantiles import Quantiles
from flame_flwr.statistics.remembered_columns import made_of
from flame_flwr.statistics.rule_changes import members, with_members
from flame_flwr.statistics.value_counts import ValueCounts
from flame_flwr.statistics.values import columns_of
from flame_flwr.statistics.visible import Visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from flame_flwr.labels import Label

__all__ = ["Description", "describe"]

_ALTERED = ("other", "suppressed", "range_withheld_at", "coarsened_at", "noisy_at")
"""Rows of `Description.to_frame` that are there where they tell something."""


def describe(frame: Any, labels: Mapping[str, Sequence[Label]] | None = None) -> Description:
    """Return the statistics that a table deserves: what ``Description.from_data`` makes.

    Examples
    --------
    >>> table = {"age": [50, 61, 72], "sex": ["f", "m", "f"]}
    >>> found = describe(table).result()["columns"]
    >>> found["age"]["mean"], found["sex"]["top"]
    (61.0, 'f')
    """
    return Description.from_data(frame, labels)


@dataclass(frozen=True)
class Description(Statistic):
    """The columns of a table: moments, quartiles and extremes of numbers, counts of labels.

    Dates have moments and extremes, in days since 1970, and no quartiles. A column that is empty
    at a node, or whose values are all missing, is of the kind that it has at the others.

    Parameters
    ----------
    columns : tuple of str
        Their names.
    rows : RowCount
        How many rows the table has.
    parts : tuple of tuples of statistics
        Per column: ``Moments``, ``Quantiles`` and ``MinMax``; of dates ``Moments`` and
        ``MinMax``; or ``ValueCounts``.

    Examples
    --------
    >>> here, there = Description.from_data({"age": [50, 61]}), Description.from_data({"age": [72]})
    >>> here.merge(there).result()["columns"]["age"]["mean"]
    61.0
    """

    columns: tuple[str, ...] = field(metadata=COLUMNS)
    rows: RowCount = field(metadata=child(RowCount))
    # Without a rule, which would see this field alone: a column that is empty at one node takes the
    # other's kind, and its missing values are then the rows. Errors name the column, too.
    parts: tuple[tuple[Statistic, ...], ...]

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        super().__post_init__()
        check_lengths("Description", self.columns, self.parts)
        kinds = {tuple(type(part) for part in parts) for parts in self.parts}
        if not kinds <= {NUMBER, DATE, LABEL}:
            raise ModelError("Description: a column has statistics that describe does not make")

    @classmethod
    def from_data(cls, frame: Any, labels: Mapping[str, Sequence[Label]] | None = None) -> Self:
        """Describe every column of a DataFrame or a dict of columns.

        Parameters
        ----------
        frame : DataFrame, or dict of columns
            Numbers, strings, bools and dates. Columns' names are strings; of a whole number its
            digits are the name.
        labels : dict of column to labels, optional
            Those of a column that is no measurement. Without them the labels are those found in
            the data, and leave the node.

        Raises
        ------
        DataError
            A column has more than 50 different labels, as names or free text have.
        """
        columns = columns_of(frame)
        given = {str(name): found for name, found in (labels or {}).items()}
        if not set(given) <= set(columns):
            raise ModelError("describe: labels are given for a column that is not in the table")
        with of_rows(frame):
            parts = tuple(of_column(*column, given.get(column[0])) for column in columns.items())
        lengths = set(map(len, columns.values()))
        if len(lengths) != 1:
            raise ModelError("describe: a table has columns, and all of one length")
        # not `RowCount.from_data`: a dict has as many entries as columns
        rows = made_of(RowCount(lengths.pop()), {}, people_in(frame))
        return cls(tuple(columns), rows, parts)

    @classmethod
    def zero(cls, columns: Mapping[str, Sequence[Label] | type[float] | None]) -> Self:
        """Return that of no rows.

        Parameters
        ----------
        columns : dict
            By name: ``float`` for numbers, the declared labels, or ``None`` for those found.
        """
        parts = tuple(
            (Moments.zero(), Quantiles.zero(), MinMax.zero())
            if kind is float
            else (ValueCounts.zero(cast("Sequence[Label] | None", kind)),)
            for kind in columns.values()
        )
        return cls(tuple(columns), RowCount.zero(), parts)

    def merge(self, other: Self) -> Self:
        """Return that of both together.

        Raises
        ------
        ModelError
            Also: a column has numbers, dates or labels in one and something else in the other.
        """
        self._check_alike(other)
        columns = by_name("Description", self.columns, other.columns)
        pairs = zip(columns.names, columns.pairs(self.parts, other.parts), strict=True)
        return self._changed(
            columns=columns.names,
            rows=self.rows.merge(other.rows),
            parts=tuple(
                merged_column(name, (one, self.rows), (two, other.rows))
                for name, (one, two) in pairs
            ),
            suppressed=self.suppressed + other.suppressed,
        )

    def result(self) -> dict[str, Any]:
        """Return ``rows``, and in ``columns`` the figures of each.

        Of numbers ``count``, ``mean``, ``std``, ``min``, ``25%``, ``50%``, ``75%``, ``max``; of
        dates ``count``, ``mean``, ``std`` in days, ``min``, ``max``, in the form of ISO 8601; of
        labels ``count``, ``unique``, ``top`` and ``freq``, and of declared ones ``other``: how many
        values fit none of them. Of all ``suppressed``: how many nodes are not in these figures,
        wholly or partly. Of numbers and dates also ``range_withheld_at``: how many are not in
        ``min`` and ``max``; and what disclosure rules altered: ``coarsened_at``, at how many nodes
        the quartiles, ``noisy_at``, at how many the smallest and the largest value.
        """
        found = map(figures, self.parts)
        return {
            "rows": self.rows.rows,
            "columns": dict(zip(self.columns, found, strict=True)),
            "suppressed": self.suppressed,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return the figures as ``DataFrame.describe(include="all")`` lays them out.

        Below are ``other``, ``suppressed``, ``range_withheld_at``, ``coarsened_at`` and
        ``noisy_at`` of :meth:`result`, where values fit no label, or a node withheld or altered
        something.
        """
        import pandas as pd

        columns = self.result()["columns"]
        order = ("count", "unique", "top", "freq", "mean", "std", "min", *QUARTILES, "max")
        index = [name for name in order if any(name in each for each in columns.values())]
        index += [name for name in _ALTERED if any(each.get(name) for each in columns.values())]
        table = {
            name: [np.nan if (value := each.get(key)) is None else value for key in index]
            for name, each in columns.items()
        }
        return pd.DataFrame(table, index=pd.Index(index))

    def __repr__(self) -> str:
        """Return the table of :meth:`to_frame`, its figures rounded."""
        return f"{shown_title(self)}\n{shown_table(self).to_string(line_width=100)}"

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        return f"<p>{shown_title(self)}</p>{shown_table(self).to_html()}"

    def column(self, name: str) -> tuple[Statistic, ...]:
        """Return the statistics of one column."""
        return self.parts[self.columns.index(name)]

    @property
    def size(self) -> int:
        """The rows."""
        return self.rows.rows

    @property
    def visible(self) -> Visible:
        """The rows, and the values of each column."""
        parts = [part.visible for parts in self.parts for part in parts]
        unfitted = [part.unfitted for part in parts]
        sizes = self.rows.visible.sizes.union(*(part.sizes for part in parts))
        return Visible(
            totals=tuple((None, size) for size in sizes),
            cells=max((part.cells for part in parts), default=0),
            unfitted=None if None in unfitted else sum(count or 0 for count in unfitted),
        )

    def withheld(self) -> Self:
        """Return it without any figure."""
        return self._each(lambda part: part.withheld())._changed(suppressed=1)

    def with_min_count(self, k: int) -> Self:
        """Withhold what is small, column by column."""
        return self._each(lambda part: part.with_min_count(k))

    def _each(self, change: Callable[[Any], Any]) -> Self:
        rows = change(self.rows)
        parts = tuple(tuple(change(part) for part in parts) for parts in self.parts)
        suppressed = rows.suppressed or any(part.suppressed for one in parts for part in one)
        return self._changed(rows=rows, parts=parts, suppressed=int(bool(suppressed)))


@members.register(Description)
def _(statistic: Description) -> tuple[tuple[str | None, Statistic], ...]:
    """Return the rows, and the statistics of each column."""
    pairs = zip(statistic.columns, statistic.parts, strict=True)
    return ((None, statistic.rows), *((name, part) for name, parts in pairs for part in parts))


@with_members.register(Description)
def _(statistic: Description, members: Sequence[Statistic]) -> Description:
    given = iter(members)  # `_each` asks for them in the order of `members`
    return statistic._each(lambda _: next(given))
