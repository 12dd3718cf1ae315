"""How deeply a value is nested: copying one recurses, and a node must not end a run by it."""

from __future__ import annotations

from typing import Any

__all__ = ["MOST_LEVELS", "is_nested_too_deeply"]

MOST_LEVELS = 200
"""Of dicts, lists and tuples: Python copies twice as many within its limit on recursion."""

_CONTAINERS = (dict, list, tuple)


def is_nested_too_deeply(value: Any) -> bool:
    """Tell whether a value has more than :data:`MOST_LEVELS` levels.

    One that contains itself has no more levels than it has parts: encoding refuses it.

    Examples
    --------
    >>> deep = []
    >>> for _ in range(MOST_LEVELS):
    ...     deep = [deep]
    >>> is_nested_too_deeply(deep[0]), is_nested_too_deeply(deep)
    (False, True)
    """
    level, depth = [value] if isinstance(value, _CONTAINERS) else [], 0
    seen = {id(value)}
    while level and depth < MOST_LEVELS:
        inside = (
            part
            for each in level
            for part in (each.values() if isinstance(each, dict) else each)
            if isinstance(part, _CONTAINERS)
        )
        # Each once: what stands in many places would else be as many on every level.
        level = list({id(part): part for part in inside if id(part) not in seen}.values())
        seen.update(map(id, level))
        depth += 1
    return bool(level)
