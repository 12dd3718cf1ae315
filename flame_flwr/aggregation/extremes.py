"""Smallest and largest of the nodes' values, element by element."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from flame_flwr.aggregation.accumulators import TOO_LARGE, SameForm, Where, common_type
from flame_flwr.aggregation.pytree import (
    TreeSpec,
    unflatten,
)

__all__ = ["Extremes"]


class Extremes(SameForm):
    """The smallest or the largest of every number.

    Parameters
    ----------
    place : Where
        Where.
    differing : {'error', 'skip'}
        What to do about values of another form than most have.
    smallest : bool
        Which of the two.
    """

    what = "compared"

    def __init__(self, place: Where, differing: str, *, smallest: bool) -> None:
        super().__init__(place, differing)
        self._smallest = smallest
        self._found: dict[TreeSpec, list[_LeafExtreme]] = {}

    def add(self, node: str, value: Any, weight: float) -> None:
        """Compare."""
        form, leaves = self._enter(node, value)
        if any(isinstance(leaf, np.ndarray) and leaf.dtype.kind == "c" for leaf in leaves):
            raise self._place.error("complex numbers cannot be compared", node)
        found = self._found.setdefault(form, [])
        if not found:
            found += [
                _ArrayExtreme(self._smallest)
                if isinstance(leaf, np.ndarray)
                else _NumberExtreme(self._smallest, self._place)
                for leaf in leaves
            ]
        for best, leaf in zip(found, leaves, strict=True):
            best.add(node, leaf)

    def result(self) -> Any:
        """Return the smallest or largest."""
        chosen = self._chosen()
        if chosen is None:
            return None
        form, shown = chosen
        return unflatten(shown, [best.result() for best in self._found.pop(form)])


class _LeafExtreme(Protocol):
    def add(self, node: str, leaf: Any) -> None: ...

    def result(self) -> Any: ...


class _NumberExtreme:
    """The best of single numbers: they are few, and kept."""

    def __init__(self, smallest: bool, place: Where) -> None:
        self._best: Any = min if smallest else max
        self._place = place
        self._values: dict[str, int | float] = {}

    def add(self, node: str, leaf: Any) -> None:
        self._values[node] = leaf

    def result(self) -> int | float:
        if any(value != value for value in self._values.values()):
            return math.nan
        node = self._best(self._place.in_order(self._values), key=self._values.__getitem__)
        best = self._values[node]
        if all(isinstance(value, int) for value in self._values.values()):
            return best
        try:
            return float(best) + 0.0  # no negative zero
        except OverflowError:
            raise self._place.error(TOO_LARGE, node) from None


class _ArrayExtreme:
    """The best of arrays, for every type apart: a common one is known when all are there."""

    def __init__(self, smallest: bool) -> None:
        self._better: Any = np.minimum if smallest else np.maximum
        self._found: dict[np.dtype[Any], npt.NDArray[Any]] = {}

    def add(self, node: str, leaf: npt.NDArray[Any]) -> None:
        plain = leaf.astype(common_type([leaf.dtype])) + 0  # no negative zeros, no booleans
        kind = plain.dtype
        found = self._found.get(kind)
        self._found[kind] = plain if found is None else self._better(found, plain)

    def result(self) -> npt.NDArray[Any]:
        common = common_type(self._found)
        best: Any = None
        # a common type only now: int64 and float64 meet in float64, which would round on the way
        for kind in sorted(self._found, key=str):
            one = self._found[kind].astype(common, copy=False)
            best = one if best is None else self._better(best, one)
        return np.asarray(best)
