"""Suggests what an unknown name may have meant: the nearest of the known ones."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["did_you_mean", "listed", "nearest", "nearest_or_known", "what_there_is"]

_MOST = 20


def nearest(asked: Any, known: Iterable[Any]) -> str:
    """Return the name that is nearest to one that is not there; ``''`` where none is near."""
    return next(iter(difflib.get_close_matches(str(asked), list(map(str, known)), n=1)), "")


def did_you_mean(known: Iterable[Any], *asked: Any) -> str:
    """Return the question after the nearest names, ``''`` where none is near.

    Examples
    --------
    >>> did_you_mean(["hospitals", "local"], "hospitls")
    "did you mean 'hospitals'?"
    """
    names = list(known)
    near = dict.fromkeys(filter(None, (nearest(name, names) for name in asked)))
    return f"did you mean {', '.join(map(repr, near))}?" if near else ""


def nearest_or_known(key: str, known: Iterable[str]) -> str:
    """Return the question after the nearest key; where none is near, all that are known.

    Examples
    --------
    >>> nearest_or_known("max-round", ["nodes", "max-rounds"])
    'did you mean `max-rounds`?'
    >>> nearest_or_known("xyzzy", ["nodes", "max-rounds"])
    'known: nodes, max-rounds'
    """
    near = nearest(key, known)
    return f"did you mean `{near}`?" if near else f"known: {', '.join(known)}"


def what_there_is(asked: Iterable[Any], known: Collection[Any]) -> str:
    """Return all names that there are after the nearest: for a node's own log, as they are its own.

    Examples
    --------
    >>> what_there_is(["nhef.csv"], ["nhefs.csv", "notes.txt"])
    "did you mean 'nhefs.csv'? There: 'nhefs.csv', 'notes.txt'"
    """
    return f"{did_you_mean(known, *asked)} There: {listed(known)}".lstrip()


def listed(names: Collection[Any]) -> str:
    """Return names with commas between; of many, their beginning and how many more."""
    first = list(names)[:_MOST]
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(map(repr, first)) + more if first else "nothing"
