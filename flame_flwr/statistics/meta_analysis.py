"""Combining one estimate per node: inverse-variance meta-analysis."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Self

from flame_flwr.errors import ModelError
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.checks import check_counts
from flame_flwr.statistics.fields import combined
from flame_flwr.statistics.visible import Visible

__all__ = ["MetaAnalysis"]


@dataclass(frozen=True)
class MetaAnalysis(Statistic):
    """One estimate of each node with its standard error, as of a regression coefficient.

    Parameters
    ----------
    studies : tuple of (estimate, error, n)
        Sorted: a float, its standard error above 0, and of how many people.

    Examples
    --------
    >>> two = MetaAnalysis.from_data(0.5, 0.1, n=120).merge(MetaAnalysis.from_data(0.7, 0.2, n=40))
    >>> round(two.result()["fixed"]["estimate"], 4)
    0.54
    """

    studies: tuple[tuple[float, float, int], ...] = field(
        metadata=combined(lambda one, two: tuple(sorted(one + two)), ())
    )

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        super().__post_init__()
        for study in self.studies:
            if type(study) is not tuple or [type(part) for part in study] != [float, float, int]:
                raise ModelError("MetaAnalysis: a study is a float, its standard error, and n")
            estimate, error, n = study
            check_counts("MetaAnalysis", n)
            # its weight, 1 / error**2, and the square of that are still floats
            if not (math.isfinite(estimate) and 1e-75 < error < 1e75):
                raise ModelError(
                    "MetaAnalysis: an estimate must be finite, its standard error above 0"
                )
        if list(self.studies) != sorted(self.studies):
            raise ModelError("MetaAnalysis: the studies must be sorted")

    @classmethod
    def from_data(cls, estimate: float, error: float, n: int) -> Self:
        """Take this node's estimate, its standard error, and the number of people behind it."""
        # + 0.0: studies are sorted, and -0.0 would be placed by the order of merging
        return cls(((float(estimate) + 0.0, float(error), int(n)),))

    def result(self) -> dict[str, Any]:
        """Return ``fixed`` and ``random`` effect, ``q`` with its ``df``, ``i2`` and ``tau2``.

        Each effect has ``estimate``, ``error``, ``low`` and ``high`` (95 %), ``z`` and ``p``.
        ``q`` is Cochran's, ``i2`` of 1 (Higgins and Thompson, 2002), ``tau2`` that of DerSimonian
        and Laird (1986).
        """
        weights = [1 / error**2 for _, error, _ in self.studies]
        tau2, q, i2 = self._heterogeneity(weights)
        random = None if tau2 is None else [1 / (error**2 + tau2) for _, error, _ in self.studies]
        return {
            "studies": len(self.studies),
            "n": self.size,
            "fixed": self._effect(weights),
            "random": None if random is None else self._effect(random),
            "q": q,
            "df": max(0, len(self.studies) - 1),
            "i2": i2,
            "tau2": tau2,
            "suppressed": self.suppressed,
        }

    def _effect(self, weights: list[float]) -> dict[str, float] | None:
        if not weights:
            return None
        total = math.fsum(weights)
        estimate = self._mean(weights)
        error = math.sqrt(1 / total)
        z = estimate / error
        return {
            "estimate": estimate,
            "error": error,
            "low": estimate - _Z * error,
            "high": estimate + _Z * error,
            "z": z,
            "p": math.erfc(abs(z) / math.sqrt(2)),  # two-sided: 2 - 2 * cdf would end at 1e-16
        }

    def _mean(self, weights: list[float]) -> float:
        pairs = zip(weights, self.studies, strict=True)
        return math.fsum(weight * study[0] for weight, study in pairs) / math.fsum(weights)

    def _heterogeneity(
        self, weights: list[float]
    ) -> tuple[float | None, float | None, float | None]:
        df = len(weights) - 1
        if df < 1:
            return None, None, None
        mean, total = self._mean(weights), math.fsum(weights)
        pairs = zip(weights, self.studies, strict=True)
        q = math.fsum(weight * (study[0] - mean) ** 2 for weight, study in pairs)
        # DerSimonian and Laird's moment estimator; below 0 hospitals differ by less than chance
        scale = total - math.fsum(weight**2 for weight in weights) / total
        return max(0.0, (q - df) / scale), q, max(0.0, (q - df) / q) if q else 0.0

    @property
    def size(self) -> int:
        """The people behind all estimates."""
        return sum(n for _, _, n in self.studies)

    @property
    def visible(self) -> Visible:
        """The people behind each estimate: at a node that merged some before they leave, too."""
        return Visible(tuple((None, n) for _, _, n in self.studies if n))

    def with_min_count(self, k: int) -> Self:
        """Withhold all where one estimate is of fewer than `k`; one of nobody is made up."""
        return self.withheld() if any(n < k for _, _, n in self.studies) else self


_Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""
