"""A value's structure in one line, with shapes and without values; with keys or without."""

from __future__ import annotations

from itertools import islice

from flame_flwr.payload.describe import describe
from flame_flwr.payload.opaque import Opaque

__all__ = ["outline"]

_MOST = 40
_LOOKED_AT = 1000


def outline(value: object, depth: int = 4, *, keys: bool = True) -> str:
    """Say what a value is made of. With keys for a node's own eyes: they may name patients.

    Parameters
    ----------
    value : object
        Anything.
    depth : int
        How many levels of lists, tuples and dicts are opened.
    keys : bool
        Whether the keys of dicts are shown.

    Returns
    -------
    str
        One line.

    Examples
    --------
    >>> import numpy as np
    >>> value = {"n": 3, "coef": np.zeros((1, 30)), "seen": [1.0, 2.0]}
    >>> outline(value)
    "dict('n': int, 'coef': ndarray float64 (1, 30), 'seen': list(2 x float))"
    >>> outline(value, keys=False)
    'dict(int, ndarray float64 (1, 30), list(2 x float))'
    """
    if isinstance(value, Opaque):
        return f"{value} {value.name!r}" if value.name and keys else str(value)
    if depth == 0 or not isinstance(value, dict | list | tuple) or not value:
        return describe(value)
    named = keys and isinstance(value, dict)
    if isinstance(value, dict):
        entries = list(islice(value.items(), _MOST if named else _LOOKED_AT))
        shown = [(key, outline(entry, depth - 1, keys=keys)) for key, entry in entries]
        parts = [f"{key!r}: {text}" if named else text for key, text in shown]
    else:
        parts = [outline(entry, depth - 1, keys=keys) for entry in value[:_LOOKED_AT]]
    hidden = len(value) - len(parts)
    if not named:
        parts = _counted(parts)
        hidden += max(0, len(parts) - _MOST)
    more = [f"and {hidden} more"] if hidden else []
    return f"{type(value).__name__}({', '.join([*parts[:_MOST], *more])})"


def _counted(parts: list[str]) -> list[str]:
    """Say once what several neighbours are."""
    runs: list[tuple[str, int]] = []
    for part in parts:
        if runs and runs[-1][0] == part:
            runs[-1] = (part, runs[-1][1] + 1)
        else:
            runs.append((part, 1))
    return [part if count == 1 else f"{count} x {part}" for part, count in runs]
