"""Finds numbers that are not finite, at any depth, before an answer is merged.

Only values are looked at, and no keys or labels: these may be NaN, as in ``value_counts``.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from flame_flwr.text.shown_text import one_line

__all__ = ["non_finite"]

_LONGEST = 60
"""Characters of a key."""


def non_finite(value: Any) -> str | None:
    """Return where NaN, infinity or pandas' NA is first in a value; ``None`` where nowhere.

    Returns
    -------
    str or None
        The keys and positions that lead there, with dots between; ``''``: the value itself.
        What is neither number, array, Series, table nor a dict, list or tuple of these is passed
        over.
    """
    for path, part in _parts(value, ""):
        if not _is_finite(part):
            return path
    return None


def _parts(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        steps: Any = ((one_line(key, _LONGEST), part) for key, part in value.items())
    elif isinstance(value, list | tuple):
        steps = enumerate(value)
    else:
        yield path, value
        return
    for step, part in steps:
        yield from _parts(part, f"{path}.{step}".lstrip("."))


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):  # NumPy's float64 is one
        return math.isfinite(value)
    if isinstance(value, complex):
        return cmath.isfinite(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())
    if type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "index"):
        columns = (
            (value.iloc[:, place] for place in range(value.shape[1]))
            if hasattr(value, "columns")
            else (value,)
        )
        return all(map(_is_finite_column, columns))
    return True


def _is_finite_column(column: Any) -> bool:
    if isinstance(column.dtype, np.dtype):
        return _is_finite(column.to_numpy())
    if getattr(column.dtype, "kind", "") not in "biufc":  # texts, times, categories
        return True
    # pandas' own types, such as Int64, have NA beside NaN
    return not column.isna().any() and _is_finite(column.to_numpy(np.float64))
