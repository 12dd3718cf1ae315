"""Sum, mean and variance of a column; covariance and correlation of several.

Merging adds exact sums, of values and of products. That is the update of Chan, Golub and LeVeque
("Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979) without its
roundings: no cancellation, and no dependence on the order of nodes. At a node the values are
taken relative to their mean, so that large values with a small spread keep their digits.
"""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from flame_flwr.errors import ModelError
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.exact_sums import as_float, rounded_sum, sum_about
from flame_flwr.statistics.fields import COLUMNS, COUNT, EXACT_SUM, each
from flame_flwr.statistics.people import people_in, present
from flame_flwr.statistics.remembered_columns import made_of
from flame_flwr.statistics.values import columns_of, numbers
from flame_flwr.statistics.visible import Cells, Visible, whole

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["Covariance", "Moments", "Total", "pairs_in_order"]


def pairs_in_order(columns: list[int]) -> list[int]:
    """Return the place of every pair of columns, in another order of these."""
    pairs = list(itertools.combinations_with_replacement(range(len(columns)), 2))
    at = {pair: place for place, pair in enumerate(pairs)}
    return [at[min(columns[i], columns[j]), max(columns[i], columns[j])] for i, j in pairs]


@dataclass(frozen=True)
class Total(Statistic):
    """Sum and mean of the values that are not missing; nothing of their spread leaves.

    Parameters
    ----------
    n : int
        How many values.
    total : Fraction
        Their sum.

    Examples
    --------
    >>> Total.from_data([1.0, None, 2.0]).result()
    {'n': 2, 'sum': 3.0, 'mean': 1.5, 'suppressed': 0}
    """

    n: int = field(metadata=COUNT)
    total: Fraction = field(metadata=EXACT_SUM)

    @classmethod
    def from_data(cls, values: Any) -> Self:
        """Sum a column of numbers."""
        column, people = present(values)
        if not len(column):
            return cls.zero()
        return made_of(cls(len(column), sum_about(column)[1]), {"": column}, people)

    def result(self) -> dict[str, Any]:
        """Return ``n``, ``sum`` and ``mean``."""
        return {
            "n": self.n,
            "sum": as_float(self.total),
            "mean": as_float(self.total / self.n) if self.n else None,
            "suppressed": self.suppressed,
        }

    @property
    def size(self) -> int:
        """The values that are not missing."""
        return self.n


@dataclass(frozen=True)
class Moments(Statistic):
    """Sum, mean, variance and standard deviation of the values that are not missing.

    Parameters
    ----------
    n : int
        How many values.
    total, squares : Fraction
        Their sum, and that of their squares.

    Examples
    --------
    >>> Moments.from_data([1.0, 2.0, 6.0]).result()["variance"]
    7.0
    """

    n: int = field(metadata=COUNT)
    total: Fraction = field(metadata=EXACT_SUM)
    squares: Fraction = field(metadata=EXACT_SUM)

    @classmethod
    def from_data(cls, values: Any) -> Self:
        """Sum a column of numbers and their squares."""
        column, people = present(values)
        if not len(column):  # no mean to take them relative to
            return cls.zero()
        centre, total = sum_about(column)
        # about the mean: of large values close together, squares would lose the differences
        spread = Fraction(rounded_sum((column - centre) ** 2))
        squares = _products(spread, len(column), (centre, total))
        return made_of(cls(len(column), total, squares), {"": column}, people)

    def result(self) -> dict[str, Any]:
        """Return ``n``, ``sum``, ``mean``, ``variance`` and ``std``, with ``n - 1``, as pandas."""
        variance = None
        if self.n > 1:
            # in fractions nothing cancels: below 0 it is only with sums that no data have
            spread = self.squares - self.total * self.total / self.n
            variance = max(0.0, as_float(spread / (self.n - 1)))
        return {
            "n": self.n,
            "sum": as_float(self.total),
            "mean": as_float(self.total / self.n) if self.n else None,
            "variance": variance,
            "std": None if variance is None else math.sqrt(variance),
            "suppressed": self.suppressed,
        }

    @property
    def size(self) -> int:
        """The values that are not missing."""
        return self.n


