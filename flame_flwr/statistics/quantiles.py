"""Quantiles, from a sketch of the values.

The sketch is a DDSketch (Masson, Rim and Lee, "DDSketch: A Fast and Fully-Mergeable Quantile
Sketch with Relative-Error Guarantees", VLDB 2019), of the package ``ddsketch``: counts in buckets
whose width is a share of their value. Counts merge exactly. Of the other kept sketches, KLL and
t-digest (package ``datasketches``) gave another median for another order of the same nodes.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from flame_flwr.errors import ModelError
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.cell_suppression import coarsen
from flame_flwr.statistics.checks import check_counts
from flame_flwr.statistics.exact_sums import as_decimal
from flame_flwr.statistics.fields import COUNT, combined, parameter
from flame_flwr.statistics.people import present
from flame_flwr.statistics.remembered_columns import made_of
from flame_flwr.statistics.rule_changes import Widen, with_most_cells, with_wider_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ddsketch.ddsketch import BaseDDSketch
    from ddsketch.mapping import LogarithmicMapping

__all__ = ["Quantiles"]

Buckets = tuple[tuple[int, int], ...]

_QUARTILES = (0.25, 0.5, 0.75)
_SHIFT = 2**21
"""Added to a bucket's number, so that those of positive values are positive."""
_LARGEST = 709.0
"""The logarithm of the largest float, and of the smallest one that is not 0, less its sign."""


def _added(one: Buckets, two: Buckets) -> Buckets:
    """Add counts by place."""
    counts = Counter(dict(one))
    counts.update(dict(two))
    return tuple(sorted(counts.items()))


def _coarsened(buckets: Buckets, k: int) -> Buckets | None:
    """Move neighbours together until no bucket has a small count."""
    moved = coarsen(buckets, k)
    return None if moved is None else tuple(moved)


