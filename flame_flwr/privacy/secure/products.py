"""Values times their weights, as secure sums take them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.aggregation.grid import STATISTICS, OffGridError
from flame_flwr.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flame_flwr.aggregation.pytree import Leaf

__all__ = ["product", "weight_of"]


def weight_of(weight: Any, by: object) -> int | float:
    """Return a weight, rounded to its own grid.

    Raises
    ------
    DataError, OffGridError
        It is none; `by` is its key.
    """
    if weight is None:
        raise DataError(f"its weight `{by}` is missing")
    # True is an int of Python's, and as a weight a mistake
    if isinstance(weight, bool) or not isinstance(weight, int | float | np.integer | np.floating):
        raise DataError(f"its weight is of type {type(weight).__name__}, not a number")
    number = int(weight) if isinstance(weight, int | np.integer) else float(weight)
    if not number >= 0 or number == math.inf:  # NaN, too
        raise OffGridError(f"the weight `{by}` is negative or not finite")
    if isinstance(number, float):
        # The sum of weights is of rounded ones, so the products must be of the same.
        with np.errstate(over="ignore"):  # what is infinite then has no place there
            steps = np.rint(np.ldexp(number, STATISTICS.exponent))
        return float(np.ldexp(steps, -STATISTICS.exponent))
    return number


def product(found: Leaf, weight: int | float) -> Any:
    """Return a value times its weight: whole numbers exactly, others rounded once.

    Raises
    ------
    OffGridError
        It is too large.
    """
    if isinstance(weight, int) and isinstance(found, int):
        return found * weight
    if isinstance(found, np.ndarray) and found.dtype.kind in "biu" and isinstance(weight, int):
        # as Python's: NumPy's product would wrap round, and the least int64 is its own abs()
        most = max(abs(int(found.max())), abs(int(found.min()))) if found.size else 0
        if most * weight >= 2**63:
            raise OffGridError("a whole number times its weight is too large")
        return found.astype(np.int64) * weight
    values = np.asarray(found)
    try:
        # Where weight or value is rounded to a float itself, the product would be rounded twice.
        if float(weight) != weight or (values.dtype.kind != "f" and _is_large(values)):
            products = [_rounded_once(each, weight) for each in values.ravel().tolist()]
            return np.array(products, np.float64).reshape(values.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            return values.astype(np.float64) * float(weight)
    except OverflowError as error:
        raise OffGridError("a whole number too large for a float") from error


def _is_large(values: NDArray[Any]) -> bool:
    """Tell whether one of these whole numbers may have no float that equals it."""
    return bool(values.size) and max(abs(int(values.max())), abs(int(values.min()))) > 2**53


def _rounded_once(value: float, weight: float) -> float:
    # no fraction is NaN or infinite; the grid refuses them
    is_finite = math.isfinite(value)
    return float(Fraction(value) * Fraction(weight)) if is_finite else value * float(weight)
