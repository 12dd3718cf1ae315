"""Smallest and largest of the nodes' values, element by element."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flame_flwr.aggregation.accumulators import TOO_LARGE, KeptNumbers, SameForm, Where, common_type
from flame_flwr.aggregation.large_numbers import FLOAT_MAX, largest_of
from flame_flwr.aggregation.pytree import Leaf, unflatten

if TYPE_CHECKING:
    from flame_flwr.aggregation.accumulators import Forms

__all__ = ["Extremes"]


class Extremes(SameForm):
    """The smallest or the largest of every number.

    Parameters
    ----------
    place : Where
        Round, key and nodes.
    differing : {'error', 'skip'}
        What to do about values of another form than most have.
    smallest : bool
        Which of the two.
    """

    what = "compared"

    def __init__(self, place: Where, differing: str, *, smallest: bool) -> None:
        super().__init__(place, differing)
        self._smallest = smallest

    def check(self, node: str, value: Any, weight: float) -> Forms:
        """See that it is made of numbers that can be compared."""
        spec, leaves = self._flat(node, value)
        if any(isinstance(leaf, np.ndarray) and leaf.dtype.kind == "c" for leaf in leaves):
            raise self._place.error("complex numbers cannot be compared", node)
        return self._forms(spec)

    def add(self, node: str, value: Any, weight: float) -> None:
        """Compare one node's value with the others'."""
        self.check(node, value, weight)
        self._take(node, value)

    def large_size(self, value: Any, weight: float) -> float | None:
        """Return a whole number's size if it is too large for a float."""
        return largest_of(self._flat("", value)[1], FLOAT_MAX, None)

    def check_fits(self) -> None:
        """See that whole numbers are not too large to be compared with floats."""
        self.result()

    def result(self) -> Any:
        """Return the smallest or largest."""
        chosen = self._chosen()
        if chosen is None:
            return None
        spec, shown = chosen
        return unflatten(shown, [best.result() for best in self._leaves.pop(spec)])

    def _leaf(self, found: Leaf) -> _NumberExtreme | _ArrayExtreme:
        if isinstance(found, np.ndarray):
            return _ArrayExtreme(self._smallest)
        return _NumberExtreme(self._place, self._smallest)


class _NumberExtreme(KeptNumbers):
    """The best of single numbers."""

    def __init__(self, place: Where, smallest: bool) -> None:
        super().__init__(place)
        self._best: Any = min if smallest else max

    def result(self) -> int | float:
        if any(value != value for value in self._values.values()):  # min() would depend on order
            return math.nan
        node = self._best(self._place.in_order(self._values), key=self._values.__getitem__)
        best: int | float = self._values[node]
        # as Python compares them, exactly; an int stays one only among ints
        if all(isinstance(value, int) for value in self._values.values()):
            return best
        try:
            return float(best) + 0.0  # no negative zero
        except OverflowError:
            raise self._place.too_large(TOO_LARGE, node) from None


class _ArrayExtreme:
    """The best of arrays, for every type apart: a common one is known when all are there."""

    def __init__(self, smallest: bool) -> None:
        self._better: Any = np.minimum if smallest else np.maximum
        self._found: dict[np.dtype[Any], npt.NDArray[Any]] = {}

    def add(self, node: str, leaf: npt.NDArray[Any]) -> None:
        self._take(leaf.astype(common_type([leaf.dtype])) + 0)  # no negative zeros, no booleans

    def blank(self) -> _ArrayExtreme:
        return _ArrayExtreme(self._better is np.minimum)

    def merge(self, other: _ArrayExtreme) -> None:
        for found in other._found.values():
            self._take(found)

    def _take(self, plain: npt.NDArray[Any]) -> None:
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
