"""Survival: the Kaplan-Meier curve, from counts on a grid of times.

A duration counts at the first time of the grid that is not before it. With every duration on the
grid the figures are those of the pooled data; no exact duration leaves a node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from flame_flwr.errors import DataError, ModelError
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.checks import check_edges, check_lengths
from flame_flwr.statistics.exact_sums import as_decimal, as_float
from flame_flwr.statistics.fields import COUNT, each, parameter
from flame_flwr.statistics.people import people_in
from flame_flwr.statistics.remembered_columns import made_of
from flame_flwr.statistics.values import numbers
from flame_flwr.statistics.visible import Cells, Visible, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.statistics.values import Numbers

__all__ = ["KaplanMeier", "followed"]


@dataclass(frozen=True)
class KaplanMeier(Statistic):
    """Events and censored at each time of a grid.

    Parameters
    ----------
    times : tuple of float
        The grid, at least two, rising.
    events, censored : tuple of int
        At each time. One more of `censored`: those who were followed beyond the last time.
    coarsened_at : int
        At how many nodes a disclosure rule moved some of them to neighbouring times.

    Examples
    --------
    >>> curve = KaplanMeier.from_data([1, 2, 2, 3], [1, 1, 0, 0], times=[1, 2, 3]).result()
    >>> curve["survival"]
    [0.75, 0.5, 0.5]
    """

    times: tuple[float, ...] = field(metadata=parameter(check_edges))
    events: tuple[int, ...] = field(metadata=each(COUNT, coarsened=True))
    censored: tuple[int, ...] = field(metadata=each(COUNT, coarsened=True))
    coarsened_at: int = field(default=0, metadata=COUNT)

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        super().__post_init__()
        check_lengths("KaplanMeier", self.times, self.events, self.censored[1:])

    @classmethod
    def from_data(cls, durations: Any, events: Any, times: Sequence[float]) -> Self:
        """Count durations, from 0, and whether each ended with the event (1) or was censored (0).

        Rows where one of the two is missing are left out.

        Raises
        ------
        DataError
            A duration is negative, or an event is neither 0 nor 1.
        """
        empty = cls.zero(times)
        length, event = followed(durations, events)
        known = ~np.isnan(length) & ~np.isnan(event)
        # beyond the last time it is the number of times: a place of its own
        place = np.searchsorted(np.array(empty.times), length[known], side="left")
        ended = event[known] == 1
        last = len(empty.times)
        counts = np.bincount(place[ended], minlength=last + 1)
        beyond = np.bincount(place[~ended], minlength=last + 1)
        beyond[last] += counts[last]  # an event after the last time is not seen: censored there
        made = empty._changed(events=tuple(counts[:last].tolist()), censored=tuple(beyond.tolist()))
        return made_of(made, {}, people_in(durations, known))

    @classmethod
    def zero(cls, times: Sequence[float]) -> Self:
        """Return that of nobody."""
        own = tuple(float(time) for time in times)
        return cls(own, (0,) * len(own), (0,) * (len(own) + 1))

    def result(self) -> dict[str, Any]:
        """Return ``n``, ``times``, ``at_risk``, ``events``, ``censored``, ``survival`` and more.

        ``survival`` is the product-limit estimate (Kaplan and Meier, 1958), ``error`` its standard
        error (Greenwood, 1926), ``median`` the first time at which survival is at most a half.
        """
        curve = self._curve()
        return {
            "n": self.size,
            "times": list(self.times),
            "at_risk": self.at_risk(),
            "events": list(self.events),
            "censored": list(self.censored[:-1]),
            "survival": [float(survival) for survival, _ in curve] if self.size else None,
            "error": [_error(*point) for point in curve] if self.size else None,
            "median": self.quantile(0.5),
            "coarsened_at": self.coarsened_at,
            "suppressed": self.suppressed,
        }

    def at_risk(self) -> list[int]:
        """Return how many are under observation just before each time."""
        left, result = self.size, []
        for ended, lost in zip(self.events, self.censored[:-1], strict=True):
            result.append(left)
            left -= ended + lost
        return result

    def quantile(self, probability: float | Fraction) -> float | None:
        """Return the first time at which survival is at most ``1 - probability``.

        Survival is a fraction of counts, and compared as one; a float probability is taken as
        the decimal number that it is written as.

        Parameters
        ----------
        probability : float or Fraction
            From 0 to 1; 0.5 asks for the median.

        Returns
        -------
        float or None
            ``None`` where survival stays above that, or nobody is observed.

        Raises
        ------
        ModelError
            It is no number from 0 to 1.

        Examples
        --------
        >>> KaplanMeier.from_data([1, 2, 3, 4], [1, 1, 1, 1], times=[1, 2, 3, 4]).quantile(0.75)
        3.0
        """
        # as floats, a survival of exactly a half may be a bit above it: a later time, then
        wanted = 1 - _probability(probability)
        reached = (
            time
            for time, (survival, _) in zip(self.times, self._curve(), strict=True)
            if survival <= wanted
        )
        return next(reached, None) if self.size else None

    def conf_int(self, alpha: float = 0.05) -> tuple[list[float | None], list[float | None]]:
        """Return the lower and the upper confidence limit of survival at each time.

        They are those of ``log(-log(survival))``, so they lie between 0 and 1 (Kalbfleisch and
        Prentice, 1980); lifelines has the same by default.

        Parameters
        ----------
        alpha : float
            0.05 gives 95 % limits.

        Returns
        -------
        lower, upper : list of float or None
            Both 1 before the first event; ``None`` where nobody is left to survive, or observed.

        Examples
        --------
        >>> curve = KaplanMeier.from_data([1, 2, 2, 3], [1, 1, 0, 0], times=[1, 2, 3])
        >>> [round(limit, 3) for limit in curve.conf_int()[0]]
        [0.128, 0.058, 0.058]
        """
        reach = NormalDist().inv_cdf(1 - alpha / 2)
        pairs = [_limits(*point, reach) if self.size else (None, None) for point in self._curve()]
        return [low for low, _ in pairs], [high for _, high in pairs]

    def median_conf_int(self, alpha: float = 0.05) -> tuple[float | None, float | None]:
        """Return the confidence interval of the median: where both limits are at most a half.

        That of Brookmeyer and Crowley (1982). An end that the grid does not reach is ``None``.

        Examples
        --------
        >>> curve = KaplanMeier.from_data([1, 2, 2, 3], [1, 1, 0, 0], times=[1, 2, 3])
        >>> curve.median_conf_int()
        (1.0, None)
        """
        low, high = (
            next((time for time, at in zip(self.times, limits, strict=True) if _is_half(at)), None)
            for limits in self.conf_int(alpha)
        )
        return low, high

    def at_risk_at(self, time: float) -> int:
        """Return how many are under observation just before a time up to the grid's last.

        On the grid: who was observed until a time between two of the grid counts at the later one.
        """
        place = int(np.searchsorted(np.array(self.times), time, side="left"))
        return self.at_risk()[place]

    def _curve(self) -> list[tuple[Fraction, Fraction | None]]:
        """Return survival after each time, and Greenwood's sum; none where nobody is left."""
        survival, total = Fraction(1), Fraction(0)
        curve: list[tuple[Fraction, Fraction | None]] = []
        for ended, n in zip(self.events, self.at_risk(), strict=True):
            if ended:
                survival *= Fraction(n - ended, n)
                # where all who are left die, survival is 0, and Greenwood's term has no value
                total += Fraction(ended, n * (n - ended)) if n > ended else 0
            curve.append((survival, total if survival else None))
        return curve

    @property
    def size(self) -> int:
        """The people."""
        return sum(self.events) + sum(self.censored)

    @property
    def visible(self) -> Visible:
        """All events and all censored, and those by time where they were not moved."""
        counts: Cells = {}
        for name, by_time in (("events", self.events), ("censored", self.censored)):
            counts[name] = sum(by_time)
            if not self.coarsened_at:
                counts |= {(name, i): n for i, n in enumerate(by_time)}
        return Visible(
            totals=whole(self.size),
            parts=(sum(self.events), sum(self.censored)),
            tables=((("KaplanMeier", self.times), {} if self.suppressed else counts),),
            cells=len(self.times),
        )


