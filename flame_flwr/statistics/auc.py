"""The area under the ROC curve, from a histogram of scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Self

import numpy as np

from flame_flwr.errors import DataError, ModelError
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.checks import check_lengths
from flame_flwr.statistics.fields import COUNT, each, parameter
from flame_flwr.statistics.people import people_in
from flame_flwr.statistics.remembered_columns import made_of
from flame_flwr.statistics.values import numbers
from flame_flwr.statistics.visible import Cells, Visible, whole

__all__ = ["AUC"]


@dataclass(frozen=True)
class AUC(Statistic):
    """How often a score puts an ill person above a healthy one, with scores counted in bins.

    Two in one bin count a half, as equal scores do. So the area is exact where no bin holds two
    different scores; else it is between ``lower`` and ``upper`` of the result, which count them
    as nothing and as right.

    Parameters
    ----------
    low, high : float
        The range of the scores; one outside counts in the first or the last bin.
    positives, negatives : tuple of int
        How many of each class are in each bin. The bins are equally wide.
    coarsened_at : int
        At how many nodes a disclosure rule moved scores to neighbouring bins: ``lower`` and
        ``upper`` do not hold for these.

    Examples
    --------
    >>> AUC.from_data([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).result()["auc"]
    0.75
    """

    low: float = field(metadata=parameter())
    high: float = field(metadata=parameter())
    positives: tuple[int, ...] = field(metadata=each(COUNT, places="bins", coarsened=True))
    negatives: tuple[int, ...] = field(metadata=each(COUNT, places="bins", coarsened=True))
    coarsened_at: int = field(default=0, metadata=COUNT)

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        super().__post_init__()
        check_lengths("AUC", self.positives, self.negatives)
        if type(self.low) is not float or type(self.high) is not float or not self.positives:
            raise ModelError("AUC: low and high must be floats, with at least one bin")
        # two finite ends may be further apart than a float can say
        if not (math.isfinite(self.high - self.low) and self.low < self.high):
            raise ModelError("AUC: low must be below high, and both finite")

    @classmethod
    def from_data(
        cls, outcomes: Any, scores: Any, bins: int = 200, low: float = 0.0, high: float = 1.0
    ) -> Self:
        """Count scores by outcome, 1 or 0; rows where one of the two is missing are left out.

        Raises
        ------
        DataError
            An outcome is neither 0 nor 1.
        """
        empty = cls.zero(bins, low, high)
        outcome, score = numbers(outcomes), numbers(scores)
        check_lengths("AUC", outcome, score)
        known = ~np.isnan(outcome) & ~np.isnan(score)
        outcome, score = outcome[known], score[known]
        if not np.isin(outcome, (0, 1)).all():
            raise DataError("an outcome must be 1 or 0")
        place = np.floor((score - empty.low) / (empty.high - empty.low) * bins)
        place = np.clip(place, 0, bins - 1).astype(np.int64)
        made = empty._changed(
            positives=tuple(np.bincount(place[outcome == 1], minlength=bins).tolist()),
            negatives=tuple(np.bincount(place[outcome == 0], minlength=bins).tolist()),
        )
        return made_of(made, {}, people_in(outcomes, known))

    @classmethod
    def zero(cls, bins: int = 200, low: float = 0.0, high: float = 1.0) -> Self:
        """Return that of nobody."""
        if type(bins) is not int or bins < 1:
            raise ModelError(f"AUC: bins must be a whole number from 1, not {bins!r}")
        return cls(float(low), float(high), (0,) * bins, (0,) * bins)

    def result(self) -> dict[str, Any]:
        """Return ``auc`` with ``lower`` and ``upper``, ``positives`` and ``negatives``."""
        right = ties = below = 0
        for ill, healthy in zip(self.positives, self.negatives, strict=True):
            right += ill * below  # every healthy one in a lower bin is below
            ties += ill * healthy
            below += healthy
        positives, negatives = sum(self.positives), sum(self.negatives)
        pairs = positives * negatives
        return {
            "auc": float(Fraction(2 * right + ties, 2 * pairs)) if pairs else None,
            "lower": float(Fraction(right, pairs)) if pairs else None,
            "upper": float(Fraction(right + ties, pairs)) if pairs else None,
            "positives": positives,
            "negatives": negatives,
            "coarsened_at": self.coarsened_at,
            "suppressed": self.suppressed,
        }

    @property
    def size(self) -> int:
        """The people."""
        return sum(self.positives) + sum(self.negatives)

    @property
    def bins(self) -> int:
        """How many there are."""
        return len(self.positives)

    @property
    def visible(self) -> Visible:
        """The people of each class, and those by bin where they were not moved."""
        counts: Cells = {}
        for name, by_bin in (("positives", self.positives), ("negatives", self.negatives)):
            counts[name] = sum(by_bin)
            if not self.coarsened_at:
                counts |= {(name, i): n for i, n in enumerate(by_bin)}
        return Visible(
            totals=whole(self.size),
            parts=(sum(self.positives), sum(self.negatives)),
            tables=((("AUC", self.low, self.high, self.bins), {} if self.suppressed else counts),),
            cells=self.bins,
        )
