"""The smallest and the largest value: each is the value of one person."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Self

from flame_flwr.errors import ModelError
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.fields import COUNT, LARGEST, SMALLEST
from flame_flwr.statistics.people import present
from flame_flwr.statistics.remembered_columns import made_of
from flame_flwr.statistics.rule_changes import Widen, with_wider_range

__all__ = ["MinMax"]


@dataclass(frozen=True)
class MinMax(Statistic):
    """The smallest and the largest of the values that are not missing.

    Parameters
    ----------
    n : int
        How many values.
    low, high : float or None
        The two; ``None`` without values.
    noisy_at : int
        At how many nodes a disclosure rule moved them outwards.

    Examples
    --------
    >>> MinMax.from_data([3.0, 1.0]).merge(MinMax.from_data([8.0])).result()["max"]
    8.0
    """

    n: int = field(metadata=COUNT)
    low: float | None = field(metadata=SMALLEST)
    high: float | None = field(metadata=LARGEST)
    noisy_at: int = field(default=0, metadata=COUNT)

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        super().__post_init__()
        empty = self.low is None and self.high is None
        floats = type(self.low) is float and type(self.high) is float
        if empty != (self.n == 0) or not (empty or floats):
            raise ModelError("MinMax: values without low and high, or the reverse")
        if self.low is not None and self.high is not None and not _ordered(self.low, self.high):
            raise ModelError("MinMax: low must not be above high, and both must be finite")

    @classmethod
    def from_data(cls, values: Any) -> Self:
        """Find the smallest and the largest of a column of numbers."""
        column, people = present(values)
        if not len(column):
            return cls.zero()
        # + 0.0: of 0.0 and -0.0 neither is smaller, and the order must not show
        made = cls(len(column), float(column.min()) + 0.0, float(column.max()) + 0.0)
        return made_of(made, {"": column}, people)

    def result(self) -> dict[str, Any]:
        """Return ``n``, ``min``, ``max``, and ``noisy_at``: how many nodes moved theirs."""
        return {
            "n": self.n,
            "min": self.low,
            "max": self.high,
            "noisy_at": self.noisy_at,
            "suppressed": self.suppressed,
        }

    @property
    def size(self) -> int:
        """The values that are not missing."""
        return self.n

    def with_min_count(self, k: int) -> Self:
        """Withhold both where they are two people's own values: where no rule has moved them."""
        return self if not self.n or (self.n >= k and self.noisy_at) else self.withheld()


@with_wider_range.register(MinMax)
def _(statistic: MinMax, widen: Widen) -> MinMax:
    if statistic.low is None or statistic.high is None or statistic.noisy_at:
        return statistic
    low, high = widen(statistic.low, statistic.high)
    # of large values close together a small step is rounded away: then it is the smallest one
    low = min(low, math.nextafter(statistic.low, -math.inf))
    high = max(high, math.nextafter(statistic.high, math.inf))
    return statistic._changed(low=low + 0.0, high=high + 0.0, noisy_at=1)


def _ordered(low: float, high: float) -> bool:
    return math.isfinite(low) and math.isfinite(high) and low <= high
