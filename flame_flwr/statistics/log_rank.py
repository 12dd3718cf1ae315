"""The log-rank test, from counts on a grid of times, as :mod:`.survival` keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from flame_flwr.errors import ModelError
from flame_flwr.labels import label_key, shared_keys
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.checks import check_lengths
from flame_flwr.statistics.exact_sums import as_float
from flame_flwr.statistics.fields import COUNT, WITHHELD_AT, child, each, labels_of
from flame_flwr.statistics.people import people_in
from flame_flwr.statistics.remembered_columns import made_of
from flame_flwr.statistics.survival import KaplanMeier, followed
from flame_flwr.statistics.values import declared_labels, label_places
from flame_flwr.statistics.visible import Cells, Visible, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.labels import Label

__all__ = ["LogRank"]

_OUTSIDE = ("outside", "outside_withheld_at")


@dataclass(frozen=True)
class LogRank(Statistic):
    """The log-rank test of two or more groups.

    Parameters
    ----------
    groups : tuple of labels
        Their names.
    curves : tuple of KaplanMeier
        One per group, on one grid of times.
    outside : tuple of (int, int)
        People who are in no curve: those with a group that is none of `groups`, and those
        without one.
    outside_withheld_at : tuple of (int, int)
        For these two counts: how many nodes' are not in it.

    Examples
    --------
    >>> test = LogRank.from_data([5, 3, 9, 8], [1, 1, 1, 0], ["a", "a", "b", "b"],
    ...                          groups=["a", "b"], times=[3, 5, 8, 9])
    >>> round(test.result()["statistic"], 4)
    2.8824
    """

    groups: tuple[Label, ...] = field(metadata=labels_of("groups"))
    curves: tuple[KaplanMeier, ...] = field(metadata=each(child(KaplanMeier), by="groups"))
    outside: tuple[int, ...] = field(default=(0, 0), metadata=each(COUNT))
    outside_withheld_at: tuple[int, ...] = field(default=(0, 0), metadata=each(WITHHELD_AT))

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        super().__post_init__()
        check_lengths("LogRank", self.outside, self.outside_withheld_at, (0, 0))
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
        """Count as :class:`KaplanMeier` does, in each group.

        Parameters
        ----------
        durations, events
            See :class:`KaplanMeier`.
        members : sequence, array or Series of labels
            The rows' groups.
        groups : sequence of labels
            Those that are compared. Who fits none of them, by the rule of
            :mod:`flame_flwr.labels`, is counted as ``other``, and who has none as ``missing``.
        times : sequence of float
            The grid.
        """
        empty = cls.zero(groups, times)
        length, event = followed(durations, events)
        check_lengths("LogRank", length, members)
        group = label_places("LogRank", members, empty.groups)
        curves = tuple(
            KaplanMeier.from_data(length[group == place], event[group == place], times)
            for place in range(len(empty.groups))
        )
        group = group[~np.isnan(length) & ~np.isnan(event)]
        outside = tuple(int((group == len(curves) + i).sum()) for i in range(2))
        return made_of(empty._changed(curves=curves, outside=outside), {}, people_in(durations))

    @classmethod
    def zero(cls, groups: Sequence[Label], times: Sequence[float]) -> Self:
        """Return that of nobody."""
        own = declared_labels("LogRank", groups)
        return cls(own, tuple(KaplanMeier.zero(times) for _ in own))

    def result(self) -> dict[str, Any]:
        """Return ``statistic``, ``df``, ``p``, and by group ``n``, ``observed``, ``expected``.

        ``other`` are the people with another group, ``missing`` those without one: the test is
        not about them. Either is ``None`` where a node withheld it.

        The test of Mantel (1966) and Peto and Peto (1972), chi-square with as many degrees of
        freedom as there are groups with people in them, less one.
        """
        observed = [sum(curve.events) for curve in self.curves]
        expected, variance = self._expected()
        statistic, df = _quadratic(observed, expected, variance)
        pairs = zip(self.outside, self.outside_withheld_at, strict=True)
        other, missing = (None if gone else count for count, gone in pairs)
        return {
            "statistic": statistic,
            "df": df,
            "p": None if statistic is None else _chi2_tail(statistic, df),
            "groups": list(self.groups),
            "n": [curve.size for curve in self.curves],
            "observed": observed,
            "expected": [as_float(events) for events in expected],
            "other": other,
            "missing": missing,
            "coarsened_at": max(curve.coarsened_at for curve in self.curves),
            "suppressed": self.suppressed,
        }

    def _expected(self) -> tuple[list[Fraction], list[list[Fraction]]]:
        """Return the events to be expected, and their covariance, were all groups alike."""
        groups = range(len(self.groups))
        expected = [Fraction(0) for _ in groups]
        variance = [[Fraction(0) for _ in groups] for _ in groups]
        risk = zip(*(curve.at_risk() for curve in self.curves), strict=True)
        events = zip(*(curve.events for curve in self.curves), strict=True)
        for at, ended in zip(risk, events, strict=True):
            n, died = sum(at), sum(ended)
            if not died:  # such a time tells nothing
                continue
            for i in groups:
                expected[i] += Fraction(died * at[i], n)
                # the hypergeometric variance: Mantel (1966); of one who is left it is 0 by 0
                for j in groups if n > 1 else ():
                    share = at[i] * ((n if i == j else 0) - at[j])
                    variance[i][j] += Fraction(died * (n - died) * share, (n - 1) * n * n)
        return expected, variance

    @property
    def size(self) -> int:
        """The people."""
        return sum(curve.size for curve in self.curves)

    @property
    def visible(self) -> Visible:
        """The people by group, events and censored by group, and the people in no group."""
        seen = [curve.visible for curve in self.curves]
        outside = self._outside_seen()
        pairs = zip(self.curves, seen, strict=True)
        inside = tuple(n for curve, of_group in pairs for n in (curve.size, *of_group.parts))
        return Visible(
            totals=whole(self.size),
            parts=inside + tuple(outside.values()),
            tables=self._tables(seen, outside),
            cells=seen[0].cells,
            unfitted=None if self.outside_withheld_at[0] else self.outside[0],
        )

    def _tables(self, seen: Sequence[Visible], outside: Cells) -> tuple[tuple[object, Cells], ...]:
        if any(curve.suppressed for curve in self.curves):
            return ()
        keys = shared_keys(self.groups)
        people: Cells = {key: curve.size for key, curve in zip(keys, self.curves, strict=True)}
        ends: Cells = {
            (key, cell): n
            for key, of_group in zip(keys, seen, strict=True)
            for cell, n in of_group.tables[0][1].items()
        }
        which = ("LogRank", tuple(sorted(keys)), self.curves[0].times)
        return ("labels", people | outside), (which, ends)

    def _outside_seen(self) -> Cells:
        """Return the counts of who is in no group that can be seen, by their places."""
        outside = zip(
            ("other", label_key(None)), self.outside, self.outside_withheld_at, strict=True
        )
        return {place: n for place, n, gone in outside if not gone}

    def with_min_count(self, k: int) -> Self:
        """Do as :class:`KaplanMeier` does, in each group; all is withheld where one group is.

        A small count of people in no group is withheld alone.
        """
        curves = tuple(curve.with_min_count(k) for curve in self.curves)
        if any(curve.suppressed for curve in curves):
            return self.withheld()
        withheld = [0 < n < k for n in self.outside]
        kept = self._changed(curves=curves)
        return kept._without_places(withheld, *_OUTSIDE) if any(withheld) else kept


def _quadratic(
    observed: list[int], expected: list[Fraction], variance: list[list[Fraction]]
) -> tuple[float | None, int]:
    """Return the chi-square of the differences; of groups with a variance, all but the last."""
    # the differences sum to zero, so with the last group the matrix would have no inverse
    used = [i for i in range(len(observed)) if variance[i][i] > 0][:-1]
    if not used:
        return None, 0
    difference = np.array([float(observed[i] - expected[i]) for i in used])
    spread = np.array([[float(variance[i][j]) for j in used] for i in used])
    return float(difference @ np.linalg.solve(spread, difference)), len(used)


def _chi2_tail(statistic: float, df: int) -> float:
    from scipy.special import chdtrc  # chi2.sf, without importing scipy.stats

    return float(chdtrc(df, statistic))
