"""Weights that nodes send along: where they stand, and whether they are any."""

from __future__ import annotations

import math
import numbers
from typing import Any

from flame_flwr.aggregation.pytree import Key, look_up

__all__ = ["checked_weight", "nearest"]


def nearest(values: list[Any], by: Key) -> Any:
    """Return a weight from beside the value or further out; a function gets the outermost."""
    if callable(by):
        return by(values[0])
    # not in the value itself, which may have a key of that name among its parameters
    for around in reversed(values[:-1] or values):
        try:
            return look_up(around, by)
        except (LookupError, TypeError):
            continue
    return None


def checked_weight(weight: Any) -> float | str:
    """Return a weight as a number, or what is wrong with it."""
    if weight is None:
        return "is missing"
    # True is a Real, and as a weight a mistake
    if isinstance(weight, bool) or not isinstance(weight, numbers.Real):
        return f"is of type {type(weight).__name__}, not a number"
    try:
        number = float(weight)
    except OverflowError:
        return "is too large"
    if math.isnan(number):
        return "is NaN"
    if number < 0:
        return "is negative"
    return "is infinite" if math.isinf(number) else number
