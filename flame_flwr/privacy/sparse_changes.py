"""Arrays of which a filter has let little leave: shorter on their way, whole where they arrive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flame_flwr.payload.sparse_change import SparseChange
from flame_flwr.privacy.float_arrays import Path, array_at, replaced

__all__ = ["made_dense", "shortened"]


def shortened(arrays: Mapping[Path, np.ndarray], aggregate: Any) -> dict[Path, Any]:
    """Return the changes of arrays that are shorter than these; the others as they are.

    Parameters
    ----------
    arrays : mapping of Path to ndarray
        What leaves, by its place in the result.
    aggregate : Any
        What the node was sent.
    """
    short: dict[Path, Any] = {}
    for place, array in arrays.items():
        before = array_at(aggregate, place)
        short[place] = (None if before is None else SparseChange.of(array, before)) or array
    return short


def made_dense(value: Any, sent: Callable[[], Any]) -> Any:
    """Return a value with whole arrays in place of their changes.

    Parameters
    ----------
    value : Any
        From a party that need not be honest.
    sent : callable
        Gives what that party was sent, if it is needed: arrays of it are copied, of the same
        places and shapes only, so nothing grows beyond it.

    Raises
    ------
    PayloadError
        A change is of no array that was sent.

    Examples
    --------
    >>> sent = {"coef": np.zeros(100)}
    >>> change = SparseChange.of(np.eye(1, 100, 3)[0], sent["coef"])
    >>> made_dense({"coef": change, "n": 7}, lambda: sent)["coef"][:5]
    array([0., 0., 0., 1., 0.])
    """
    found: dict[Path, SparseChange] = {}
    left: list[tuple[Path, Any]] = [((), value)]
    while left:  # not by recursion: it may be nested deeply
        place, each = left.pop()
        if isinstance(each, SparseChange):
            found[place] = each
        elif isinstance(each, dict):
            left += [((*place, key), child) for key, child in each.items()]
        elif isinstance(each, list | tuple):
            left += [((*place, step), child) for step, child in enumerate(each)]
    if not found:
        return value
    before = sent()  # decoded only now: most answers hold none
    arrays = {place: change.dense(array_at(before, place)) for place, change in found.items()}
    return replaced(value, arrays)
