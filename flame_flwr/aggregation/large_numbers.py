"""How large numbers are that could be too large together."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flame_flwr.aggregation.pytree import Leaf

__all__ = ["FLOAT_MAX", "INT64", "largest_of", "largest_to_square", "rounded"]

FLOAT_MAX = sys.float_info.max
INT64 = 2**63


def rounded(value: Any) -> float:
    """Return a number as a float: infinite if it is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def largest_of(leaves: Iterable[Leaf], most: float, nodes: int | None) -> float | None:
    """Return the largest size of numbers that could be too large; ``None`` if none could.

    Parameters
    ----------
    leaves : iterable of array, int or float
        A node's numbers.
    most : float
        How large numbers may be that are not in an array.
    nodes : int or None
        How many may be added up: each array's numbers are compared with this share of what its
        type holds. ``None`` where nothing is added up, and no array is too large.
    """
    sizes: list[Any] = []
    for leaf in leaves:
        if not isinstance(leaf, np.ndarray):
            sizes += [abs(leaf)] if abs(leaf) > most else []
        elif nodes is not None and leaf.size:
            size = _size(leaf)
            sizes += [size] if size > _limit(leaf.dtype) // nodes else []
    return max(sizes, default=None)


def largest_to_square(leaves: Iterable[Leaf]) -> float | None:
    """Return the largest size of numbers whose squares could be too large; ``None`` if none."""
    sizes: list[Any] = []
    for leaf in leaves:
        if not isinstance(leaf, np.ndarray):
            size, most = abs(leaf), FLOAT_MAX
        elif leaf.size and leaf.dtype.kind in "fc":
            size, most = _size(leaf), _limit(leaf.dtype)
        else:
            continue
        # a difference is squared, and some squares are added up
        sizes += [size] if size > math.sqrt(most) / 16 else []
    return max(sizes, default=None)


def _size(array: Any) -> float:
    """Return the largest absolute value, but for NaN."""
    if array.dtype.kind == "c":
        return max(_size(array.real), _size(array.imag))
    if array.dtype.kind in "biu":
        # as Python's: the least int64 is its own abs() in NumPy
        return max(abs(int(array.max())), abs(int(array.min())))
    # fmax passes NaN over; abs() would copy the array
    return max(float(np.fmax.reduce(array, axis=None)), -float(np.fmin.reduce(array, axis=None)))


def _limit(kind: np.dtype[Any]) -> float:
    if kind.kind in "biu":
        return INT64 - 1
    return min(float(np.finfo(kind).max), FLOAT_MAX)
