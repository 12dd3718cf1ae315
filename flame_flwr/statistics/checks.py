"""Checks of a statistic's fields: they may come from another party.

Every function refuses with a :class:`~flame_flwr.errors.ModelError` that names the statistic.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING

from flame_flwr.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sized

__all__ = [
    "check_counts",
    "check_edges",
    "check_exact",
    "check_extreme",
    "check_lengths",
    "check_texts",
]


def check_counts(owner: str, *counts: object) -> None:
    """Refuse what is not an integer from 0 to ``2**63 - 1``."""
    for count in counts:
        # a bool is an int, too, and `True` is no count
        if type(count) is not int or not 0 <= count < 2**63:
            raise ModelError(f"{owner}: a count must be an integer of at least 0")


def check_exact(owner: str, *values: object) -> None:
    """Refuse what is no exact sum of floats, a :class:`~fractions.Fraction`."""
    if not all(type(value) is Fraction for value in values):
        raise ModelError(f"{owner}: a sum must be a Fraction")


def check_extreme(owner: str, value: object) -> None:
    """Refuse what is neither a number nor ``None``; of NaN the order of merging would show."""
    if value is not None and (type(value) not in (int, float) or value != value):
        raise ModelError(f"{owner}: a smallest or largest value must be a number, or None")


def check_texts(owner: str, texts: object) -> None:
    """Refuse what is no tuple of strings that all differ."""
    if type(texts) is not tuple or not all(type(text) is str for text in texts):
        raise ModelError(f"{owner}: names must be a tuple of strings")
    if len(set(texts)) < len(texts):
        raise ModelError(f"{owner}: two names are alike")


def check_edges(owner: str, edges: object) -> None:
    """Refuse what is no tuple of at least two finite floats, each above the one before."""
    floats = type(edges) is tuple and all(type(edge) is float for edge in edges)
    if not floats or not isinstance(edges, tuple) or len(edges) < 2:
        raise ModelError(f"{owner}: give at least two numbers")
    if not all(map(math.isfinite, edges)) or any(b <= a for a, b in itertools.pairwise(edges)):
        raise ModelError(f"{owner}: the numbers must be finite, and each above the one before")


def check_lengths(owner: str, *parts: Sized) -> None:
    """Refuse parts of different lengths."""
    if len({len(part) for part in parts}) > 1:
        raise ModelError(f"{owner}: its parts have different lengths")
