"""Sums of products of columns, far more exact than a float: no column's digits are lost in them.

A product of matrices in floats loses, of nearly dependent columns, twice the digits that the
columns do. Here each value is cut in two: 21 bits, whose products and sums are whole numbers that
a float holds, and a rest, which is so small that its products may be rounded (Ozaki, Ogita, Oishi
and Rump, "Error-free transformations of matrix multiplication by using fast routines of matrix
multiplication and its applications", 2012). The sums' errors are below 2**-70 of a block's largest
products. BLAS multiplies, and few rows at a time: more it would share among threads, of which
bits must not depend.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from flame_flwr.statistics.values import Numbers

__all__ = ["linear", "products"]

_BITS, _ROWS = 21, 1024
"""2 * 21 bits and 10 for the sum: no more than the 53 of a float. A block stays in the cache."""
_TOGETHER, _ALONE = 128, 2**18
"""So many rows are multiplied at once, and of many columns fewer: OpenBLAS has one thread for so
many products."""


def products(
    table: Numbers, scales: Numbers | None = None, last: Numbers | None = None
) -> list[list[Fraction]]:
    """Return the sums of products of any two columns.

    Parameters
    ----------
    table : ndarray, shape (n, q)
        Finite.
    scales : ndarray, shape (n,), optional
        By what each row is multiplied before.
    last : ndarray, shape (n,), optional
        One more column, which is not scaled.

    Returns
    -------
    list of lists of Fraction
        ``table.T @ table``; the lower triangle is left out: row `i` has columns `i`, ....

    Examples
    --------
    >>> products(np.array([[1.0, 0.5], [2.0, 0.25]]))
    [[Fraction(5, 1), Fraction(1, 1)], [Fraction(5, 16)]]
    """
    p = table.shape[1]
    q = p + (last is not None)
    together = _rows_together(q)
    whole, high, rest = np.empty((3, _ROWS, q))
    total, small = np.zeros((2, q, q))
    for start in range(0, len(table), _ROWS):
        rows = table[start : start + _ROWS]
        n = len(rows)
        padded = slice(-(-n // together) * together)
        by = 1.0 if scales is None else scales[start : start + n, None]
        np.multiply(rows, by, out=whole[:n, :p])
        if last is not None:
            whole[:n, p] = last[start : start + n]
        whole[n:] = 0.0  # memory of the block before: rows of zeros add nothing
        found, rounded = _cut_products(whole[padded], high[padded], rest[padded], together)
        before, total = total, total + found
        # what is lost in the addition, as Knuth finds it
        share = total - before
        small += (before - (total - share)) + (found - share) + rounded
    pairs = zip(total.tolist(), small.tolist(), strict=True)
    return [list(map(_fraction, *(row[i:] for row in two))) for i, two in enumerate(pairs)]


def linear(table: Numbers, coefficients: Numbers) -> Numbers:
    """Return ``table @ coefficients``, of few rows at a time: bits do not depend on threads."""
    n, p = table.shape
    together = _rows_together(p)
    most = n - n % together
    total = np.empty(n)
    blocks = table[:most].reshape(-1, together, p)
    np.matmul(blocks, coefficients, out=total[:most].reshape(-1, together))
    np.matmul(table[most:], coefficients, out=total[most:])
    return total


def _rows_together(columns: int) -> int:
    """Return a power of two."""
    most = max(_ALONE // max(columns, 1) ** 2, 4)
    return min(_TOGETHER, 1 << most.bit_length() - 1)


def _cut_products(
    whole: Numbers, high: Numbers, rest: Numbers, together: int
) -> tuple[Numbers, Numbers]:
    """Return the sums of products of a block: of the high bits, exactly, and the others.

    Parameters
    ----------
    whole : ndarray, shape (n, q)
        The block.
    high, rest : ndarray, shape (n, q)
        Memory for what it is cut into.
    together : int
        How many rows are multiplied at once; a divisor of `n`.
    """
    q = whole.shape[1]
    np.abs(whole, out=rest)
    largest = rest.reshape(-1, together * q).max(axis=0)  # of wide rows NumPy finds it faster
    largest = largest.reshape(together, q).max(axis=0)
    shift = np.ldexp(1.5, np.frexp(largest)[1] + (52 - _BITS))
    np.add(whole, shift, out=high)  # a float has no room for more than the high bits beside it
    np.subtract(high, shift, out=high)
    np.subtract(whole, high, out=rest)
    np.add(whole, high, out=whole)
    highs, rests, sums = (part.reshape(-1, together, q) for part in (high, rest, whole))
    # whole = high + rest, so whole'whole = high'high + rest'(whole + high), made symmetric
    exact = np.matmul(highs.transpose(0, 2, 1), highs).sum(axis=0)
    half = np.matmul(rests.transpose(0, 2, 1), sums).sum(axis=0)
    return exact, (half + half.T) / 2


def _fraction(one: float, two: float) -> Fraction:
    """Return the exact sum of two floats, in a third of the time that fractions take."""
    (a, by), (b, other) = one.as_integer_ratio(), two.as_integer_ratio()
    common = max(by, other)  # powers of two
    return Fraction(a * (common // by) + b * (common // other), common)
