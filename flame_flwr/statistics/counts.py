"""How many rows there are, and how many of their values are missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from flame_flwr.errors import ModelError
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.fields import COLUMNS, COUNT, WITHHELD_AT, each
from flame_flwr.statistics.people import people_in
from flame_flwr.statistics.remembered_columns import made_of
from flame_flwr.statistics.rule_changes import without_totals
from flame_flwr.statistics.values import columns_of, missing
from flame_flwr.statistics.visible import Cells, Visible

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
        return made_of(cls(len(data)), {}, people_in(data))

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
        return made_of(cls(tuple(columns), rows, gone, (0,) * len(columns)), {}, people_in(frame))

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

    @property
    def visible(self) -> Visible:
        """The rows, and by column those with a value and those without."""
        totals: set[tuple[str | None, int]] = set()
        counts: Cells = {}
        rows = zip(self.columns, self.rows, self.missing, self.withheld_at, strict=True)
        for name, n, gone, out in rows:
            # the values of a column with missing ones are a group of their own, beside whole rows
            totals |= {(None, n), (name if gone else None, n - gone)} if n else set()
            if not out:
                counts |= {(name, "there"): n - gone, (name, "missing"): gone}
        return Visible(
            totals=tuple(totals),
            parts=tuple(n for n in self.missing if n),
            tables=((("Missingness", *sorted(self.columns)), counts),),
        )

    def with_min_count(self, k: int) -> Self:
        """Withhold each column that has few rows, few missing values, or few that are there."""
        pairs = zip(self.rows, self.missing, strict=True)
        # few that are there tell as much as few that are missing
        return self._without([0 < gone < k or 0 < rows - gone < k for rows, gone in pairs])

    def _without(self, withheld: list[bool]) -> Self:
        if not any(withheld):
            return self
        return self._without_places(withheld, "rows", "missing", "withheld_at")


@without_totals.register(Missingness)
def _(statistic: Missingness, totals: Collection[int]) -> Missingness:
    """Withhold each column with so many rows, or so many with a value."""
    pairs = zip(statistic.rows, statistic.missing, strict=True)
    return statistic._without([rows in totals or rows - gone in totals for rows, gone in pairs])
