"""Figures as what JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["json_value"]


def json_value(value: Any) -> Any:
    """Return numbers, in dicts and lists, as JSON has them; what is not finite is ``None``.

    Examples
    --------
    >>> json_value({"llf": -12.5, "interval": (0.4, math.inf)})
    {'llf': -12.5, 'interval': [0.4, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [json_value(part) for part in value]
    if isinstance(value, Mapping):
        return {key: json_value(part) for key, part in value.items()}
    return value
