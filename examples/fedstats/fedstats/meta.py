"""Combining estimates of several hospitals: fixed effect, by inverse variance.

Every hospital's estimate counts by the inverse of its variance, on the premise that all estimate
one and the same number. Whether they may is what Q and I squared ask.

References
----------
Cochran (1954), The combination of estimates from different experiments, Biometrics 10, 101-129.
DerSimonian and Laird (1986), Meta-analysis in clinical trials, Controlled Clinical Trials 7,
177-188. Higgins and Thompson (2002), Quantifying heterogeneity in a meta-analysis, Statistics in
Medicine 21, 1539-1558.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import numpy.typing as npt

__all__ = ["Combined", "Values", "combine", "normal_interval", "normal_p", "weights"]

Values = npt.NDArray[np.float64]


class Combined(TypedDict):
    """What several estimates say together; every array has shape (n_covariates,).

    ``estimate`` and ``error`` are the combined estimate and its standard error, ``low`` and
    ``high`` the limits of its 95 % interval, ``p`` the two-sided p-value of its being 0. ``q`` is
    Cochran's statistic, ``q_p`` its p-value on ``df`` degrees of freedom, ``i2`` the share (0 to
    1) of the estimates' variation that chance does not explain. Of one hospital alone ``q_p`` and
    ``i2`` are NaN.
    """

    estimate: Values
    error: Values
    low: Values
    high: Values
    p: Values
    q: Values
    df: int
    q_p: Values
    i2: Values


def combine(estimates: Values, errors: Values) -> Combined:
    """Combine the hospitals' estimates, one covariate by itself at a time.

    Parameters
    ----------
    estimates, errors : ndarray of float64, shape (n_hospitals, n_covariates)
        Estimates on a scale on which they are nearly normal (the log hazard ratio, not the hazard
        ratio), and their standard errors, above 0.

    Raises
    ------
    ValueError
        No hospital, shapes that differ, or a number that cannot be.

    Notes
    -----
    With w = 1 / error**2 the estimate is sum(w b) / sum(w), its variance 1 / sum(w), and
    Q = sum(w (b - estimate)**2), chi-squared on one degree of freedom less than hospitals where
    all estimate the same number (Cochran 1954; section 2 of DerSimonian and Laird 1986).
    I squared = max(0, (Q - df) / Q) (Higgins and Thompson 2002, equation 10).
    """
    from scipy.stats import chi2  # on the server only, and late: importing it takes its time

    weight = weights(estimates, errors)
    total = weight.sum(axis=0)
    estimate = (weight * estimates).sum(axis=0) / total
    error = np.sqrt(1 / total)
    low, high = normal_interval(estimate, error)
    q = (weight * (estimates - estimate) ** 2).sum(axis=0)
    df = len(estimates) - 1  # one is used up by the common estimate
    unknown = np.full_like(q, np.nan)
    # also where Q is 0, as of estimates that are all alike
    excess = np.divide(q - df, q, out=np.zeros_like(q), where=q > df)
    return {
        "estimate": estimate,
        "error": error,
        "low": low,
        "high": high,
        "p": normal_p(estimate, error),
        "q": q,
        "df": df,
        "q_p": chi2.sf(q, df) if df else unknown,
        "i2": excess if df else unknown,
    }


def weights(estimates: Values, errors: Values) -> Values:
    """Return the inverse variances, shape (n_hospitals, n_covariates); see :func:`combine`."""
    if estimates.ndim != 2 or not len(estimates) or estimates.shape != errors.shape:
        raise ValueError(
            "estimates and errors must both have the shape (hospitals, covariates), not "
            f"{estimates.shape} and {errors.shape}"
        )
    if not (np.isfinite(estimates).all() and np.isfinite(errors).all() and (errors > 0).all()):
        raise ValueError("estimates must be finite, and standard errors finite and above 0")
    return 1 / errors**2


def normal_interval(estimate: Values, error: Values) -> tuple[Values, Values]:
    """Return the limits of the 95 % interval."""
    from scipy.stats import norm

    reach = norm.ppf(0.975) * error
    return estimate - reach, estimate + reach


def normal_p(estimate: Values, error: Values) -> Values:
    """Return the two-sided p-value of each estimate's being 0."""
    from scipy.stats import norm

    p: Values = 2 * norm.sf(np.abs(estimate / error))
    return p
