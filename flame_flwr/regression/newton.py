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
from flame_flwr.text.suggestions import listed

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from flame_flwr.statistics import ScoreInformation
    from flame_flwr.statistics.values import Numbers

__all__ = ["Path", "next_step"]

_SETTLED = 1e-11
"""Steps are over when each is less than so many standard errors."""
_STALLED = 1e-8
"""Below so many standard errors a step that does not shrink any more is rounding."""
_MOST_STEPS, _MOST_HALVINGS = 300, 30
_QUICK, _NEAR, _MOST_TIMES = 0.3, 0.05, 1000
"""A step is corrected that is no shorter than such a share of the last one, within so many standard
errors, and by no more than so many times its length."""
_LONG, _FLAT, _AS_LONG, _FAR = 0.3, 0.05, 0.7, 1e4
"""Coefficients run away where a step is longer than this, in deviations of its column, shorter than
this in standard errors, and at least this share of the last one; or where standard errors are so
many times those of the first step."""
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
    step : ndarray, shape (p,), or None
        The last one, from `before`, as it was computed; ``None``: the next one is not corrected.
    size : float
        How long it was, in standard errors.
    corrected : bool
        Whether another one was taken in its place.
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
    step: Numbers | None = None
    size: float = np.inf
    corrected: bool = False
    steps: int = 0
    halvings: int = 0
    begins: bool = False
    settled: bool = False
    smallest: float = SMALLEST


def next_step(
    path: Path, sums: ScoreInformation, dispersion: Callable[[ScoreInformation], float]
) -> Path:
    """Return the next coefficients to look at.

    Parameters
    ----------
    path : Path
        With the coefficients that the sums are of.
    sums : ScoreInformation
        Of all hospitals, with the figures ``objective``, ``outside`` and ``edge``.
    dispersion : callable
        Gets the sums, and returns the standard errors' square in units of the inverse information.

    Raises
    ------
    DataError
        The information is singular, the outcome is separated, or there is no convergence.
    """
    if sums.figure("outside"):
        return _halved(path)
    scale = dispersion(sums)  # only now: sums of means outside the family have no rows
    matrix = sums.matrix()
    lost = _rounding(path.coefficients, matrix, scale)
    objective = float(sums.figure("objective"))
    if _is_worse(path, objective, sums.n, lost):
        return _halved(path)
    factors = factorize(matrix, sums.columns, path.smallest)
    step = np.array(factors.solve(sums.score), dtype=np.float64)
    inverse = factors.inverse()
    errors = np.sqrt([float(row[j]) * scale for j, row in enumerate(inverse)])
    _check_separation(path, sums, step, errors)
    smallest = 4e-16 * np.abs(path.coefficients)  # a coefficient's own last bit is never settled
    size = float(np.max(np.abs(step) / np.maximum(np.maximum(errors, smallest / _SETTLED), 1e-300)))
    if path.steps >= _MOST_STEPS:
        raise DataError(
            f"the regression has not converged after {_MOST_STEPS} steps: the last was of "
            f"{size:.1g} standard errors. With another link, or fewer terms, there are fewer"
        )
    # after a correction the next step may be longer, and more than rounding
    stalled = lost if path.corrected else max(_STALLED, lost)
    settled = size < _SETTLED or path.size <= size < stalled
    if (settled or path.halvings) and sums.figure("edge"):
        raise DataError(
            "the regression has not converged: with this link the maximum is at the edge of the "
            "means that the family can have, where there are no standard errors. Take another"
        )
    # there is nothing to learn from steps that are rounding alone
    stalls = settled and size >= path.size
    taken = step if stalls else _corrected(path, step, errors)
    return replace(
        path,
        coefficients=path.coefficients + taken,
        # starting means are of no coefficients, and their likelihood is not to be compared with
        before=path.before if path.begins else path.coefficients,
        objective=None if path.begins else objective,
        rows=sums.n,
        errors=errors if path.errors is None else path.errors,
        step=None if path.begins else step,
        size=size,
        corrected=taken is not step,
        steps=path.steps + 1,
        halvings=0,
        begins=False,
        settled=settled and not path.begins,
    )


