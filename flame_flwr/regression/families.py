"""Distributions and links of generalised linear models, and the sums of one scoring step.

Links, variances, starting means and likelihoods are statsmodels'.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import DataError, ModelError
from flame_flwr.regression.exact_products import linear, products
from flame_flwr.regression.family_means import at_edge, inside
from flame_flwr.regression.packages import statsmodels_families
from flame_flwr.text.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.statistics.values import Numbers

__all__ = [
    "FIGURES",
    "GLMRows",
    "NodeRows",
    "check_outcome",
    "family_of",
    "has_fixed_scale",
    "is_binary",
]
__all__ += ["meat", "ratio_of", "scoring"]

_BY_NAME = {
    "binomial": "Binomial",
    "gamma": "Gamma",
    "gaussian": "Gaussian",
    "inverse_gaussian": "InverseGaussian",
    "negative_binomial": "NegativeBinomial",
    "poisson": "Poisson",
}
_OUTCOMES: dict[str, tuple[str, Any]] = {
    "Binomial": ("0 or 1", lambda y: (y == 0) | (y == 1)),
    "Gamma": ("numbers above 0", lambda y: y > 0),
    "InverseGaussian": ("numbers above 0", lambda y: y > 0),
    "NegativeBinomial": ("numbers of at least 0", lambda y: y >= 0),
    "Poisson": ("numbers of at least 0", lambda y: y >= 0),
}

FIGURES = ("objective", "pearson", "weights", "outside", "edge", "llf")
"""The names of the figures of :func:`scoring`."""

_LARGEST = 1e15
"""Where columns by the roots of their weights are larger, the coefficients are far off."""

Pairs = list[Fraction]


@dataclass(frozen=True)
class GLMRows:
    """What a scoring step needs of a node's rows.

    Parameters
    ----------
    table : ndarray, shape (n, p)
        The design.
    outcome, offset, weights : ndarray, shape (n,)
        The weights are frequencies.
    """

    table: Numbers
    outcome: Numbers
    offset: Numbers
    weights: Numbers

    @cached_property
    def largest(self) -> float:
        """The largest value of the design."""
        return float(max(self.table.max(initial=0.0), -self.table.min(initial=0.0)))

    def means(self, family: Any, coefficients: Numbers) -> tuple[Numbers, Numbers]:
        """Return linear predictors and means."""
        predictors = linear(self.table, coefficients) + self.offset
        with np.errstate(all="ignore"):
            return predictors, np.asarray(family.link.inverse(predictors), dtype=np.float64)


@dataclass(frozen=True)
class NodeRows:
    """What a node keeps of its rows between the rounds of a GLM.

    Parameters
    ----------
    rows : GLMRows
        In the coordinates of the steps.
    columns : list of str
        Those of all hospitals.
    places : list of int
        Which of them each of the node's own is.
    events : int
        How many rows have the outcome 1.
    cells : dict of str to (int, int)
        How many people, or rows, there are of each level, and how many with the outcome.
    clusters : ndarray of int, shape (n,), or None
        Which person each row is of.
    """

    rows: GLMRows
    columns: list[str]
    places: list[int]
    events: int
    cells: Mapping[str, tuple[int, int]]
    clusters: Any | None


def family_of(asked: Any) -> Any:
    """Return a statsmodels family, of its name or as it was given.

    Raises
    ------
    ModelError
        There is none of the name, or it is a quasi-likelihood.
    """
    families = statsmodels_families()
    if isinstance(asked, str):
        name = asked.lower().replace(" ", "_").replace("-", "_")
        if name not in _BY_NAME:
            raise ModelError(
                f"family: there is no {asked!r}{did_you_mean(name, _BY_NAME)}. Names are "
                f"{', '.join(_BY_NAME)}; or give a family of statsmodels"
            )
        if name == "negative_binomial":
            raise ModelError(
                "family: a negative binomial needs its alpha: give statsmodels' family, with alpha"
            )
        return getattr(families, _BY_NAME[name])()
    if not isinstance(asked, families.Family) or _name(asked) not in _BY_NAME.values():
        raise ModelError(
            f"family must be a name ({', '.join(_BY_NAME)}) or a family of statsmodels, not "
            f"{asked!r}"
        )
    return asked


def has_fixed_scale(family: Any) -> bool:
    """Tell whether the dispersion is 1, and not estimated."""
    return _name(family) in ("Binomial", "NegativeBinomial", "Poisson")


def is_binary(family: Any) -> bool:
    """Tell whether the outcome is 0 or 1."""
    return _name(family) == "Binomial"


def ratio_of(family: Any) -> str | None:
    """Return what a coefficient's exponential is; ``None`` where it is no ratio."""
    link = type(family.link).__name__
    if link == "Logit":
        return "odds ratio"
    if link != "Log":
        return None
    return {"Binomial": "risk ratio", "Gaussian": "mean ratio"}.get(
        _name(family), "rate ratio" if has_fixed_scale(family) else "mean ratio"
    )


def check_outcome(family: Any, outcome: Numbers, name: str) -> None:
    """Refuse an outcome that the family cannot have.

    Raises
    ------
    DataError
        Some of its values are none of the family's.
    """
    words, holds = _OUTCOMES.get(_name(family), ("", np.isfinite))
    if not holds(outcome).all():
        raise DataError(
            f"{name} has values at this node that a {_name(family)} outcome cannot have: it must "
            f"be {words}"
        )


