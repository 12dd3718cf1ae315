"""The order in which nodes are listed everywhere."""

from __future__ import annotations

import re

__all__ = ["natural_order"]


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts ``node-2`` before ``node-10``; no two names have the same.

    Parts are compared by kind first (digits before text), so that any two names compare.

    Examples
    --------
    >>> sorted(["node-10", "node-2"], key=natural_order)
    ['node-2', 'node-10']
    """
    parts = re.split(r"(\d+)", name)
    # The digits themselves come last: `node-1` and `node-01` have the same number.
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]
