"""Baseline hazards of Cox's model, of each hospital and stratum, on a grid of times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from flame_flwr.errors import ModelError
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.checks import check_counts, check_edges, check_lengths
from flame_flwr.statistics.fields import combined, parameter
from flame_flwr.statistics.visible import Visible

__all__ = ["BaselineHazards", "Stratum"]


class Stratum(NamedTuple):
    """The cumulative hazard of one stratum of a hospital.

    Parameters
    ----------
    site, label : str
        The hospital, and which of its strata; ``""`` where the hospital is one.
    hazards : tuple of float or None
        The cumulative hazard at each time of the grid; ``None`` where it is withheld.
    n : int
        The rows; 0 where a rule has looked at them.
    events : tuple of int
        The events up to each time; none where a rule has looked at them.
    """

    site: str
    label: str
    hazards: tuple[float | None, ...]
    n: int
    events: tuple[int, ...]


def _check_strata(owner: str, strata: object) -> None:
    for stratum in strata if isinstance(strata, tuple) else [None]:
        if not isinstance(stratum, Stratum):
            raise ModelError(f"{owner}: a stratum has {', '.join(Stratum._fields)}")
        site, label, hazards, n, events = stratum
        check_counts(owner, n, *events)
        known = [hazard for hazard in hazards if hazard is not None]
        if any(type(hazard) is not float or not 0 <= hazard < math.inf for hazard in known):
            raise ModelError(f"{owner}: a hazard must be a number of at least 0, or None")
        if type(site) is not str or type(label) is not str:
            raise ModelError(f"{owner}: a hospital and a stratum are texts")


def _in_order(one: tuple[Stratum, ...], two: tuple[Stratum, ...]) -> tuple[Stratum, ...]:
    return tuple(sorted(one + two, key=repr))  # a None has no order


@dataclass(frozen=True)
class BaselineHazards(Statistic):
    """Breslow's estimates for the strata of hospitals, side by side.

    With `MinCount` a stratum of too few rows is left out, and a time is withheld up to which there
    were too few events since the last one that is said; counts then stay at the hospital.

    Parameters
    ----------
    times : tuple of float
        The grid, at least two, rising.
    strata : tuple of Stratum
        In the order of hospitals.

    Examples
    --------
    >>> found = BaselineHazards.from_data([1, 2, 3], [("a", "", [0.1, 0.2, 0.4], 60, [6, 12, 14])])
    >>> found.with_min_count(5).result()["hazards"]
    [[0.1, 0.2, None]]
    """

    times: tuple[float, ...] = field(metadata=parameter(check_edges))
    strata: tuple[Stratum, ...] = field(
        metadata=combined(_in_order, (), check=_check_strata, entry=Stratum)
    )

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        super().__post_init__()
        for each in self.strata:
            check_lengths("BaselineHazards", self.times, each.hazards)
            # no events: a rule has looked at them
            check_lengths("BaselineHazards", each.events or self.times, self.times)

    @classmethod
    def from_data(
        cls,
        times: Sequence[float],
        strata: Iterable[tuple[str, str, Sequence[float], int, Sequence[int]]],
    ) -> Self:
        """Take a hospital's strata; parameters as of :class:`Stratum`."""
        found = tuple(
            Stratum(site, label, tuple(map(float, hazards)), int(n), tuple(map(int, events)))
            for site, label, hazards, n, events in strata
        )
        return cls(tuple(map(float, times)), _in_order(found, ()))

    @classmethod
    def zero(cls, times: Sequence[float]) -> Self:
        """Return that of no stratum."""
        return cls.from_data(times, ())

    def result(self) -> dict[str, Any]:
        """Return ``times``, and by place ``sites``, ``strata`` and ``hazards``."""
        return {
            "times": list(self.times),
            "sites": [each.site for each in self.strata],
            "strata": [each.label for each in self.strata],
            "hazards": [list(each.hazards) for each in self.strata],
            "suppressed": self.suppressed,
        }

    @property
    def size(self) -> int:
        """The rows, as far as they are said."""
        return sum(each.n for each in self.strata)

    @property
    def visible(self) -> Visible:
        """No counts: a rule on these leaves none in it; and how many times it has."""
        return Visible(cells=len(self.times))

    def with_min_count(self, k: int) -> Self:
        """Return it without counts, small strata, and times after too few events."""
        kept = [_said(each, k) for each in self.strata if not 0 < each.n < k]
        whole = len(kept) == len(self.strata) and all(None not in each.hazards for each in kept)
        return self._changed(strata=tuple(kept), suppressed=self.suppressed if whole else 1)


def _said(stratum: Stratum, k: int) -> Stratum:
    """Return a stratum with the hazards that at least `k` events are behind, or none."""
    hazards, last = list(stratum.hazards), 0
    for place, events in enumerate(stratum.events):
        # two hazards that are said must not tell a step of few events between them
        if 0 < events - last < k:
            hazards[place] = None
        else:
            last = events
    return stratum._replace(hazards=tuple(hazards), n=0, events=())
