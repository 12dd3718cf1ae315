"""The disclosure rules: a smallest count, moved extremes, limits on size, nothing untyped."""

from __future__ import annotations

import hashlib
import hmac
import numbers
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from flame_flwr.errors import ModelError, PayloadError
from flame_flwr.privacy.differencing import Leaf, without_overlaps
from flame_flwr.privacy.disclosure_rule import DisclosureRule, Found
from flame_flwr.privacy.table_forms import table_forms
from flame_flwr.statistics.base import Statistic

__all__ = ["MaxBins", "MaxRows", "MinCount", "NoisyMinMax", "Strict", "without_chance"]


@dataclass(frozen=True)
class MinCount(DisclosureRule):
    """No figure about fewer than `k` people leaves; 0 may be said.

    A mean, a variance or an estimate of too few is withheld with its count, so the merged one is
    that of the others, and says that a node is missing. Of histograms, value counts and tables
    small cells are withheld, and further ones, so that none can be had from the totals. Of
    quantiles, survival and AUC neighbours are moved together. A smallest and a largest value are
    withheld, each being one person's, unless `NoisyMinMax` holds, too. Groups are withheld that
    others of the same result would give away.

    It does not stop who asks twice, for overlapping groups, in two rounds or two analyses; nor who
    knows some of the people; nor that a withheld cell is known to be small or to protect one.

    Parameters
    ----------
    k : int
        The smallest group that may be seen, at least 2.
    differences : bool
        Whether groups are withheld that with others of the same result give away fewer than `k`:
        by their difference, such as those with a missing value, or by a sum of several.

    Raises
    ------
    ModelError
        `k` is no integer of at least 2.
    """

    k: int = 5
    differences: bool = True

    def __post_init__(self) -> None:
        """Check before anything runs."""
        _check_integer("MinCount", "k", self.k, 2)
        if type(self.differences) is not bool:
            raise ModelError("MinCount: differences must be True or False")

    def stricter(self, other: Self) -> Self:
        """Return the one with the larger `k`."""
        return type(self)(max(self.k, other.k), self.differences or other.differences)

    def protect(self, statistics: Sequence[Statistic]) -> list[Statistic]:
        """Withhold what is small in each, then what is small between two of them."""
        if not self.differences:
            return [statistic.with_min_count(self.k) for statistic in statistics]
        leaves = [
            Leaf(source, column, member, member.with_min_count(self.k))
            for source, statistic in enumerate(statistics)
            for column, member in statistic.member_statistics()
        ]
        allowed = iter(without_overlaps(leaves, self.k))
        return [
            statistic.with_member_statistics([next(allowed) for _ in statistic.member_statistics()])
            for statistic in statistics
        ]


@dataclass(frozen=True)
class NoisyMinMax(DisclosureRule):
    """The smallest and the largest value, each of one person, leave only moved outwards.

    Each is moved by a random share of their distance, from `low` to `high`, evenly distributed;
    where the two are equal, of their size. The true values lie between the two that leave. The
    outermost values of quantiles are moved likewise, within the accuracy of these.

    It is not differentially private: who knows `low` and `high` knows where the true value can
    be. Without a secret the noise is new in every answer, and the mean of many tells the true one.

    Parameters
    ----------
    low, high : float
        The smallest and the largest share, above 0 and at most 1.
    secret : str, optional
        A text that only this node knows: with it the same two values are always moved alike.

    Raises
    ------
    ModelError
        The shares are no such numbers.
    """

    low: float = 0.05
    high: float = 0.15
    secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check before anything runs."""
        for share in (self.low, self.high):
            if not isinstance(share, numbers.Real) or not 0 < share <= 1:
                raise ModelError("NoisyMinMax: low and high must be above 0 and at most 1")
        if self.low > self.high:
            raise ModelError("NoisyMinMax: low must not be above high")
        if self.secret is not None and not isinstance(self.secret, str):
            raise ModelError("NoisyMinMax: secret must be a text")

    def stricter(self, other: Self) -> Self:
        """Return the one that moves farther, with this one's secret."""
        return type(self)(max(self.low, other.low), max(self.high, other.high), self.secret)

    def protect(self, statistics: Sequence[Statistic]) -> list[Statistic]:
        """Move the extremes of each."""
        return [statistic.with_wider_range(self._widened) for statistic in statistics]

    def _widened(self, low: float, high: float) -> tuple[float, float]:
        """Return two values, moved outwards."""
        noise: random.Random = random.SystemRandom()
        if self.secret is not None:
            asked = f"{low.hex()} {high.hex()}".encode()
            noise = random.Random(hmac.digest(self.secret.encode(), asked, hashlib.sha256))  # noqa: S311
        reach = (high - low) or abs(low) or 1.0
        return (
            low - reach * noise.uniform(self.low, self.high),
            high + reach * noise.uniform(self.low, self.high),
        )