def followed(durations: Any, events: Any) -> tuple[Numbers, Numbers]:
    """Return durations and events as floats, with NaN for each that is missing.

    Raises
    ------
    DataError
        A duration is negative, or an event is neither 0 nor 1.
    """
    length, event = numbers(durations), numbers(events)
    check_lengths("survival data", length, event)
    if np.any(length < 0):
        raise DataError("a duration is negative: correct it, or make it missing")
    if not np.isin(event[~np.isnan(event)], (0, 1)).all():
        raise DataError("an event must be 1, or 0 for censored")
    return length, event


def _probability(value: Any) -> Fraction:
    """Return a probability, exactly.

    Raises
    ------
    ModelError
        It is none.
    """
    try:
        found = as_decimal(value)
    except (TypeError, ValueError):
        found = Fraction(-1)
    if not 0 <= found <= 1:
        raise ModelError(f"KaplanMeier: a probability is a number from 0 to 1, not {value!r}")
    return found


def _error(survival: Fraction, total: Fraction | None) -> float | None:
    return None if total is None else float(survival) * math.sqrt(as_float(total))


def _limits(
    survival: Fraction, total: Fraction | None, reach: float
) -> tuple[float | None, float | None]:
    if total is None:
        return None, None
    value = float(survival)
    if not 0 < value < 1:  # as before the first event
        return value, value
    # the limits of log(-log(S)), whose error is that of log(S) by |log(S)|, taken back
    power = math.exp(reach * math.sqrt(as_float(total)) / abs(math.log(value)))
    return value**power, value ** (1 / power)


def _is_half(limit: float | None) -> bool:
    return limit is not None and limit <= 0.5
