"""Sums and means of the nodes' values, exact whatever order they come in."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from flame_flwr.aggregation.accumulators import TOO_LARGE, SameForm, Where, common_type
from flame_flwr.aggregation.exact import ExactSum, exact_mean, exact_sum, product
from flame_flwr.aggregation.pytree import (
    TreeSpec,
    unflatten,
)

__all__ = ["Totals"]

_INT64 = 2**63

_TOO_LARGE_A_SUM = (
    "the sum of what the nodes sent is too large for {}: send float64, or numbers in a larger "
    "unit, or declare Mean()"
)


class Totals(SameForm):
    """Sums, means and weighted means.

    Parameters
    ----------
    place : Where
        Where.
    differing : {'error', 'skip'}
        What to do about values of another form than most have.
    mean : bool
        Whether to divide.
    weighted : bool
        Whether weights count.
    none_of_zero : bool
        Whether the value is ``None`` where the weights are zero together, and no error.
    """

    what = "added up"

    def __init__(
        self,
        place: Where,
        differing: str,
        *,
        mean: bool,
        weighted: bool = False,
        none_of_zero: bool = False,
    ) -> None:
        super().__init__(place, differing)
        self._mean = mean
        self._weighted = weighted
        self._none_of_zero = none_of_zero
        self._sums: dict[TreeSpec, list[_LeafSum]] = {}
        self._weights: dict[TreeSpec, list[float]] = {}
        self._weightless: list[str] = []

    def add(self, node: str, value: Any, weight: float) -> None:
        """Add; a value of weight 0 is not looked at: NaN, as the mean of no patients, is fine."""
        if self._weighted and weight == 0:
            self._weightless.append(node)
            return
        form, leaves = self._enter(node, value)
        sums = self._sums.setdefault(form, [])
        if not sums:
            sums += [
                _ArraySum(leaf, self._place)
                if isinstance(leaf, np.ndarray)
                else _NumberSum(self._place)
                for leaf in leaves
            ]
        for total, leaf in zip(sums, leaves, strict=True):
            total.add(node, leaf, weight if self._weighted else None)
        self._weights.setdefault(form, []).append(weight)

    def result(self) -> Any:
        """Return the sum, or the mean.

        Raises
        ------
        DataError
            The weights are zero together, or nodes' forms differ.
        """
        chosen = self._chosen()
        if chosen is None:
            return self._of_no_weight() if self._weightless else None
        form, shown = chosen
        divisor = exact_sum(self._weights[form]) if self._mean else None
        if divisor is not None and math.isinf(divisor):
            nodes = sorted(self._forms[form], key=self._place.nodes.index)
            raise self._place.error(
                "the weights of all nodes together are too large for a float: send smaller ones",
                *nodes,
            )
        sums, self._sums = self._sums[form], {}  # each is let go as soon as it is read
        leaves = [sums.pop(0).result(divisor) for _ in range(len(sums))]
        return unflatten(shown, self._finished(shown, leaves))

    def _finished(self, form: TreeSpec, leaves: list[Any]) -> list[Any]:
        """Return sums or means as they are put together: a subclass may change them."""
        return leaves

    def _of_no_weight(self) -> None:
        if not self._none_of_zero:
            raise self._place.error(
                "the weights of all nodes together are zero, so there is no weighted mean. Mend "
                'the weights, or declare zero_total="none" to have None',
                *sorted(self._weightless, key=self._place.nodes.index),
            )


class _LeafSum(Protocol):
    def add(self, node: str, leaf: Any, weight: float | None) -> None: ...

    def result(self, divisor: float | None) -> Any: ...


class _NumberSum:
    """The sum of single numbers: they are few, and kept."""

    def __init__(self, place: Where) -> None:
        self._place = place
        self._values: dict[str, int | float | Fraction] = {}

    def add(self, node: str, leaf: Any, weight: float | None) -> None:
        self._values[node] = leaf if weight is None else product(self._float(node, leaf), weight)

    def result(self, divisor: float | None) -> int | float:
        values = self._values.values()
        if all(isinstance(value, int) for value in values):
            whole = sum(map(int, values))
            try:
                return whole if divisor is None else whole / divisor
            except OverflowError:
                pass
        floats = [
            value if isinstance(value, Fraction) else self._float(node, value)
            for node, value in self._values.items()
        ]
        total = exact_mean(floats, divisor)
        if math.isinf(total) and all(map(_is_finite, floats)):
            raise self._place.error(_TOO_LARGE_A_SUM.format("a float"))
        return total

    def _float(self, node: str, value: int | float) -> float:
        try:
            return float(value)
        except OverflowError:
            raise self._place.error(TOO_LARGE, node) from None


class _ArraySum:
    """The sum of arrays of one shape: whole numbers as such, others by :class:`ExactSum`."""

    def __init__(self, first: npt.NDArray[Any], place: Where) -> None:
        self._place = place
        self._complex = first.dtype.kind == "c"
        self._first = ""
        self._size = first.size * (2 if self._complex else 1)
        self._real: ExactSum | None = None
        self._whole: npt.NDArray[np.int64] | None = None
        self._bound = 0
        self._types: set[np.dtype[Any]] = set()

    def add(self, node: str, leaf: npt.NDArray[Any], weight: float | None) -> None:
        self._first = self._first or node
        if (leaf.dtype.kind == "c") != self._complex:
            pair = (self._first, node) if self._complex else (node, self._first)
            raise self._place.error(
                "some nodes sent complex numbers ({}) and some real ones ({}): send the same kind "
                "from all".format(*pair),
                node,
            )
        self._types.add(leaf.dtype)
        if self._complex:
            leaf = np.ascontiguousarray(leaf.astype(np.complex128, copy=False)).view(np.float64)
        if weight is None and leaf.dtype.kind in "biu":
            self._add_whole(node, leaf)
            return
        if self._real is None:
            self._real = ExactSum(self._size)
        self._real.add(leaf, weight)

    def _add_whole(self, node: str, leaf: npt.NDArray[Any]) -> None:
        # what all nodes together could give at most: a sum that has wrapped could not be told
        if leaf.size:
            self._bound += max(abs(int(leaf.max())), abs(int(leaf.min())))
        if self._bound >= _INT64:
            raise self._place.error(
                "with what it sent, a sum of whole numbers can be too large for 64 bits: send "
                "floats",
                node,
            )
        if self._whole is None:
            self._whole = np.zeros(self._size, np.int64)
        self._whole += leaf.ravel().astype(np.int64, copy=False)

    def result(self, divisor: float | None) -> npt.NDArray[Any]:
        if self._real is None:
            whole = np.zeros(0, np.int64) if self._whole is None else self._whole
            return whole if divisor is None else whole / divisor
        if self._whole is not None:  # some nodes sent whole numbers: both halves are exact
            self._real.add(self._whole >> 32, 2.0**32)
            self._real.add(self._whole & 0xFFFFFFFF)
            self._whole = None
        total = self._real.total(divisor)
        overflowed, self._real = self._real.overflowed, None
        wide: npt.NDArray[Any]
        if self._complex:
            wide, kind = total.view(np.complex128), common_type(self._types)
        else:
            floats = [dtype if dtype.kind == "f" else np.dtype(float) for dtype in self._types]
            wide, kind = total, common_type(floats)
        with np.errstate(over="ignore"):
            narrow = wide.astype(kind, copy=False)
        if overflowed or np.any(np.isinf(narrow) & np.isfinite(wide)):
            raise self._place.error(_TOO_LARGE_A_SUM.format(kind))
        return narrow


def _is_finite(value: float | Fraction) -> bool:
    return isinstance(value, Fraction) or math.isfinite(value)
