"""Checks of what an analysis declares: a mistake is found when the model is built, not on a node.

Each raises :class:`~flame_flwr.errors.ModelError` with the argument's name, as in
``Column: low must be a number``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from flame_flwr.errors import ModelError

__all__ = [
    "check_bool",
    "check_bounds",
    "check_count",
    "check_number",
    "check_text",
    "check_values",
    "wrong",
]


def wrong(what: str, must: str, value: object) -> ModelError:
    """Return the error for an argument; a long value is cut off."""
    shown = repr(value)
    return ModelError(f"{what} must be {must}, not {shown[:100]}{'...' if shown[100:] else ''}")


def check_text(what: str, value: object, *, empty: bool = False) -> None:
    """Refuse anything but a text."""
    if not isinstance(value, str) or not (value or empty):
        raise wrong(what, "a text", value)


def check_bool(what: str, value: object) -> None:
    """Refuse anything but True and False."""
    if not isinstance(value, bool):
        raise wrong(what, "True or False", value)


def check_count(what: str, value: object) -> None:
    """Refuse anything but a whole number, 0 or above."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise wrong(what, "a whole number, 0 or above", value)


def check_number(what: str, value: Any) -> None:
    """Refuse anything but a finite number."""
    try:
        finite = math.isfinite(value)
    except (TypeError, ValueError, OverflowError):  # the last of an int beyond all floats
        finite = False
    if isinstance(value, bool) or not isinstance(value, Real) or not finite:
        raise wrong(what, "a finite number", value)


def check_bounds(what: str, low: Any, high: Any) -> None:
    """Refuse bounds that are not finite numbers, or not in order; each may be missing."""
    for name, bound in (("low", low), ("high", high)):
        if bound is not None:
            check_number(f"{what}: {name}", bound)
    if low is not None and high is not None and low > high:
        raise ModelError(f"{what}: low must not be above high: {low!r} is above {high!r}")


def check_values(what: str, values: object) -> None:
    """Refuse anything but a list of texts, numbers and bools with something in it."""
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise wrong(what, "a list of texts or numbers", values)
    for value in values:
        if not isinstance(value, str | bool):
            check_number(f"{what}, one of them,", value)
