"""How many rows there are, and how many of their values are missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from flame_flwr.errors import ModelError
from flame_flwr.statistics.base import CellCounts, Statistic
from flame_flwr.statistics.fields import COLUMNS, COUNT, WITHHELD_AT, each
from flame_flwr.statistics.values import columns_of, missing

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence, Sized

__all__ = ["Missingness", "RowCount"]


@dataclass(frozen=True)
class RowCount(Statistic):
    """How many rows.

    Parameters
    ----------
    rows : int
        As many.

    Examples
    --------
    >>> RowCount.from_data([7, 8]).merge(RowCount(3)).result()
    {'rows': 5, 'suppressed': 0}
    """

    rows: int = field(metadata=COUNT)

    @classmethod
    def from_data(cls, data: Sized) -> Self:
        """Count the rows of a data frame, an array or a list."""
        return cls(len(data))

    def result(self) -> dict[str, Any]:
        """Return ``rows``."""
        return {"rows": self.rows, "suppressed": self.suppressed}

    @property
    def size(self) -> int:
        """The rows."""
        return self.rows


@dataclass(frozen=True)
class Missingness(Statistic):
    """How many values of each column are missing, as ``DataFrame.isna().sum()`` tells.

    Parameters
    ----------
    columns : tuple of str
        Their names.
    rows, missing : tuple of int
        Per column: its rows, and those without a value.
    withheld_at : tuple of int
        Per column: how many nodes' rows are not in here.

    Examples
    --------
    >>> Missingness.from_data({"age": [50, None, 61], "sex": ["f", "m", "f"]}).result()["missing"]
    {'age': 1, 'sex': 0}
    """

    columns: tuple[str, ...] = field(metadata=COLUMNS)
    rows: tuple[int, ...] = field(metadata=each(COUNT, by="columns"))
    missing: tuple[int, ...] = field(metadata=each(COUNT, by="columns"))
    withheld_at: tuple[int, ...] = field(metadata=each(WITHHELD_AT, by="columns"))

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        super().__post_init__()
        if any(gone > rows for gone, rows in zip(self.missing, self.rows, strict=True)):
            raise ModelError("Missingness: more values are missing than there are rows")

    @classmethod
    def from_data(cls, frame: Any) -> Self:
        """Count the missing values of every column of a DataFrame or a dict of columns."""
        columns = columns_of(frame)
        rows = tuple(map(len, columns.values()))
        gone = tuple(int(missing(column).sum()) for column in columns.values())
        return cls(tuple(columns), rows, gone, (0,) * len(columns))

    @classmethod
    def zero(cls, columns: Sequence[str]) -> Self:
        """Return that of no rows."""
        nothing = (0,) * len(columns)
        return cls(tuple(columns), nothing, nothing, nothing)

    def result(self) -> dict[str, Any]:
        """Return ``rows``, ``missing`` and ``share`` (of 1), by column.

        ``withheld_at`` says, by column, how many nodes' rows are not in these figures.
        """
        pairs = zip(self.missing, self.rows, strict=True)
        share = [gone / rows if rows else None for gone, rows in pairs]
        return {
            "rows": dict(zip(self.columns, self.rows, strict=True)),
            "missing": dict(zip(self.columns, self.missing, strict=True)),
            "share": dict(zip(self.columns, share, strict=True)),
            "withheld_at": dict(zip(self.columns, self.withheld_at, strict=True)),
            "suppressed": self.suppressed,
        }

    @property
    def size(self) -> int:
        """The rows."""
        return max(self.rows, default=0)

    def totals(self) -> tuple[int, ...]:
        """Return the groups that are counted here: rows, and rows with a value."""
        pairs = zip(self.rows, self.missing, strict=True)
        return tuple({n for rows, gone in pairs for n in (rows, rows - gone) if rows})

    def totals_by_column(self) -> tuple[tuple[str | None, int], ...]:
        """Return the rows, and by column those with a value."""
        found = set()
        for name, rows, gone in zip(self.columns, self.rows, self.missing, strict=True):
            found |= {(None, rows), (name if gone else None, rows - gone)} if rows else set()
        return tuple(found)

    def part_sizes(self) -> tuple[int, ...]:
        """Return how many values are missing in each column."""
        return tuple(n for n in self.missing if n)

    def cells_by_form(self) -> tuple[tuple[object, CellCounts], ...]:
        """Return the rows with and without a value, by column."""
        places: CellCounts = {}
        rows = zip(self.columns, self.rows, self.missing, self.withheld_at, strict=True)
        for name, n, gone, out in rows:
            if not out:
                places |= {(name, "there"): n - gone, (name, "missing"): gone}
        return ((("Missingness", *sorted(self.columns)), places),)

    def with_min_count(self, k: int) -> Self:
        """Withhold each column that has few rows, few missing values, or few that are there."""
        pairs = zip(self.rows, self.missing, strict=True)
        return self._hidden([0 < gone < k or 0 < rows - gone < k for rows, gone in pairs])

    def without_totals(self, totals: Collection[int]) -> Self:
        """Withhold each column with so many rows, or so many with a value."""
        pairs = zip(self.rows, self.missing, strict=True)
        return self._hidden([rows in totals or rows - gone in totals for rows, gone in pairs])

    def _hidden(self, hidden: list[bool]) -> Self:
        if not any(hidden):
            return self
        return self._without_places(hidden, "rows", "missing", "withheld_at")