@dataclass(frozen=True)
class Covariance(Statistic):
    """Means, covariances and correlations of columns, over the rows where none is missing.

    Parameters
    ----------
    columns : tuple of str
        Their names.
    n : int
        How many rows.
    totals_of : tuple of Fraction
        The sum of each column.
    products : tuple of Fraction
        The sums of products of two columns, row by row of the upper triangle.

    Examples
    --------
    >>> Covariance.from_data({"a": [1.0, 2.0, 3.0], "b": [2.0, 4.0, 6.0]}).result()["correlation"]
    [[1.0, 1.0], [1.0, 1.0]]
    """

    columns: tuple[str, ...] = field(metadata=COLUMNS)
    n: int = field(metadata=COUNT)
    totals_of: tuple[Fraction, ...] = field(metadata=each(EXACT_SUM, by="columns"))
    products: tuple[Fraction, ...] = field(
        metadata=each(EXACT_SUM, by="columns", arrange=pairs_in_order)
    )

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        super().__post_init__()
        p = len(self.columns)
        if len(self.products) != p * (p + 1) // 2:
            raise ModelError("Covariance: the sums do not fit the columns")

    @classmethod
    def from_data(cls, frame: Any) -> Self:
        """Sum the columns of a DataFrame or a dict of columns of numbers, and their products."""
        table_columns = columns_of(frame)
        names = tuple(table_columns)
        if not names:
            raise ModelError("Covariance needs at least one column")
        columns = [numbers(column) for column in table_columns.values()]
        if len({len(column) for column in columns}) > 1:
            raise ModelError("Covariance: the columns have different lengths")
        table = np.column_stack(columns)
        whole_rows = ~np.isnan(table).any(axis=1)
        table = table[whole_rows]
        n = len(table)
        if not n:
            return cls.zero(names)
        sums = [sum_about(column) for column in table.T]
        # about the means, as in Moments
        centred = table - np.array([centre for centre, _ in sums])
        spread = (centred.T @ centred).tolist()  # rounded by BLAS, but of small numbers only
        products = [
            _products(Fraction(spread[i][j]), n, sums[i], sums[j])
            for i in range(len(names))
            for j in range(i, len(names))
        ]
        made = cls(names, n, tuple(total for _, total in sums), tuple(products))
        columns_of_rows = dict(zip(names, table.T, strict=True))
        return made_of(made, columns_of_rows, people_in(frame, whole_rows))

    @classmethod
    def zero(cls, columns: Sequence[str]) -> Self:
        """Return that of no rows."""
        p = len(columns)
        return cls(tuple(columns), 0, (Fraction(0),) * p, (Fraction(0),) * (p * (p + 1) // 2))

    def result(self) -> dict[str, Any]:
        """Return ``columns``, ``n``, ``mean``, ``covariance`` (with ``n - 1``), ``correlation``."""
        n = self.n
        spread = self._spread() if n > 1 else None
        return {
            "columns": list(self.columns),
            "n": n,
            "mean": [as_float(total / n) for total in self.totals_of] if n else None,
            "covariance": None
            if spread is None
            else [[as_float(value / (n - 1)) for value in row] for row in spread],
            "correlation": None if spread is None else _correlation(spread),
            "suppressed": self.suppressed,
        }

    def _spread(self) -> list[list[Fraction]]:
        """Return the sums of products of deviations from the means."""
        p, n = len(self.columns), self.n
        matrix = [[Fraction(0)] * p for _ in range(p)]
        products = iter(self.products)
        for i in range(p):
            for j in range(i, p):
                spread = next(products) - self.totals_of[i] * self.totals_of[j] / n
                matrix[i][j] = matrix[j][i] = spread
        return matrix

    @property
    def size(self) -> int:
        """The rows in which no column is missing."""
        return self.n

    @property
    def visible(self) -> Visible:
        """The rows: those of the same columns can be subtracted."""
        columns = tuple(sorted(self.columns))
        counts: Cells = {"rows": self.n} if self.n else {}
        return Visible(whole(self.size), tables=((("Covariance", columns), counts),))

    def with_min_count(self, k: int) -> Self:
        """Withhold it for few rows, and for no more rows than columns: these could be solved."""
        return self.withheld() if 0 < self.n < max(k, len(self.columns) + 1) else self


def _products(
    spread: Fraction,
    n: int,
    one: tuple[float, Fraction],
    two: tuple[float, Fraction] | None = None,
) -> Fraction:
    """Return the sum of products, from that about two centres, and (centre, sum) of each."""
    (a, total_a), (b, total_b) = one, two or one
    return spread + Fraction(a) * total_b + Fraction(b) * total_a - n * Fraction(a) * Fraction(b)


_SMALLEST = Fraction(sys.float_info.min)
"""Below that a float's square has lost its digits, and of some data all of them."""


def _correlation(spread: list[list[Fraction]]) -> list[list[float | None]]:
    """Divide by both deviations; ``None`` for a column that does not vary."""
    p = range(len(spread))

    def one(i: int, j: int) -> float | None:
        both = spread[i][i] * spread[j][j]
        if spread[i][i] < _SMALLEST or spread[j][j] < _SMALLEST:
            return None
        # squared, as a root is no fraction; rounded products may give more than 1
        share = min(Fraction(1), spread[i][j] ** 2 / both)
        return 1.0 if i == j else math.copysign(math.sqrt(share), spread[i][j])

    return [[one(i, j) for j in p] for i in p]
