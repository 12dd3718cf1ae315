"""Sums of products of columns, without any rounding: the same bits on every machine.

A matrix product of floats depends on how many threads compute it. Here every column is cut into
three slices of 20 bits, so that the products of slices, and sums of 1024 of them, are whole numbers
that a float holds exactly (Ozaki, Ogita, Oishi and Rump, "Error-free transformations of matrix
multiplication by using fast routines of matrix multiplication and its applications", 2012). What
is left of a value below 2**-60 of its column's largest is not seen.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from flame_flwr.statistics.values import Numbers

__all__ = ["linear", "products"]

_BITS, _SLICES = 20, 3
_ROWS = 1024
"""2 * 20 bits and 10 for the sum: no more than the 53 of a float. A block stays in the cache."""
_BLOCKS = 4096
"""So many sums of blocks fit into 64 bits."""


def products(table: Numbers) -> list[list[Fraction]]:
    """Return the sums of products of any two columns.

    Parameters
    ----------
    table : ndarray, shape (n, q)
        Finite.

    Returns
    -------
    list of lists of Fraction
        ``table.T @ table``, exactly; the lower triangle is left out: row `i` has columns `i`, ....

    Examples
    --------
    >>> products(np.array([[1.0, 0.5], [2.0, 0.25]]))
    [[Fraction(5, 1), Fraction(1, 1)], [Fraction(5, 16)]]
    """
    q = table.shape[1]
    largest = np.maximum(table.max(axis=0, initial=0.0), -table.min(axis=0, initial=0.0))
    exponents = np.frexp(largest)[1]
    sums = np.zeros((_SLICES * q, _SLICES * q), dtype=object)
    block_sums = np.zeros(sums.shape, dtype=np.int64)
    for number, start in enumerate(range(0, len(table), _ROWS), 1):
        slices = _slices(table[start : start + _ROWS], exponents)
        block_sums += (slices.T @ slices).astype(np.int64)
        if number % _BLOCKS == 0:
            sums += block_sums
            block_sums[:] = 0
    sums += block_sums
    steps = np.zeros((q, q), dtype=object)
    for one in range(_SLICES):
        for two in range(_SLICES):
            part = sums[one * q : (one + 1) * q, two * q : (two + 1) * q]
            steps += part * (1 << _BITS * (2 * _SLICES - 2 - one - two))
    units = [int(exponent) - _SLICES * _BITS for exponent in exponents]
    return [[_times(steps[i, j], units[i] + units[j]) for j in range(i, q)] for i in range(q)]


def linear(table: Numbers, coefficients: Numbers) -> Numbers:
    """Return ``table @ coefficients``, added up column by column: the same bits everywhere."""
    total = np.zeros(len(table))
    for start in range(0, len(table), _ROWS):  # a block of rows stays in the processor's cache
        block = slice(start, start + _ROWS)
        for column, coefficient in zip(table[block].T, coefficients, strict=True):
            total[block] += column * coefficient
    return total


def _times(steps: int, exponent: int) -> Fraction:
    """Return steps of a power of two."""
    return Fraction(steps << exponent) if exponent >= 0 else Fraction(steps, 1 << -exponent)


def _slices(table: Numbers, exponents: npt.NDArray[np.int32]) -> Numbers:
    """Cut columns below these powers of two into whole numbers of 20 bits, the highest first."""
    q = table.shape[1]
    found = np.empty((len(table), _SLICES * q))
    rest = np.ldexp(table, _BITS - exponents)
    for place in range(_SLICES):
        whole = found[:, place * q : (place + 1) * q]
        np.rint(rest, out=whole)
        np.subtract(rest, whole, out=rest)
        np.multiply(rest, 2.0**_BITS, out=rest)
    return found
