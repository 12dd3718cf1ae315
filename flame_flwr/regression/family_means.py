"""Which means a family can have, and which a link gives that it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from flame_flwr.statistics.values import Numbers

__all__ = ["at_edge", "inside"]

_EDGE = 1e-6
"""How near to the edge of what a family can have a mean may be, by the mean of all rows."""


def inside(family: Any, predictors: Numbers, means: Numbers) -> Any:
    """Tell of each row whether its mean is one of the family."""
    finite = np.isfinite(predictors) & np.isfinite(means)
    name = type(family).__name__
    if _folds(family):
        # The derivative that statsmodels takes of the mean is that of the positive side alone: from
        # the other one steps lead away. R's `sqrt` link has no such predictors either (`valideta`).
        finite &= predictors > 0
    if name == "Gaussian":
        return finite
    # 0 and 1 are within: floats round an extreme mean to them, and statsmodels moves it in again
    return finite & ((means >= 0) & (means <= 1) if name == "Binomial" else means > 0)


def at_edge(family: Any, means: Numbers, mean: float | None) -> bool:
    """Tell whether a mean is at the edge of the family, where the link goes beyond it.

    Their weights are so large that steps end there, at no maximum.
    """
    if type(family).__name__ == "Gaussian" or not _leaves(family):
        return False
    least = means if mean is None else means / mean
    if type(family).__name__ == "Binomial":
        least = np.minimum(means, 1 - means)
    return bool((least < _EDGE).any())


def _folds(family: Any) -> bool:
    """Tell whether a predictor and its negative have one mean, as with the square root as link."""
    with np.errstate(all="ignore"):
        below, above = family.link.inverse(np.array([-0.5, 0.5]))
    return bool(below == above)


def _leaves(family: Any) -> bool:
    """Tell whether a link has predictors whose means the family cannot have."""
    if _folds(family):
        return True
    with np.errstate(all="ignore"):
        means = family.link.inverse(np.array([-30.0, -0.1, 0.1, 30.0]))
    return not (
        ((means >= 0) & (means <= 1)) if type(family).__name__ == "Binomial" else means > 0
    ).all()
