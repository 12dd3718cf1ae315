"""The disclosure rules: a smallest count, moved extremes, limits on size, nothing untyped."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ModelError, PayloadError
from flame_flwr.parameters import (
    FRACTION,
    at_least,
    parameter,
)
from flame_flwr.payload.opaque import Opaque
from flame_flwr.privacy.disclosure_rule import CheckedRule
from flame_flwr.privacy.find_tables import find_tables
from flame_flwr.privacy.min_count import MinCount
from flame_flwr.privacy.value_places import Found
from flame_flwr.statistics.base import Statistic, is_of_the_framework
from flame_flwr.statistics.column_facts import FEW
from flame_flwr.statistics.quantiles import Quantiles
from flame_flwr.statistics.remembered_columns import behind
from flame_flwr.statistics.rule_changes import (
    with_each_member,
    with_most_cells,
    with_wider_range,
)

if TYPE_CHECKING:
    from flame_flwr.privacy.disclosure_rule import DisclosureRule

__all__ = ["MaxBins", "MaxRows", "MinCount", "NoisyMinMax", "Strict", "is_strict", "without_chance"]


@dataclass(frozen=True)
class NoisyMinMax(CheckedRule):
    """The smallest and the largest value, each of one person, leave only moved outwards.

    Each is moved by a random share of their distance, from `low` to `high`, evenly distributed;
    where the two are equal, of their size. The true values lie between the two that leave. The
    outermost values of quantiles are moved likewise, within the accuracy of these.

    It is not differentially private: who knows `low` and `high` knows where the true value can
    be. Without a secret the noise is new in every answer, and the mean of many tells the true one.
    With one, who knows the true ends of a column of many values knows how the ends of all columns
    of as many values are moved.

    Parameters
    ----------
    low, high : float
        The smallest and the largest share, above 0 and at most 1.
    secret : str, optional
        A text that only this node knows: with it all columns of the same people, or of as many
        values where it is not known whose, are moved by the same shares, always, so that the mean
        of many tells no more than one.

    Raises
    ------
    ModelError
        The shares are no such numbers.

    Examples
    --------
    >>> from flame_flwr.privacy import Disclosure, MinCount, NoisyMinMax
    >>> from flame_flwr.statistics import MinMax
    >>> rules = Disclosure([MinCount(5), NoisyMinMax(0.05, 0.15)])
    >>> moved = rules.apply(MinMax.from_data([40.0, 52.0, 58.0, 61.0, 75.0, 90.0]))
    >>> moved.low < 40.0, moved.high > 90.0
    (True, True)
    """

    words = (
        "a smallest and a largest value leave moved outwards, by a random share of {low} to {high} "
        "of their distance"
    )

    low: float = parameter(FRACTION, 0.05, stricter=max)
    high: float = parameter(FRACTION, 0.15, stricter=max)
    secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check before anything runs."""
        super().__post_init__()
        if self.low > self.high:
            raise ModelError("NoisyMinMax: low must not be above high")
        if self.secret is not None and not isinstance(self.secret, str):
            raise ModelError("NoisyMinMax: secret must be a text")  # what it is, is not shown

    def protect(self, statistics: Sequence[Statistic]) -> list[Statistic]:
        """Move the extremes of each."""
        return [
            with_each_member(
                each, lambda member: with_wider_range(member, partial(self._widened, member))
            )
            for each in statistics
        ]

    def _widened(self, statistic: Statistic, low: float, high: float) -> tuple[float, float]:
        """Return two values, moved outwards."""
        noise: random.Random = random.SystemRandom()
        if self.secret is not None:
            ids = behind(statistic).ids
            asked = f"{statistic.size}".encode() if ids is None else ids.tobytes()
            # Who knows a column's true ends, as of one of 0 and 1, reads the shares from it.
            if low == high or _has_few_values(statistic):
                asked = f"{low.hex()} {high.hex()}".encode()
            # Keyed, not only seeded: who knows the values could else work out the shares.
            noise = random.Random(hmac.digest(self.secret.encode(), asked, hashlib.sha256))  # noqa: S311
        reach = (high - low) or abs(low) or 1.0  # of one value, or of zeros, there is no distance
        return (
            low - reach * noise.uniform(self.low, self.high),
            high + reach * noise.uniform(self.low, self.high),
        )