def _corrected(path: Path, step: Numbers, errors: Numbers) -> Numbers:
    """Return a step that learns from the last one, where steps near the maximum hardly shrink.

    So it is with some links: Fisher's expected information is too small there, and steps go to and
    fro about the maximum, or too large, and they fall short of it. Anderson, "Iterative procedures
    for nonlinear integral equations" (1965), with one step remembered, which is a secant's.
    """
    if path.step is None:
        return step
    errors = np.maximum(errors, 1e-300)  # those of a perfect fit are 0
    last, own = path.step / errors, step / errors
    size = np.abs(own).max()
    # Newton's steps, as of all families with their own link, shrink far quicker than this
    if not _QUICK * np.abs(last).max() < size < _NEAR:
        return step
    # from where a correction has led astray, a plain step goes on
    if path.halvings > 2 or (path.corrected and size >= path.size):
        return step
    change = own - last
    share = float(own @ change) / float(change @ change or 1.0)
    corrected = step - share * (path.coefficients - path.before + step - path.step)
    # steps that are all but alike tell nothing of how far the maximum is
    return corrected if np.abs(corrected / errors).max() < _MOST_TIMES * size else step


def _rounding(coefficients: Numbers, matrix: list[list[Fraction]], scale: float) -> float:
    """Return what a step has of the rounding of linear predictors, in standard errors.

    Coefficients of nearly dependent columns are large, and cancel each other in the predictors:
    with so many standard errors of their own column alone, floats lose as many more digits.
    """
    alone = [float(row[j]) ** 0.5 for j, row in enumerate(matrix)]
    return 1e-15 * float(np.max(np.abs(coefficients) * alone)) / (scale**0.5 or 1.0)


def _is_worse(path: Path, objective: float, rows: int, lost: float) -> bool:
    """Tell whether a step was too long; of other rows than before, as where a node was left out."""
    if path.objective is None or rows != path.rows:
        return not np.isfinite(objective)
    return not objective <= path.objective + max(1e-9, lost) * (abs(path.objective) + 1)


def _halved(path: Path) -> Path:
    """Return coefficients nearer to the last good ones, of a step that was too long."""
    if path.corrected and path.step is not None:
        # a correction may lead uphill, where no share of it is good: the plain step does not
        plain = path.before + path.step
        return replace(path, coefficients=plain, step=None, corrected=False)
    if path.halvings >= _MOST_HALVINGS:
        if not path.steps:  # no coefficients were good so far, and those of the mean alone are none
            raise DataError(
                "the regression cannot begin: its sums are beyond what floats can hold at the mean "
                "of all rows, or the link has no such mean. Give the outcome in another unit, so "
                "that its values are near 1, or take another link"
            )
        raise DataError(
            "the regression has not converged: no step makes the likelihood larger. Does the link "
            "give means that the family cannot have?"
        )
    # the objective falls along the step at first, so some share of it is good; each try is a round
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
    flat &= path.step is not None and np.abs(step) > _AS_LONG * np.abs(path.step)
    if flat.any() or (errors > _FAR * path.errors).any():
        moving = np.abs(step) > _LONG * np.abs(step).max()
        names = [name for name, moves in zip(sums.columns, moving, strict=True) if moves]
        terms = [name for name in names if name != INTERCEPT]
        who = f"{listed(terms) if terms else 'the terms'} of the formula separate"
        what = NO_SITE_EFFECTS if any(map(site_of, names)) else _LEAVE_OUT
        raise DataError(
            f"{who}{'s' * (len(terms) == 1)} the outcomes: the larger the coefficients, the larger "
            f"the likelihood, and there is no maximum. {what}"
        )
