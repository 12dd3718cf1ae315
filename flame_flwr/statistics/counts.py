"""How many rows there are, and how many of their values are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from flame_flwr.statistics.base import Statistic, check_counts

if TYPE_CHECKING:
    from collections.abc import Sized

__all__ = ["RowCount"]


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

    rows: int

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        check_counts("RowCount", self.rows, self.suppressed)

    @classmethod
    def from_data(cls, data: Sized) -> Self:
        """Count the rows of a data frame, an array or a list."""
        return cls(len(data))

    @classmethod
    def zero(cls) -> Self:
        """Return that of no rows."""
        return cls(0)

    def merge(self, other: Self) -> Self:
        """Return that of both together."""
        self._check_alike(other)
        return self._changed(
            rows=self.rows + other.rows, suppressed=self.suppressed + other.suppressed
        )

    def result(self) -> dict[str, Any]:
        """Return ``rows``."""
        return {"rows": self.rows, "suppressed": self.suppressed}

    @property
    def size(self) -> int:
        """The rows."""
        return self.rows

    def withheld(self) -> Self:
        """Return it without the count."""
        return self._changed(rows=0, suppressed=1)
