"""Means and deviations over all hospitals' rows, from what each knows of its own.

The moments are merged as sums of squared deviations, not of squares: that keeps every digit where
a column's mean is large against its deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

__all__ = ["Moments", "Values", "merge", "moments"]

Values = npt.NDArray[np.float64]


class Moments(TypedDict):
    """What a hospital tells of its training rows: their number, and two numbers per column."""

    rows: int
    means: Values
    squares: Values


def moments(x: Values) -> Moments:
    """Return the number of rows, and each column's mean and sum of squared deviations from it.

    Parameters
    ----------
    x : ndarray of float64, shape (n_rows, n_columns)
    """
    means = x.mean(axis=0)
    return {"rows": len(x), "means": means, "squares": ((x - means) ** 2).sum(axis=0)}


def merge(parts: Sequence[Moments]) -> tuple[Values, Values]:
    """Return each column's mean and deviation over the rows of all hospitals.

    Parameters
    ----------
    parts : sequence of Moments
        At least one.

    Returns
    -------
    tuple of ndarray of float64, shape (n_columns,)
        The means and the deviations (divided by n, as scikit-learn's ``StandardScaler`` does).
        The deviation of a column that never varies is 1, so that it can be divided by.

    Notes
    -----
    Chan, Golub and LeVeque (1983), Algorithms for computing the sample variance, The American
    Statistician 37(3), equations 1.5.
    """
    rows, means, squares = parts[0]["rows"], parts[0]["means"], parts[0]["squares"]
    for part in parts[1:]:
        total = rows + part["rows"]
        difference = part["means"] - means
        squares = squares + part["squares"] + difference**2 * (rows * part["rows"] / total)
        means = means + difference * (part["rows"] / total)
        rows = total
    deviations = np.sqrt(squares / rows)
    return means, np.where(deviations > 0, deviations, 1.0)
