"""What of a JSON file of a stranger's may be relied on: its types, and limits on what there is.

Each raises an error of :data:`DAMAGE` where a value is none of what it should be; whoever reads a
file says in words which one is damaged.
"""

from __future__ import annotations

import math
from typing import Any

__all__ = [
    "DAMAGE",
    "count",
    "finite",
    "known",
    "metric",
    "objects",
    "one_of",
    "pairs",
    "text",
]

DAMAGE = (ValueError, TypeError, KeyError, OverflowError)
"""What these functions raise."""

_LONGEST = 5_000


def objects(about: dict[str, Any], key: str, most: int) -> list[dict[str, Any]]:
    """Return a list of objects, so many at most; none where there is no such key."""
    found = about.get(key, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise TypeError(key)
    return found[:most]


def pairs(about: dict[str, Any], key: str, most: int) -> list[tuple[str, Any]]:
    """Return an object's keys and values, so many at most; none where there is no such key."""
    found = about.get(key, {})
    if not isinstance(found, dict):
        raise TypeError(key)
    return list(found.items())[:most]


def text(value: Any, most: int = _LONGEST) -> str:
    """Return a text, cut where it is long."""
    if not isinstance(value, str):
        raise TypeError("no text")
    return value[:most]


def one_of(value: Any, allowed: frozenset[str]) -> str:
    """Return a text that is one of those allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError("none of what it may be")
    return value


def count(value: Any) -> int:
    """Return a number of things."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError("no number of things")
    return value


def finite(value: Any) -> float:
    """Return a number that is finite."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError("no number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def known(value: Any) -> float | None:
    """Return a number that is finite, or ``None`` where it is not known."""
    return None if value is None else finite(value)


def metric(value: Any) -> float:
    """Return a number that may be NaN or infinite: in JSON, these are texts.

    Examples
    --------
    >>> metric(0.5), metric("-inf")
    (0.5, -inf)
    """
    if isinstance(value, str):
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[value]
    return finite(value)
