"""What there is in place of what was asked for: for a node's own log, as names are its own."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["listed", "nearest", "what_there_is"]

_MOST = 20


def what_there_is(asked: Iterable[Any], keys: Collection[Any]) -> str:
    """Return the keys that there are, after the nearest to each that was asked for.

    Examples
    --------
    >>> what_there_is(["nhef.csv"], ["nhefs.csv", "notes.txt"])
    "did you mean 'nhefs.csv'? There: 'nhefs.csv', 'notes.txt'"
    """
    return f"{nearest(asked, keys)}There: {listed(keys)}"


def nearest(asked: Iterable[Any], keys: Collection[Any]) -> str:
    """Return ``did you mean ...? ``, or nothing where no key is near."""
    every = list(map(str, keys))
    near = [key for one in asked for key in difflib.get_close_matches(str(one), every, n=1)]
    return f"did you mean {', '.join(map(repr, dict.fromkeys(near)))}? " if near else ""


def listed(keys: Collection[Any]) -> str:
    """Return keys with commas between; of many, their beginning and how many more."""
    first = list(keys)[:_MOST]
    more = f" and {len(keys) - _MOST} more" if len(keys) > _MOST else ""
    return ", ".join(map(repr, first)) + more if first else "nothing"