@dataclass(frozen=True)
class Quantiles(Statistic):
    """Quantiles of the values that are not missing, each within a share of the true value.

    Parameters
    ----------
    accuracy : float
        That share, from 0.001 to 0.2.
    buckets : tuple of (place, count)
        Sorted; places of positive values are positive, that of zero is 0.
    coarsened_at : int
        At how many nodes a disclosure rule moved values to their neighbours: the accuracy does
        not hold for these.
    noisy_at : int
        At how many nodes a disclosure rule moved the smallest and the largest value outwards.

    Examples
    --------
    >>> sketch = Quantiles.from_data(range(1, 1001)).result()
    >>> [round(value) for value in sketch["values"]]
    [252, 498, 746]
    """

    accuracy: float = field(metadata=parameter())
    buckets: Buckets = field(metadata=combined(_added, (), coarsen=_coarsened))
    coarsened_at: int = field(default=0, metadata=COUNT)
    noisy_at: int = field(default=0, metadata=COUNT)

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        super().__post_init__()
        if type(self.accuracy) is not float or not 0.001 <= self.accuracy <= 0.2:
            raise ModelError("Quantiles: accuracy must be a float from 0.001 to 0.2")
        width = 2 * math.atanh(self.accuracy)
        for bucket in self.buckets:
            if type(bucket) is not tuple or len(bucket) != 2 or type(bucket[0]) is not int:
                raise ModelError("Quantiles: a bucket is a place and a count")
            check_counts("Quantiles", bucket[1])
            if bucket[0] and abs(abs(bucket[0]) - _SHIFT) > _LARGEST / width:
                raise ModelError("Quantiles: a bucket is where no value can be")
        places = [place for place, _ in self.buckets]
        if places != sorted(set(places)):
            raise ModelError("Quantiles: the buckets must be sorted")

    @classmethod
    def from_data(cls, values: Any, accuracy: float = 0.01) -> Self:
        """Sketch a column of numbers."""
        from ddsketch.mapping import LogarithmicMapping

        empty = cls.zero(accuracy)
        column, people = present(values)
        found, counts = np.unique(column, return_counts=True)
        mapping = LogarithmicMapping(empty.accuracy)
        # One call per distinct value: the mapping is Python, and columns repeat their values.
        buckets: Counter[int] = Counter()
        for value, count in zip(found.tolist(), counts.tolist(), strict=True):
            buckets[_place(mapping, value)] += count
        made = empty._changed(buckets=tuple(sorted(buckets.items())))
        return made_of(made, {}, people)

    @classmethod
    def zero(cls, accuracy: float = 0.01) -> Self:
        """Return that of no values."""
        return cls(accuracy, ())

    def result(self, probabilities: Sequence[float] = _QUARTILES) -> dict[str, Any]:
        """Return ``n``, ``probabilities``, ``values``, ``accuracy`` and ``coarsened_at``.

        Between two values it interpolates as ``numpy.quantile`` and pandas do. Each of the two is
        within ``accuracy`` of the true one, relative to it.
        """
        if not np.iterable(probabilities) or isinstance(probabilities, str):
            raise ModelError("Quantiles: give a list of probabilities, such as [0.5]")
        for probability in probabilities:
            if not 0 <= probability <= 1:
                raise ModelError("a quantile's probability is from 0 to 1")
        sketch = self._sketch()
        values = [self._at(sketch, p) if self.size else None for p in probabilities]
        return {
            "n": self.size,
            "probabilities": list(probabilities),
            "values": values,
            "accuracy": self.accuracy,
            "coarsened_at": self.coarsened_at,
            "noisy_at": self.noisy_at,
            "suppressed": self.suppressed,
        }

    def _at(self, sketch: BaseDDSketch, probability: float) -> float:
        # In decimals: as floats, 0.07 * 100 is more than 7, and so another rank.
        rank = as_decimal(probability) * (self.size - 1)
        low = math.floor(rank)
        below, above = self._nth(sketch, low), self._nth(sketch, math.ceil(rank))
        return below + (above - below) * float(rank - low)

    def _nth(self, sketch: BaseDDSketch, rank: int) -> float:
        """Ask for the middle of a rank, from 0: on its border a rounding would take the next."""
        found = sketch.get_quantile_value(min(1.0, (rank + 0.5) / max(1, self.size - 1)))
        return float(found or 0.0)

    def _sketch(self) -> BaseDDSketch:
        from ddsketch.ddsketch import BaseDDSketch
        from ddsketch.mapping import LogarithmicMapping
        from ddsketch.store import DenseStore

        # not a `DDSketch` of values: counts are put where `from_data` found that they belong
        positive, negative, zeros = DenseStore(), DenseStore(), 0
        for place, count in self.buckets:
            if place:
                store = positive if place > 0 else negative
                store.add(abs(place) - _SHIFT, count)
            else:
                zeros += count
        return BaseDDSketch(LogarithmicMapping(self.accuracy), positive, negative, zeros)

    @property
    def size(self) -> int:
        """The values that are not missing."""
        return sum(count for _, count in self.buckets)


@with_most_cells.register(Quantiles)
def _(statistic: Quantiles, most: int) -> Quantiles:
    """Move neighbours together until there are no more buckets than this."""
    if len(statistic.buckets) <= most:
        return statistic
    return statistic.with_min_count(math.ceil(statistic.size / most))


@with_wider_range.register(Quantiles)
def _(statistic: Quantiles, widen: Widen) -> Quantiles:
    """Move the lowest and the highest value, each one person's, to other buckets."""
    if not statistic.buckets or statistic.noisy_at:
        return statistic
    from ddsketch.mapping import LogarithmicMapping

    mapping = LogarithmicMapping(statistic.accuracy)
    # with a single value there is one end, which only moves downwards
    ends = [statistic.buckets[0][0], statistic.buckets[-1][0]][: statistic.size]
    low, high = (_value(mapping, place) for place in (ends[0], ends[-1]))
    buckets = Counter(dict(statistic.buckets))
    # Moved and not added: the number of values stays what it is.
    for place, value in zip(ends, widen(low, high), strict=False):
        buckets[place] -= 1
        buckets[_place(mapping, value)] += 1
    return statistic._changed(buckets=tuple(sorted((+buckets).items())), noisy_at=1)


def _place(mapping: LogarithmicMapping, value: float) -> int:
    if abs(value) <= mapping.min_possible:
        return 0
    place: int = mapping.key(abs(value)) + _SHIFT
    return place if value > 0 else -place


def _value(mapping: LogarithmicMapping, place: int) -> float:
    return math.copysign(mapping.value(abs(place) - _SHIFT), place) if place else 0.0
