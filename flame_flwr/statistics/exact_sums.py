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

__all__ = ["as_decimal", "as_float", "pack_exact", "rounded_sum", "sum_about", "unpack_exact"]

_LOG = 13
"""Of so many values, as a power of two, a block that stays in the processor's cache has."""
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
    few = _few_of_the_same_sum(values)
    # a sum of integers may need more digits than a float has: what it lost is summed once more
    total = math.fsum(few)
    rest = math.fsum([*few, -total])
    centre = float(values[0]) if values.min() == values.max() else total / len(values)
    return centre, Fraction(total) + Fraction(rest)


def rounded_sum(values: npt.NDArray[np.float64]) -> float:
    """Return the sum of finite floats, rounded once: ``math.fsum`` of an array, in a tenth of it.

    Examples
    --------
    >>> rounded_sum(np.array([1e100, 1.0, -1e100]))
    1.0
    """
    return math.fsum(_few_of_the_same_sum(values))


def _few_of_the_same_sum(values: npt.NDArray[np.float64]) -> list[float]:
    """Return a few floats that have, exactly, the sum of many.

    The bits of a block that stand highest are cut off: sums of these need no rounding. So it goes
    on with what is left (Rump, Ogita and Oishi, "Accurate floating-point summation", 2008).
    """
    few = []
    for start in range(0, len(values), 1 << _LOG):
        rest = values[start : start + (1 << _LOG)]
        while (largest := np.abs(rest).max()) > 0:
            # 1.5, not 1: a negative sum does not leave the binade, in which all have one last bit
            shift = np.ldexp(1.5, np.frexp(largest)[1] + _LOG)
            high = (rest + shift) - shift
            few.append(float(high.sum()))
            rest = rest - high  # exact, as they show
    return few


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
    # the lowest bit that is set: trailing zeros go into the exponent, so that a value has one form
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
    # limited before a number is made of it: sums of huge fractions would take the server's time
    found = _FORM.fullmatch(form) if isinstance(form, str) else None
    if found is None or not -_MOST <= (exponent := int(found[2])) <= _MOST:
        raise ModelError("this is not the form of an exact number")
    mantissa = int(found[1], 16)
    return Fraction(mantissa * 2**exponent) if exponent >= 0 else Fraction(mantissa, 2**-exponent)
