"""A value's structure in one line, with keys and shapes and without values."""

from __future__ import annotations

from flame_flwr.payload.describe import describe

__all__ = ["outline"]

_MOST = 40


def outline(value: object, depth: int = 4) -> str:
    """Say what a value is made of. For a node's own eyes: keys may name patients.

    Parameters
    ----------
    value : object
        Anything.
    depth : int
        How many levels of lists, tuples and dicts are opened.

    Returns
    -------
    str
        One line.

    Examples
    --------
    >>> import numpy as np
    >>> outline({"n": 3, "coef": np.zeros((1, 30)), "seen": [1.0, 2.0]})
    "dict('n': int, 'coef': ndarray float64 (1, 30), 'seen': list(2 x float))"
    """
    if depth == 0 or not isinstance(value, dict | list | tuple) or not value:
        return describe(value)
    if isinstance(value, dict):
        items = list(value.items())[:_MOST]
        parts = [f"{key!r}: {outline(entry, depth - 1)}" for key, entry in items]
    else:
        parts = _counted([outline(entry, depth - 1) for entry in value])
    hidden = len(value) - len(parts) if isinstance(value, dict) else max(0, len(parts) - _MOST)
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
