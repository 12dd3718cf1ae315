"""Tests that compare groups, from their moments or counts alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.statistics.values import Numbers

__all__ = ["compare_counts", "compare_means", "difference_of_counts", "difference_of_means"]
__all__ += ["p_text"]

Group = tuple[int, float, float]
"""How many values, their mean and their variance."""


def compare_means(groups: Sequence[Group]) -> tuple[str, float] | None:
    """Return which test was made of means, and its p-value.

    Two groups are compared by Welch's t-test, which needs no equal variances (Welch, "The
    generalization of Student's problem when several different population variances are involved",
    1947), more by a one-way analysis of variance. ``None`` where a group has fewer than two values
    or nothing varies.
    """
    from scipy import stats

    if len(groups) < 2 or any(n < 2 for n, _, _ in groups):
        return None
    n, means, variances = (np.array(part, dtype=np.float64) for part in zip(*groups, strict=True))
    if not variances.sum() > 0:
        return None
    if len(groups) == 2:
        found = stats.ttest_ind_from_stats(
            means[0], math.sqrt(variances[0]), n[0], means[1], math.sqrt(variances[1]), n[1], False
        )
        return "Welch's t-test", float(found.pvalue)
    between = float((n * (means - (n * means).sum() / n.sum()) ** 2).sum()) / (len(n) - 1)
    # Fisher's F, from the groups' moments alone
    freedom = n.sum() - len(n)
    within = float(((n - 1) * variances).sum()) / freedom
    return "ANOVA", float(stats.f.sf(between / within, len(n) - 1, freedom))


def compare_counts(counts: Sequence[Sequence[int]]) -> tuple[str, float] | None:
    """Return which test was made of counts, a row for each group, and its p-value.

    Pearson's chi-square, with Yates' correction for two by two as scipy has it; of two by two where
    fewer than 5 are expected somewhere, Fisher's exact test. ``None`` where there is nothing to
    compare. Levels that nobody has are left out.
    """
    from scipy import stats

    table = np.array(counts, dtype=np.int64)
    table = table[:, table.sum(axis=0) > 0]
    if min(table.shape) < 2 or not (table.sum(axis=1) > 0).all():
        return None
    chi2 = stats.chi2_contingency(table)
    # Cochran, "Some methods for strengthening the common chi-square tests" (1954): below 5 expected
    # the chi-square is no good approximation
    if table.shape == (2, 2) and (chi2.expected_freq < 5).any():
        return "Fisher's exact test", float(stats.fisher_exact(table).pvalue)
    return "chi-square test", float(chi2.pvalue)


def difference_of_means(one: Group, two: Group) -> float | None:
    """Return the difference of two means, in standard deviations: the root of the mean variance."""
    spread = math.sqrt((one[2] + two[2]) / 2) if min(one[0], two[0]) > 1 else 0.0
    return abs(one[1] - two[1]) / spread if spread else None


def difference_of_counts(one: Sequence[int], two: Sequence[int]) -> float | None:
    """Return the standardised difference of two distributions over levels.

    Yang and Dalton, "A unified approach to measuring the effect size between two groups using SAS"
    (2012); of two levels it is the difference of shares. Levels that nobody has are left out.
    """
    if not sum(one) or not sum(two):
        return None
    table = np.array([one, two], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    # without the first level, whose share the others tell: with it the matrix would be singular
    shares = table[:, 1:] / table.sum(axis=1, keepdims=True)
    apart = shares[0] - shares[1]
    spread = sum(np.diag(share) - np.outer(share, share) for share in shares) / 2
    return _distance(apart, np.asarray(spread))


def p_text(p: float) -> str:
    """Return a p-value as papers print it."""
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def _distance(apart: Numbers, spread: Numbers) -> float | None:
    if np.linalg.matrix_rank(spread) < len(apart):
        return None
    return math.sqrt(float(apart @ np.linalg.solve(spread, apart)))
