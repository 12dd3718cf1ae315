"""Linear equations of an information matrix, with 60 digits, and which columns make it singular."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING

from flame_flwr.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SMALLEST", "Factors", "SingularError", "factorize", "sandwich"]

_DIGITS = 60
SMALLEST = 1e-19
"""The squared sine of a column's angle to the others, below which it is their sum: exact sums of
products have an error of some 1e-21, which would stand for it."""

Matrix = list[list[Decimal]]


class SingularError(DataError):
    """Some columns of the design are sums of others, or nothing but 0."""


class Factors:
    """The factors ``L D L'`` of an information matrix whose diagonal was scaled to 1.

    Parameters
    ----------
    scales : list of Decimal
        The square roots of the diagonal.
    lower : list of lists of Decimal
        The rows of ``L``, without its diagonal of ones.
    pivots : list of Decimal
        The diagonal of ``D``.
    """

    def __init__(self, scales: list[Decimal], lower: Matrix, pivots: list[Decimal]) -> None:
        self.scales = scales
        self.lower = lower
        self.pivots = pivots

    def solve(self, right: Sequence[Fraction | Decimal]) -> list[Decimal]:
        """Return the solution for one right side."""
        with localcontext(prec=_DIGITS):
            p = len(self.scales)
            x = [_decimal(value) / scale for value, scale in zip(right, self.scales, strict=True)]
            for i in range(p):
                x[i] -= sum((self.lower[i][k] * x[k] for k in range(i)), Decimal(0))
            x = [value / pivot for value, pivot in zip(x, self.pivots, strict=True)]
            for i in reversed(range(p)):
                x[i] -= sum((self.lower[k][i] * x[k] for k in range(i + 1, p)), Decimal(0))
            return [value / scale for value, scale in zip(x, self.scales, strict=True)]

    def inverse(self) -> Matrix:
        """Return the inverse matrix: the covariance of the coefficients."""
        p = len(self.scales)
        return [self.solve([Decimal(i == j) for i in range(p)]) for j in range(p)]


def factorize(
    matrix: Sequence[Sequence[Fraction]], columns: Sequence[str], smallest: float = SMALLEST
) -> Factors:
    """Factorize an information matrix.

    Parameters
    ----------
    matrix : list of lists of Fraction
        Symmetric.
    columns : sequence of str
        Their names, for the error.
    smallest : float
        The squared sine of a column's angle to those before it, below which it is their sum.

    Raises
    ------
    SingularError
        It has no inverse; the message names the columns.
    """
    with localcontext(prec=_DIGITS):
        p = len(columns)
        empty = [name for i, name in enumerate(columns) if matrix[i][i] <= 0]
        if empty:
            raise SingularError(
                f"no row of any hospital has {' or '.join(map(repr, empty))}: its coefficient "
                "cannot be estimated. Leave the term out, or join its levels"
            )
        # With a diagonal of ones, whatever the columns' units, a pivot is the squared sine of the
        # column's angle to those before it (Golub and Van Loan, "Matrix Computations").
        scales = [_decimal(matrix[i][i]).sqrt() for i in range(p)]
        lower: Matrix = [[] for _ in range(p)]
        pivots: list[Decimal] = []
        # a loop over decimals: LAPACK's floats would lose what exact sums have, and p is small
        for i in range(p):
            for j in range(i):
                value = _decimal(matrix[i][j]) / (scales[i] * scales[j])
                value -= sum((lower[i][k] * lower[j][k] * pivots[k] for k in range(j)), Decimal(0))
                lower[i].append(value / pivots[j])
            pivot = 1 - sum((lower[i][k] ** 2 * pivots[k] for k in range(i)), Decimal(0))
            if pivot < smallest:
                raise SingularError(_dependence(columns, lower, i))
            pivots.append(pivot)
        return Factors(scales, lower, pivots)


def sandwich(bread: Matrix, meat: Sequence[Sequence[Fraction]]) -> Matrix:
    """Return ``bread @ meat @ bread``, of symmetric matrices."""
    with localcontext(prec=_DIGITS):
        middle = [[_decimal(value) for value in row] for row in meat]
        return _product(_product(bread, middle), bread)


def _product(one: Matrix, two: Matrix) -> Matrix:
    """Return a product whose second factor is symmetric: its rows are its columns."""
    return [
        [sum((a * b for a, b in zip(row, line, strict=True)), Decimal(0)) for line in two]
        for row in one
    ]


def _dependence(columns: Sequence[str], lower: Matrix, i: int) -> str:
    """Say which columns a column is a sum of."""
    # row i of L has what is left of the columns when those before are taken out: go back to them
    weights = list(lower[i])
    for k in reversed(range(i)):
        weights[k] -= sum((lower[m][k] * weights[m] for m in range(k + 1, i)), Decimal(0))
    others = [name for name, weight in zip(columns, weights, strict=False) if abs(weight) > 1e-8]
    return (
        f"{columns[i]!r} is, over all hospitals, a sum of {' and '.join(map(repr, others))}, so "
        "their coefficients cannot be told apart. Leave one of them out"
    )


def _decimal(value: Fraction | Decimal) -> Decimal:
    if isinstance(value, Decimal):
        return value
    return Decimal(value.numerator) / Decimal(value.denominator)
