"""Sums of products of columns, without any rounding: the same bits on every machine.

A matrix product of floats depends on how many threads compute it. Here every column is cut into
three slices of 20 bits, so that the products of slices, and sums of 4096 of them, are whole numbers
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
_ROWS = 4096
"""2 * 20 bits and 12 for the sum: no more than the 53 of a float."""
_BLOCKS = 1024
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
    largest = np.abs(table).max(axis=0, initial=0.0)
    exponents = np.frexp(largest)[1]
    sums = np.zeros((_SLICES * q, _SLICES * q), dtype=object)
    block_sums = np.zeros(sums.shape, dtype=np.int64)
    for number, start in enumerate(range(0, len(table), _ROWS), 1):
        slices = _slices(np.ldexp(table[start : start + _ROWS], -exponents))
        block_sums += (slices.T @ slices).astype(np.int64)
        if number % _BLOCKS == 0:
            sums += block_sums
            block_sums[:] = 0
    sums += block_sums
    places = range(_SLICES)
    found = []
    for i in range(q):
        row = []
        for j in range(i, q):
            steps = sum(
                int(sums[a * q + i, b * q + j]) << _BITS * (2 * _SLICES - 2 - a - b)
                for a in places
                for b in places
            )
            unit = int(exponents[i] + exponents[j]) - 2 * _SLICES * _BITS
            row.append(steps * (Fraction(2) ** unit))
        found.append(row)
    return found


def linear(table: Numbers, coefficients: Numbers) -> Numbers:
    """Return ``table @ coefficients``, added up column by column: the same bits everywhere."""
    total = np.zeros(len(table))
    for column, coefficient in zip(table.T, coefficients, strict=True):
        total += column * coefficient
    return total


def _slices(scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Cut columns, between -1 and 1, into whole numbers of 20 bits, the highest first."""
    found, rest = [], scaled
    for _ in range(_SLICES):
        rest = rest * 2.0**_BITS
        whole = np.rint(rest)
        found.append(whole)
        rest = rest - whole
    return np.hstack(found)