def scoring(
    family: Any,
    rows: GLMRows,
    coefficients: Numbers | None,
    mean: float | None = None,
    scale: float | None = None,
) -> tuple[Pairs, Pairs, dict[str, float]]:
    """Return score, expected information and figures at given coefficients.

    Without coefficients the means are statsmodels' starting ones, and the "score" is the right side
    whose solution are the first coefficients. The dispersion is left out of both.

    Parameters
    ----------
    family : Family
        Of statsmodels.
    rows : GLMRows
        At least one.
    coefficients : ndarray, shape (p,), or None
        Of the columns.
    mean : float, optional
        The pooled mean of the outcome, from which most families' starting means are made.
    scale : float, optional
        The dispersion of the log-likelihood, which without it is not computed.

    Returns
    -------
    score : list of Fraction
    information : list of Fraction
        The upper triangle, row by row.
    figures : dict of str to float
        ``objective``, the deviance; ``pearson``; ``weights``; ``outside`` and ``edge``, 1 where
        any row's mean is none of the family, or nearly so, and no count of rows; ``llf``, the
        log-likelihood.
    """
    y, weights = rows.outcome, rows.weights
    if coefficients is None:
        means = np.asarray(_started(family, y, mean), dtype=np.float64)
        predictors = np.asarray(family.link(means), dtype=np.float64)
    else:
        predictors, means = rows.means(family, coefficients)
    # and not how many: for coefficients of a server's choice, that would be a count of rows
    if not inside(family, predictors, means).all():
        return _outside(rows)
    # one step of Fisher scoring: McCullagh and Nelder, "Generalized Linear Models" (1989), 2.5
    slopes = family.link.deriv(means)
    working = weights / (slopes**2 * family.variance(means))
    right = (y - means) * slopes
    if coefficients is None:  # the solution is then the coefficients themselves, and no step
        right = right + predictors - rows.offset
    roots = np.sqrt(working)
    scaled = right * roots
    figures = {
        "objective": float(family.deviance(y, means, freq_weights=weights)),
        "pearson": float(np.sum(weights * (y - means) ** 2 / family.variance(means))),
        "weights": float(weights.sum()),
        "outside": 0.0,
        "edge": float(at_edge(family, means, mean)),
        "llf": 0.0,
    }
    if scale is not None:
        figures["llf"] = float(family.loglike(y, means, freq_weights=weights, scale=scale))
    # what `products` cuts in two must be finite, and far enough from where a float ends
    largest = np.max([roots.max() * rows.largest, np.abs(scaled).max()])
    if not largest < _LARGEST or not np.max(np.abs(list(figures.values()))) < _LARGEST**2:
        return _outside(rows)
    found = products(rows.table, roots, scaled)
    score, information = [row[-1] for row in found[:-1]], [row[:-1] for row in found[:-1]]
    return score, [value for row in information for value in row], figures


def meat(
    family: Any, rows: GLMRows, coefficients: Numbers, clusters: Any | None
) -> tuple[Pairs, Pairs]:
    """Return the observed information, and the sums of squares of the scores of rows or clusters.

    They are the bread and the meat of robust standard errors, with the dispersion left out.

    Parameters
    ----------
    family, rows, coefficients
        As for :func:`scoring`.
    clusters : ndarray of int, shape (n,), or None
        Which cluster each row is in.
    """
    _, means = rows.means(family, coefficients)
    slopes, variances = family.link.deriv(means), family.variance(means)
    expected = rows.weights / (slopes**2 * variances)
    residuals = (rows.outcome - means) / (slopes * variances)
    # as statsmodels' `GLM.hessian_factor` has it: the observed information, not its mean
    curvature = variances * family.link.deriv2(means) + family.variance.deriv(means) * slopes
    observed = expected * (1 + residuals * curvature)
    parts = []
    for sign in (1, -1):  # a weight may be negative, and has no root
        kept = observed * sign > 0
        roots = np.sqrt(np.where(kept, np.abs(observed), 0.0))
        parts.append(_upper(products(rows.table, roots)))
    bread = [above - below for above, below in zip(*parts, strict=True)]
    if clusters is None:
        return bread, _upper(products(rows.table, residuals * np.sqrt(rows.weights)))
    scores = residuals * rows.weights
    sums = [np.bincount(clusters, weights=column * scores) for column in rows.table.T]
    return bread, _upper(products(np.column_stack(sums)))


def _started(family: Any, outcome: Numbers, mean: float | None) -> Any:
    """Return statsmodels' starting means, with the mean of all hospitals' rows."""
    if mean is None:
        return family.starting_mu(outcome)
    # as statsmodels', which would take the mean of this hospital's rows alone
    return (outcome + mean) / 2


def _outside(rows: GLMRows) -> tuple[Pairs, Pairs, dict[str, float]]:
    p = rows.table.shape[1]
    nothing = [Fraction(0)] * p, [Fraction(0)] * (p * (p + 1) // 2)
    return *nothing, dict.fromkeys(FIGURES, 0.0) | {"outside": 1.0}


def _upper(found: list[list[Fraction]]) -> Pairs:
    return [value for row in found for value in row]


def _name(family: Any) -> str:
    return type(family).__name__
