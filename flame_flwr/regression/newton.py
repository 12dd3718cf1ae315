"""The steps to a maximum: Newton's, or Fisher scoring, over sums that hospitals have sent.

Plain arithmetic: what asks the hospitals is in :mod:`.strategy`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flame_flwr.errors import DataError
from flame_flwr.regression.sites import INTERCEPT, NO_SITE_EFFECTS, site_of
from flame_flwr.regression.solving import SMALLEST, factorize

if TYPE_CHECKING:
    from flame_flwr.statistics import ScoreInformation
    from flame_flwr.statistics.values import Numbers

__all__ = ["Path", "next_step"]

_SETTLED = 1e-11
"""Steps are over when each is less than so many standard errors."""
_STALLED = 1e-8
"""Below so many standard errors a step that does not shrink any more is rounding."""
_MOST_STEPS, _MOST_HALVINGS = 300, 30
_LONG, _FLAT, _FAR = 0.3, 0.05, 1e4
_LEAVE_OUT = "Leave the term out, or join its levels"


@dataclass(frozen=True)
class Path:
    """Where the steps have come to.

    Parameters
    ----------
    coefficients : ndarray, shape (p,)
        To be looked at next.
    before : ndarray, shape (p,)
        The last ones that were good.
    objective : float or None
        What is made small, there; ``None``: any will do.
    rows : int
        Of how many rows that was.
    errors : ndarray, shape (p,), or None
        The standard errors of the first step.
    size : float
        How long the last step was, in standard errors.
    steps, halvings : int
        How many there were.
    begins : bool
        Whether the sums are of starting means, and of no coefficients.
    settled : bool
        Whether the coefficients are the maximum.
    smallest : float
        As of :func:`~flame_flwr.regression.solving.factorize`.
    """

    coefficients: Numbers
    before: Numbers
    objective: float | None = None
    rows: int = 0
    errors: Numbers | None = None
    size: float = np.inf
    steps: int = 0
    halvings: int = 0
    begins: bool = False
    settled: bool = False
    smallest: float = SMALLEST


def next_step(path: Path, sums: ScoreInformation, dispersion: float) -> Path:
    """Return the next coefficients to look at.

    Parameters
    ----------
    path : Path
        With the coefficients that the sums are of.
    sums : ScoreInformation
        Of all hospitals, with the figures ``objective``, ``outside`` and ``edge``.
    dispersion : float
        The standard errors' square, in units of the inverse information.

    Raises
    ------
    DataError
        The information is singular, the outcome is separated, or there is no convergence.
    """
    objective = float(sums.figure("objective"))
    if sums.figure("outside") or _is_worse(path, objective, sums.n):
        return _halved(path)
    factors = factorize(sums.matrix(), sums.columns, path.smallest)
    step = np.array(factors.solve(sums.score), dtype=np.float64)
    inverse = factors.inverse()
    errors = np.sqrt([float(row[j]) * dispersion for j, row in enumerate(inverse)])
    _check_separation(path, sums, step, errors)
    smallest = 4e-16 * np.abs(path.coefficients)
    size = float(np.max(np.abs(step) / np.maximum(np.maximum(errors, smallest / _SETTLED), 1e-300)))
    if path.steps >= _MOST_STEPS:
        raise DataError(
            f"the regression has not converged after {_MOST_STEPS} steps: the last was of "
            f"{size:.1g} standard errors. With another link, or fewer terms, there are fewer"
        )
    settled = size < _SETTLED or path.size <= size < _STALLED
    if (settled or path.halvings) and sums.figure("edge"):
        raise DataError(
            "the regression has not converged: with this link the maximum is at the edge of the "
            "means that the family can have, where there are no standard errors. Take another"
        )
    return replace(
        path,
        coefficients=path.coefficients + step,
        before=path.before if path.begins else path.coefficients,
        objective=None if path.begins else objective,
        rows=sums.n,
        errors=errors if path.errors is None else path.errors,
        size=size,
        steps=path.steps + 1,
        halvings=0,
        begins=False,
        settled=settled and not path.begins,
    )


def _is_worse(path: Path, objective: float, rows: int) -> bool:
    """Tell whether a step was too long; of other rows than before, as where a node was left out."""
    if path.objective is None or rows != path.rows:
        return not np.isfinite(objective)
    return not objective <= path.objective + 1e-9 * (abs(path.objective) + 1)


def _halved(path: Path) -> Path:
    if path.halvings >= _MOST_HALVINGS:
        raise DataError(
            "the regression has not converged: no step makes the likelihood larger. Does the link "
            "give means that the family cannot have?"
        )
    middle = (path.coefficients + path.before) / 2
    return replace(path, coefficients=middle, halvings=path.halvings + 1)


def _check_separation(path: Path, sums: ScoreInformation, step: Numbers, errors: Numbers) -> None:
    """Refuse to go on where coefficients run away: the standard error grows with every step.

    Raises
    ------
    DataError
        They do; the message names the columns.
    """
    if path.errors is None:
        return
    # The step stays as long as it was, while it hardly changes the likelihood any more; or there is
    # next to nothing left of the information, whatever the column's unit.
    flat = (np.abs(step) > _LONG) & (np.abs(step) < _FLAT * errors) & (errors > 10 * path.errors)
    if flat.any() or (errors > _FAR * path.errors).any():
        moving = np.abs(step) > _LONG * np.abs(step).max()
        names = [name for name, moves in zip(sums.columns, moving, strict=True) if moves]
        terms = [repr(name) for name in names if name != INTERCEPT]
        who = f"{' and '.join(terms) or 'the terms'} of the formula separate"
        what = NO_SITE_EFFECTS if any(map(site_of, names)) else _LEAVE_OUT
        raise DataError(
            f"{who}{'s' * (len(terms) == 1)} the outcomes: the larger the coefficients, the larger "
            f"the likelihood, and there is no maximum. {what}"
        )
