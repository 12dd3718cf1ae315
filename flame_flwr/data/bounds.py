"""Bounds of numbers that an analysis expects, and how findings say them."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Bounds", "between", "outside"]


class Bounds(Protocol):
    """What has bounds: both allowed, ``None`` for none."""

    @property
    def low(self) -> float | None:
        """The smallest value."""

    @property
    def high(self) -> float | None:
        """The largest value."""

    @property
    def unit(self) -> str:
        """What the values are in; may be empty."""


def between(value: float, low: float | None, high: float | None) -> bool:
    """Tell whether a value is within bounds."""
    return (low is None or value >= low) and (high is None or value <= high)


def outside(bounds: Bounds) -> str:
    """Say where values are that are not within bounds, such as ``below 1 kg``."""
    unit = f" {bounds.unit}" if bounds.unit else ""
    low, high = ("" if b is None else _written(b) for b in (bounds.low, bounds.high))
    if not low:
        return f"above {high}{unit}"
    return f"outside {low} to {high}{unit}" if high else f"below {low}{unit}"


def _written(bound: float) -> str:
    """Return a bound with all its digits."""
    short = f"{float(bound):g}"
    return short if float(short) == float(bound) and "e" not in short else str(bound)