@dataclass(frozen=True)
class MaxBins(DisclosureRule):
    """A result with more bins, labels, cells or times in one statistic is refused.

    Quantiles are not refused, but get as many different values at most: neighbours are moved
    together. With as many bins as people a histogram is the data. It does not stop who asks for the
    same data in other bins the next time.

    Parameters
    ----------
    most : int
        As many may be.

    Raises
    ------
    ModelError
        It is no integer above 0.
    """

    most: int

    def __post_init__(self) -> None:
        """Check before anything runs."""
        _check_integer("MaxBins", "most", self.most, 1)

    def stricter(self, other: Self) -> Self:
        """Return the one with the lower limit."""
        return type(self)(min(self.most, other.most))

    def protect(self, statistics: Sequence[Statistic]) -> list[Statistic]:
        """Move values of quantiles together until there are no more different ones."""
        return [statistic.with_most_cells(self.most) for statistic in statistics]

    def look(self, found: Iterable[Found]) -> None:
        """Refuse a result with more."""
        for value, path, masked in found:
            if isinstance(value, Statistic) and value.cells > self.most:
                raise PayloadError(
                    f"the {type(value).__name__} at {masked} has more than {self.most} bins, "
                    "labels, cells or times (the disclosure rule MaxBins of this node or of the "
                    "analysis): ask for fewer",
                    detail=path,
                )


@dataclass(frozen=True)
class MaxRows(DisclosureRule):
    """A result with a table of more rows is refused: it may be the patients'.

    Tables are DataFrames, Series, indexes, arrays with named fields, lists of records (dicts,
    lists, tuples) and dicts of two and more lists of one length, wherever in the result. Other
    arrays, lists of numbers, and statistics pass, as models are of these. It does not stop who
    returns rows as an array or as text, or a few at a time.

    Parameters
    ----------
    most : int
        As many may be.

    Raises
    ------
    ModelError
        It is no integer above 0.
    """

    most: int

    def __post_init__(self) -> None:
        """Check before anything runs."""
        _check_integer("MaxRows", "most", self.most, 1)

    def stricter(self, other: Self) -> Self:
        """Return the one with the lower limit."""
        return type(self)(min(self.most, other.most))

    def screen(self, result: Any) -> None:
        """Refuse a result with a larger table."""
        for table in table_forms(result):
            if table.rows > self.most:
                raise PayloadError(
                    f"the {table.kind} at {table.masked} has more than {self.most} rows (the "
                    "disclosure rule MaxRows of this node or of the analysis): return sums, counts "
                    "or values of flame_flwr.statistics; parameters of a model as an array",
                    detail=f"{table.path}: {table}",
                )


@dataclass(frozen=True)
class Strict(DisclosureRule):
    """Only statistics of the framework leave, so that the other rules see every figure.

    ``None``, dicts with strings as keys, lists and tuples may be around them. It does not stop who
    hides a value in a key, or computes a statistic of made-up rows.
    """

    def stricter(self, other: Self) -> Self:
        """Return itself."""
        return self

    def look(self, found: Iterable[Found]) -> None:
        """Refuse a result with anything else."""
        for value, path, masked in found:
            known = isinstance(value, Statistic) and type(value).__module__.startswith(_OWN)
            if value is not None and not known:
                raise PayloadError(
                    f"this node lets only statistics leave (the disclosure rule Strict), and at "
                    f"{masked} is a {type(value).__name__}: return values of flame_flwr.statistics",
                    detail=path,
                )


def without_chance(rules: Sequence[DisclosureRule]) -> tuple[DisclosureRule, ...]:
    """Return rules that do the same in every run, for the check of an analysis."""
    return tuple(
        replace(rule, secret=rule.secret or "check") if isinstance(rule, NoisyMinMax) else rule
        for rule in rules
    )


_OWN = "flame_flwr.statistics."


def _check_integer(owner: str, name: str, value: Any, least: int) -> None:
    if type(value) is not int or value < least:
        raise ModelError(f"{owner}: {name} must be an integer of at least {least}, not {value!r}")
