"""Survival: the Kaplan-Meier curve and the log-rank test, from counts on a grid of times.

A duration counts at the first time of the grid that is not before it. With every duration on the
grid the figures are those of the pooled data; no exact duration leaves a node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from flame_flwr.errors import DataError, ModelError
from flame_flwr.statistics.base import Places, Statistic, added, check_counts, check_lengths
from flame_flwr.statistics.histogram import check_edges
from flame_flwr.statistics.suppression import coarsen
from flame_flwr.statistics.values import check_labels, label_key, labels, numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.statistics.values import Label

__all__ = ["KaplanMeier", "LogRank"]


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

    times: tuple[float, ...]
    events: tuple[int, ...]
    censored: tuple[int, ...]
    coarsened_at: int = 0

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        check_edges("KaplanMeier", self.times)
        check_counts("KaplanMeier", *self.events, *self.censored)
        check_counts("KaplanMeier", self.coarsened_at, self.suppressed)
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
        length, event = _followed(durations, events)
        known = ~np.isnan(length) & ~np.isnan(event)
        place = np.searchsorted(np.array(empty.times), length[known], side="left")
        ended = event[known] == 1
        last = len(empty.times)
        counts = np.bincount(place[ended], minlength=last + 1)
        beyond = np.bincount(place[~ended], minlength=last + 1)
        beyond[last] += counts[last]
        return empty._changed(events=tuple(counts[:last].tolist()), censored=tuple(beyond.tolist()))

    @classmethod
    def zero(cls, times: Sequence[float]) -> Self:
        """Return that of nobody."""
        own = tuple(float(time) for time in times)
        return cls(own, (0,) * len(own), (0,) * (len(own) + 1))

    def merge(self, other: Self) -> Self:
        """Return that of both together."""
        self._check_alike(other, "times")
        return self._changed(
            events=added(self.events, other.events),
            censored=added(self.censored, other.censored),
            coarsened_at=self.coarsened_at + other.coarsened_at,
            suppressed=self.suppressed + other.suppressed,
        )

    def result(self) -> dict[str, Any]:
        """Return ``n``, ``times``, ``at_risk``, ``events``, ``censored``, ``survival`` and more.

        ``survival`` is the product-limit estimate (Kaplan and Meier, 1958), ``error`` its standard
        error (Greenwood, 1926), ``median`` the first time at which survival is at most a half.
        """
        survival, errors = self._curve()
        below = [time for time, s in zip(self.times, survival, strict=True) if s <= 0.5]
        return {
            "n": self.size,
            "times": list(self.times),
            "at_risk": self.at_risk(),
            "events": list(self.events),
            "censored": list(self.censored[:-1]),
            "survival": survival if self.size else None,
            "error": errors if self.size else None,
            "median": below[0] if self.size and below else None,
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

    def _curve(self) -> tuple[list[float], list[float | None]]:
        survival, sum_ = 1.0, 0.0
        curve: list[float] = []
        errors: list[float | None] = []
        for ended, n in zip(self.events, self.at_risk(), strict=True):
            if ended:
                survival *= (n - ended) / n
                sum_ += ended / (n * (n - ended)) if n > ended else math.inf
            curve.append(survival)
            errors.append(survival * math.sqrt(sum_) if math.isfinite(sum_) else None)
        return curve, errors

    @property
    def size(self) -> int:
        """The people."""
        return sum(self.events) + sum(self.censored)

    @property
    def cells(self) -> int:
        """The times."""
        return len(self.times)

    def part_sizes(self) -> tuple[int, ...]:
        """Return all events, and all censored."""
        return sum(self.events), sum(self.censored)

    def cells_by_form(self) -> tuple[tuple[object, Places], ...]:
        """Return all events and all censored, and those by time where they were not moved."""
        places: Places = {}
        for name, counts in (("events", self.events), ("censored", self.censored)):
            places[name] = sum(counts)
            if not self.coarsened_at:
                places |= {(name, i): n for i, n in enumerate(counts)}
        return ((("KaplanMeier", self.times), {} if self.suppressed else places),)

    def withheld(self) -> Self:
        """Return it without any count."""
        return self.zero(self.times)._changed(suppressed=1)

    def with_min_count(self, k: int) -> Self:
        """Move events, and censored, to neighbouring times until no count is small.

        Where all events or all censored are few, all is withheld.
        """
        events = coarsen(list(enumerate(self.events)), k)
        censored = coarsen(list(enumerate(self.censored)), k)
        if events is None or censored is None:
            return self.withheld()
        changed = self._changed(
            events=_placed(events, len(self.events)),
            censored=_placed(censored, len(self.censored)),
        )
        return self if changed == self else changed._changed(coarsened_at=1)


@dataclass(frozen=True)
class LogRank(Statistic):
    """The log-rank test of two or more groups.

    Parameters
    ----------
    groups : tuple of labels
        Their names.
    curves : tuple of KaplanMeier
        One per group, on one grid of times.

    Examples
    --------
    >>> test = LogRank.from_data([5, 3, 9, 8], [1, 1, 1, 0], ["a", "a", "b", "b"],
    ...                          groups=["a", "b"], times=[3, 5, 8, 9])
    >>> round(test.result()["statistic"], 4)
    2.8824
    """

    groups: tuple[Label, ...]
    curves: tuple[KaplanMeier, ...]

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        check_labels("LogRank", self.groups)
        check_counts("LogRank", self.suppressed)
        if not all(type(curve) is KaplanMeier for curve in self.curves):
            raise ModelError("LogRank: a group is a KaplanMeier")
        check_lengths("LogRank", self.groups, self.curves)
        if len(self.groups) < 2 or len({curve.times for curve in self.curves}) > 1:
            raise ModelError("LogRank: give two groups or more, on one grid of times")

    @classmethod
    def from_data(
        cls,
        durations: Any,
        events: Any,
        members: Any,
        groups: Sequence[Label],
        times: Sequence[float],
    ) -> Self:
        """Count as :class:`KaplanMeier` does, in each group; `members` are the rows' groups."""
        empty = cls.zero(groups, times)
        length, event = _followed(durations, events)
        check_lengths("LogRank", length, members)
        keys = [label_key(label) for label in labels(members)]
        curves = []
        for group in empty.groups:
            here = np.array([key == label_key(group) for key in keys], dtype=bool)
            curves.append(KaplanMeier.from_data(length[here], event[here], times))
        return empty._changed(curves=tuple(curves))

    @classmethod
    def zero(cls, groups: Sequence[Label], times: Sequence[float]) -> Self:
        """Return that of nobody."""
        own = tuple(label for label in labels(list(groups)) if label is not None)
        return cls(own, tuple(KaplanMeier.zero(times) for _ in own))

    def merge(self, other: Self) -> Self:
        """Return that of both together."""
        self._check_alike(other, "groups")
        pairs = zip(self.curves, other.curves, strict=True)
        return self._changed(
            curves=tuple(one.merge(two) for one, two in pairs),
            suppressed=self.suppressed + other.suppressed,
        )

    def result(self) -> dict[str, Any]:
        """Return ``statistic``, ``df``, ``p``, and by group ``n``, ``observed``, ``expected``.

        The test of Mantel (1966) and Peto and Peto (1972), chi-square with as many degrees of
        freedom as there are groups with people in them, less one.
        """
        observed = [sum(curve.events) for curve in self.curves]
        expected, variance = self._expected()
        statistic, df = _quadratic(observed, expected, variance)
        return {
            "statistic": statistic,
            "df": df,
            "p": None if statistic is None else _chi2_tail(statistic, df),
            "groups": list(self.groups),
            "n": [curve.size for curve in self.curves],
            "observed": observed,
            "expected": expected,
            "coarsened_at": max(curve.coarsened_at for curve in self.curves),
            "suppressed": self.suppressed,
        }

    def _expected(self) -> tuple[list[float], Any]:
        """Return the events to be expected, and their covariance, were all groups alike."""
        count = len(self.groups)
        risk = np.array([curve.at_risk() for curve in self.curves], dtype=float)
        deaths = np.array([curve.events for curve in self.curves], dtype=float).sum(axis=0)
        expected, variance = np.zeros(count), np.zeros((count, count))
        for at, died in zip(risk.T, deaths, strict=True):
            n = at.sum()
            if not died:
                continue
            share = at / n
            expected += died * share
            if n > 1:
                spread = died * (n - died) / (n - 1)
                variance += spread * (np.diag(share) - np.outer(share, share))
        return expected.tolist(), variance

    @property
    def size(self) -> int:
        """The people."""
        return sum(curve.size for curve in self.curves)

    @property
    def cells(self) -> int:
        """The times."""
        return self.curves[0].cells

    def part_sizes(self) -> tuple[int, ...]:
        """Return the people of each group, and their events and censored."""
        return tuple(n for curve in self.curves for n in (curve.size, *curve.part_sizes()))

    def cells_by_form(self) -> tuple[tuple[object, Places], ...]:
        """Return the people by group, and events and censored by group."""
        if self.suppressed:
            return ()
        keys = [label_key(group) for group in self.groups]
        people = {key: curve.size for key, curve in zip(keys, self.curves, strict=True)}
        ends: Places = {
            (key, place): n
            for key, curve in zip(keys, self.curves, strict=True)
            for place, n in curve.cells_by_form()[0][1].items()
        }
        return ("labels", people), (("LogRank", self.groups, self.curves[0].times), ends)

    def withheld(self) -> Self:
        """Return it without any count."""
        return self._changed(curves=tuple(curve.withheld() for curve in self.curves), suppressed=1)

    def with_min_count(self, k: int) -> Self:
        """Do as :class:`KaplanMeier` does, in each group; all is withheld where one group is."""
        curves = tuple(curve.with_min_count(k) for curve in self.curves)
        if any(curve.suppressed for curve in curves):
            return self.withheld()
        return self._changed(curves=curves)


def _followed(durations: Any, events: Any) -> tuple[Any, Any]:
    length, event = numbers(durations), numbers(events)
    check_lengths("survival data", length, event)
    if np.any(length < 0):
        raise DataError("a duration is negative: correct it, or make it missing")
    if not np.isin(event[~np.isnan(event)], (0, 1)).all():
        raise DataError("an event must be 1, or 0 for censored")
    return length, event


def _placed(counts: list[tuple[int, int]], length: int) -> tuple[int, ...]:
    found = dict(counts)
    return tuple(found.get(i, 0) for i in range(length))


def _quadratic(
    observed: list[int], expected: list[float], variance: Any
) -> tuple[float | None, int]:
    """Return the chi-square of the differences; of groups with a variance, all but the last."""
    used = [i for i in range(len(observed)) if variance[i, i] > 0][:-1]
    if not used:
        return None, 0
    difference = np.array([observed[i] - expected[i] for i in used])
    solved = np.linalg.solve(variance[np.ix_(used, used)], difference)
    return float(difference @ solved), len(used)


def _chi2_tail(statistic: float, df: int) -> float:
    from scipy.special import chdtrc

    return float(chdtrc(df, statistic))