@dataclass(frozen=True)
class MaxBins(CheckedRule):
    """A result is refused if one of its statistics has more bins, labels, cells or times.

    Quantiles are not refused, but get as many different values at most: neighbours are moved
    together. With as many bins as people a histogram is the data. It does not stop who asks for the
    same data in other bins the next time.

    Parameters
    ----------
    most : int
        How many there may be.

    Raises
    ------
    ModelError
        It is no integer above 0.

    Examples
    --------
    >>> from flame_flwr.privacy import Disclosure, MaxBins
    >>> from flame_flwr.statistics import Histogram
    >>> ages = Histogram.from_data([40, 52, 58, 61], range(0, 101, 10))
    >>> Disclosure([MaxBins(5)]).apply(ages)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    PayloadError: the Histogram at $ has more than 5 bins, ...
    """

    words = "no statistic of more than {most} bins, labels, cells or times leaves"

    most: int = parameter(at_least(1), stricter=min)

    def protect(self, statistics: Sequence[Statistic]) -> list[Statistic]:
        """Move values of quantiles together until there are no more different ones."""
        return [
            with_each_member(each, lambda member: with_most_cells(member, self.most))
            for each in statistics
        ]

    def look(self, found: Iterable[Found]) -> None:
        """Refuse a result with more."""
        for each in found:
            value = each.value
            if isinstance(value, Statistic) and value.visible.cells > self.most:
                raise PayloadError(
                    f"the {type(value).__name__} at {each.keyless} has more than {self.most} bins, "
                    "labels, cells or times (the disclosure rule MaxBins of this node or of the "
                    "analysis): ask for fewer",
                    detail=each.path,
                )


@dataclass(frozen=True)
class MaxRows(CheckedRule):
    """A result with a table of more rows is refused: these may be the patients.

    Tables are DataFrames, Series, indexes, arrays with named fields, lists of records (dicts,
    lists, tuples) and dicts of two and more lists of one length, wherever in the result. Other
    arrays, lists of numbers, and statistics pass, as models are of these. It does not stop who
    returns rows as an array or as text, or a few at a time.

    Parameters
    ----------
    most : int
        How many rows a table may have.

    Raises
    ------
    ModelError
        It is no integer above 0.

    Examples
    --------
    >>> from flame_flwr.privacy import Disclosure, MaxRows
    >>> patients = [{"age": 61, "sex": "f"}, {"age": 47, "sex": "m"}]
    >>> Disclosure([MaxRows(1)]).apply(patients)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    PayloadError: the list of records at $ has more than 1 rows ...
    """

    words = "no table of more than {most} rows leaves"

    most: int = parameter(at_least(1), stricter=min)

    def screen(self, result: Any) -> None:
        """Refuse a result with a larger table."""
        for found in find_tables(result):
            table = found.value
            if table.rows > self.most:
                raise PayloadError(
                    f"the {table.kind} at {found.keyless} has more than {self.most} rows (the "
                    "disclosure rule MaxRows of this node or of the analysis): return sums, counts "
                    "or values of flame_flwr.statistics; parameters of a model as an array",
                    detail=f"{found.path}: {table}",
                )


@dataclass(frozen=True)
class Strict(CheckedRule):
    """Only statistics of the framework leave, so that the other rules see every figure.

    ``None``, dicts with strings as keys, lists and tuples may be around them. It does not stop who
    hides a value in a key, or computes a statistic of made-up rows.

    Examples
    --------
    >>> from flame_flwr.privacy import Disclosure, Strict
    >>> Disclosure([Strict()]).apply({"mean age": 61.3})  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    PayloadError: this node lets only statistics leave ...
    """

    words = "only statistics leave, of which the rules see every figure"

    def look(self, found: Iterable[Found]) -> None:
        """Refuse a result with anything else."""
        for each in found:
            value = each.value
            known = isinstance(value, Statistic) and is_of_the_framework(value)
            if value is not None and not known:
                raise PayloadError(
                    "this node lets only statistics leave (the disclosure rule Strict), and at "
                    f"{each.keyless} is a {_called(value)}: return values of "
                    "flame_flwr.statistics",
                    detail=each.path,
                )


def is_strict(rules: Iterable[DisclosureRule]) -> bool:
    """Tell whether rules let nothing but statistics out."""
    return any(isinstance(rule, Strict) for rule in rules)


def without_chance(rules: Sequence[DisclosureRule]) -> tuple[DisclosureRule, ...]:
    """Return rules that do the same in every run, for the check of an analysis."""
    return tuple(
        replace(rule, secret=rule.secret or "check") if isinstance(rule, NoisyMinMax) else rule
        for rule in rules
    )


def _has_few_values(statistic: Statistic) -> bool:
    """Tell whether its column may be one of codes, whose ends everybody knows."""
    found = [facts.distinct for facts in behind(statistic).facts]
    if isinstance(statistic, Quantiles):
        found = [len(statistic.buckets)]
    return any(distinct <= FEW and distinct < statistic.size for distinct in found)


def _called(value: object) -> str:
    return str(value) if isinstance(value, Opaque) else type(value).__name__
