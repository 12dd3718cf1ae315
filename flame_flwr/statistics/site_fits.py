"""Each hospital's own fit of a regression, side by side: what a meta-analysis combines.

Not for the fit of all rows together: that is of :mod:`.score_information`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from flame_flwr.errors import ModelError
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.checks import check_counts
from flame_flwr.statistics.fields import combined
from flame_flwr.statistics.meta_analysis import MetaAnalysis
from flame_flwr.statistics.score_information import check_counted, rows_that_count, small_cell
from flame_flwr.statistics.visible import Visible, whole

__all__ = ["LEFT_OUT", "NO_MAXIMUM", "NO_ROWS", "RULE", "SINGULAR"]
__all__ += ["Fit", "SiteFits", "is_estimate"]

NO_ROWS = "no complete rows"
NO_MAXIMUM = "no maximum"
SINGULAR = "columns that cannot be told apart"
RULE = "a disclosure rule"

LEFT_OUT = (NO_ROWS, NO_MAXIMUM, SINGULAR, RULE)
"""Why a hospital is left out."""


class Fit(NamedTuple):
    """One hospital's own fit.

    Parameters
    ----------
    site : str
        The hospital.
    counted : {'rows', 'rarer', 'events'}
        As of :class:`ScoreInformation`.
    n, events : int
        Its rows, and those with the outcome 1 or an event.
    estimates : tuple of (str, float, float)
        Of each coefficient the column, the estimate and its standard error.
    cells : tuple of (str, int, int)
        The levels of each categorical term, with their rows and events.
    """

    site: str
    counted: str
    n: int
    events: int
    estimates: tuple[tuple[str, float, float], ...]
    cells: tuple[tuple[str, int, int], ...]


_TYPES: Mapping[str, list[type]] = {"estimates": [str, float, float], "cells": [str, int, int]}


def _check_fits(owner: str, fits: object) -> None:
    """Refuse what is no tuple of fits: it may come from another party."""
    for fit in fits if isinstance(fits, tuple) else [None]:
        if not isinstance(fit, Fit):
            raise ModelError(f"{owner}: a fit has {', '.join(Fit._fields)}")
        parts: dict[str, Any] = fit._asdict()
        check_counted(owner, parts["counted"])
        check_counts(owner, parts["n"], parts["events"])
        lists = [(item, types) for name, types in _TYPES.items() for item in parts[name]]
        if type(parts["site"]) is not str or any(
            type(item) is not tuple or [type(part) for part in item] != types
            for item, types in lists
        ):
            raise ModelError(f"{owner}: a fit has a part of another type")
        check_counts(owner, *(count for cell in parts["cells"] for count in cell[1:]))
        if not all(is_estimate(*found[1:]) for found in parts["estimates"]):
            raise ModelError(f"{owner}: an estimate must be finite, its standard error above 0")


def _check_left_out(owner: str, pairs: object) -> None:
    for pair in pairs if isinstance(pairs, tuple) else [None]:
        if (
            not isinstance(pair, tuple)
            or len(pair) != 2
            or type(pair[0]) is not str
            or pair[1] not in LEFT_OUT
        ):
            raise ModelError(f"{owner}: who is left out has one of the reasons")


def _in_order(one: tuple[Any, ...], two: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(one + two))


@dataclass(frozen=True)
class SiteFits(Statistic):
    """The fits of hospitals, each on its own rows, and which hospitals have none.

    Coefficients of columns that are 0 or 1 tell counts. So, as in :class:`ScoreInformation`, each
    says how many rows every level has, and `MinCount` leaves a fit out where one has too few.

    Parameters
    ----------
    fits : tuple of Fit
        In the order of hospitals.
    left_out : tuple of (str, str)
        A hospital, and why it has no fit.

    Examples
    --------
    >>> here = SiteFits.from_data("a", "rows", 120, 0, [("age", 0.5, 0.1)])
    >>> there = SiteFits.from_data("b", "rows", 40, 0, [("age", 0.7, 0.2)])
    >>> both = here.merge(there).merge(SiteFits.of_none("c", "no complete rows"))
    >>> round(both.combined("age").result()["fixed"]["estimate"], 4), both.left_out
    (0.54, (('c', 'no complete rows'),))
    """

    fits: tuple[Fit, ...] = field(metadata=combined(_in_order, (), check=_check_fits, entry=Fit))
    left_out: tuple[tuple[str, str], ...] = field(
        default=(), metadata=combined(_in_order, (), check=_check_left_out)
    )

    @classmethod
    def from_data(
        cls,
        site: str,
        counted: str,
        n: int,
        events: int,
        estimates: Iterable[tuple[str, float, float]],
        cells: Iterable[tuple[str, int, int]] = (),
    ) -> Self:
        """Take a hospital's own fit; parameters as of :class:`Fit`."""
        # + 0.0: -0.0 and 0.0 would be placed by the order of merging
        found = tuple((name, float(b) + 0.0, float(error)) for name, b, error in estimates)
        return cls((Fit(site, counted, n, events, found, tuple(cells)),))

    @classmethod
    def of_none(cls, site: str, why: str) -> Self:
        """Return that a hospital has no fit."""
        return cls((), ((site, why),))

    @property
    def columns(self) -> list[str]:
        """The coefficients' names, as the hospital with the most of them has them."""
        # a hospital leaves out columns that are alike in all of its rows; others keep their order
        longest: list[str] = []
        for fit in sorted(self.fits, key=lambda fit: -len(fit.estimates)):
            known = [name for name, _, _ in fit.estimates]
            longest += [name for name in known if name not in longest]
        return longest

    def combined(self, column: str) -> MetaAnalysis:
        """Return the estimates of one coefficient, as far as hospitals have it."""
        found = [
            (estimate, error, fit.n)
            for fit in self.fits
            for name, estimate, error in fit.estimates
            if name == column
        ]
        return MetaAnalysis(tuple(sorted(found)))

    def result(self) -> dict[str, Any]:
        """Return ``n``, ``sites``, ``left_out``, and by column what is combined."""
        return {
            "n": self.size,
            "sites": [fit.site for fit in self.fits],
            "left_out": dict(self.left_out),
            "combined": {column: self.combined(column).result() for column in self.columns},
            "suppressed": self.suppressed,
        }

    @property
    def size(self) -> int:
        """The rows of all fits."""
        return sum(fit.n for fit in self.fits)

    @property
    def visible(self) -> Visible:
        """The rows, and how many levels there are."""
        return Visible(
            whole(self.size), cells=max((len(fit.cells) for fit in self.fits), default=0)
        )

    def withheld(self) -> Self:
        """Return it without any fit; it is still said whose there are none."""
        # no rule of one field: a hospital goes from one to the other
        return self._without(self.fits)._changed(suppressed=1)

    def with_min_count(self, k: int) -> Self:
        """Leave fits out in which a level, or an outcome, has fewer rows than `k`, and some."""
        return self._without(
            fit
            for fit in self.fits
            if small_cell(fit.counted, [("all rows", fit.n, fit.events), *fit.cells], k)
        )

    def with_rows_per_parameter(self, least: int) -> Self:
        """Leave fits out that have fewer rows for each parameter than `least`."""
        return self._without(
            fit
            for fit in self.fits
            if rows_that_count(fit.counted, fit.n, fit.events) < least * len(fit.estimates)
        )

    def _without(self, fits: Iterable[Fit]) -> Self:
        gone = list(fits)
        if not gone:
            return self
        kept = tuple(fit for fit in self.fits if fit not in gone)
        why = tuple((fit.site, RULE) for fit in gone)
        return self._changed(fits=kept, left_out=_in_order(self.left_out, why), suppressed=1)


def is_estimate(estimate: float, error: float) -> bool:
    """Tell whether an estimate is finite, and its standard error one that can be combined."""
    # its weight, 1 / error**2, and the square of that are still floats
    return math.isfinite(estimate) and 1e-75 < error < 1e75
