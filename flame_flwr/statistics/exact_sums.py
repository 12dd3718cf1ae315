"""Sums without rounding, so that a merged figure does not depend on the order of merging.

For the few numbers of a statistic, not for arrays of a model. A float is a fraction whose
denominator is a power of two, and so are sums and products of floats:
:class:`fractions.Fraction` adds and multiplies them exactly, and a figure is rounded once, when
it is read.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from numbers import Rational

import numpy as np
import numpy.typing as npt

from flame_flwr.errors import ModelError

__all__ = ["as_decimal", "as_float", "pack_exact", "sum_about", "unpack_exact"]

_MOST = 2200
"""Products of two floats, and sums of them, are between 2**-2200 and 2**2200."""
_FORM = re.compile(r"(-?0x[0-9a-f]{1,2400})p(-?[0-9]{1,5})")


def sum_about(values: npt.NDArray[np.float64]) -> tuple[float, Fraction]:
    """Return a float near the mean, and the sum.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Finite, at least one.

    Returns
    -------
    centre : float
        The mean, rounded; of equal values theirs, so that their variance is 0.
    total : Fraction
        The sum, to twice a float's precision: that of integers is exact.
    """
    numbers = values.tolist()
    total = math.fsum(numbers)
    rest = math.fsum([*numbers, -total])
    centre = numbers[0] if values.min() == values.max() else total / len(numbers)
    return centre, Fraction(total) + Fraction(rest)


def as_float(value: Fraction) -> float:
    """Round once; what is too large for a float is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def as_decimal(value: float | Fraction) -> Fraction:
    """Return a share as the decimal number that it is written as: 0.1 is a tenth.

    As floats are, 0.29 of 100 would be less than 29.
    """
    return Fraction(value if isinstance(value, Rational) else str(float(value)))


def pack_exact(value: Fraction) -> str:
    """Return a dyadic fraction as text: a hexadecimal integer times a power of two."""
    if value.denominator & (value.denominator - 1):
        raise ModelError("only sums and products of floats have an exact form")
    if not value:
        return "0x0p0"
    shift = (value.numerator & -value.numerator).bit_length() - 1
    exponent = shift - (value.denominator.bit_length() - 1)
    return f"{value.numerator >> shift:#x}p{exponent}"


def unpack_exact(form: object) -> Fraction:
    """Return the fraction of a text that `pack_exact` made.

    Raises
    ------
    ModelError
        It is not such a text, or its number is larger or finer than sums of floats are.
    """
    found = _FORM.fullmatch(form) if isinstance(form, str) else None
    if found is None or not -_MOST <= (exponent := int(found[2])) <= _MOST:
        raise ModelError("this is not the form of an exact number")
    mantissa = int(found[1], 16)
    return Fraction(mantissa * 2**exponent) if exponent >= 0 else Fraction(mantissa, 2**-exponent)
