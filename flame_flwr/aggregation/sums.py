"""Sums and means of the nodes' values, exact whatever order they come in."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flame_flwr.aggregation.accumulators import TOO_LARGE, KeptNumbers, SameForm, Where, common_type
from flame_flwr.aggregation.exact_arrays import ExactSum, exact_mean, exact_sum, product
from flame_flwr.aggregation.large_numbers import FLOAT_MAX, INT64, largest_of
from flame_flwr.aggregation.pytree import Leaf, TreeSpec, unflatten

if TYPE_CHECKING:
    from typing import Self

    from flame_flwr.aggregation.accumulators import Forms

__all__ = ["Totals"]

_TOO_LARGE_A_SUM = (
    "the sum of what the nodes sent is too large for {}: send float64, or numbers in a larger "
    "unit, or declare Mean()"
)


class Totals(SameForm):
    """Sums, means and weighted means.

    Parameters
    ----------
    place : Where
        Round, key and nodes.
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
        self._weights: dict[TreeSpec, list[float]] = {}
        self._weightless: list[str] = []

    def check(self, node: str, value: Any, weight: float) -> Forms:
        """See that it is made of numbers, if they count; return their form if all must have it."""
        if self._weighted and weight == 0:
            return {}
        spec, leaves = self._flat(node, value)
        for leaf in leaves:
            # raises here, where it is this node's failure, and not when all are added up
            if self._weighted and type(leaf) is int:
                product(_float(self._place, node, leaf), weight)
        return self._forms(spec)

    def add(self, node: str, value: Any, weight: float) -> None:
        """Add one node's value; of weight 0 it may be NaN, as the mean of no patients is."""
        if self._weighted and weight == 0:
            self._weightless.append(node)
            return
        spec, _ = self._take(node, value, weight if self._weighted else None)
        self._weights.setdefault(spec, []).append(weight)

    def merge(self, other: Self) -> None:
        """Take what another has added up."""
        super().merge(other)
        for spec, weights in other._weights.items():
            self._weights.setdefault(spec, []).extend(weights)
        self._weightless += other._weightless

    def large_size(self, value: Any, weight: float) -> float | None:
        """Return how large a value or its weight is if it could be too large with others'."""
        nodes = len(self._place.nodes)
        if self._weighted:
            return weight if weight > FLOAT_MAX / nodes else None
        leaves = self._flat("", value)[1]
        if self._mean:
            return largest_of(leaves, FLOAT_MAX, None)
        return largest_of(leaves, FLOAT_MAX / nodes, nodes)

    def check_fits(self) -> None:
        """See that nothing is too large; this object cannot be used afterwards."""
        if self._specs:
            self.result()

    def result(self) -> Any:
        """Return the sum, or the mean.

        Raises
        ------
        DataError
            The weights are zero together.
        """
        chosen = self._chosen()
        if chosen is None:
            return self._of_no_weight() if self._weightless else None
        spec, shown = chosen
        divisor = exact_sum(self._weights[spec]) if self._mean else None
        if divisor is not None and math.isinf(divisor):
            raise self._place.too_large(
                "the weights of all nodes together are too large for a float: send smaller ones"
            )
        sums, self._leaves = self._leaves[spec], {}  # each is let go as soon as it is read
        leaves = [sums.pop(0).result(divisor) for _ in range(len(sums))]
        return unflatten(shown, self._finished(shown, leaves))

    def _leaf(self, found: Leaf) -> _NumberSum | _ArraySum:
        if not isinstance(found, np.ndarray):
            return _NumberSum(self._place)
        is_complex = found.dtype.kind == "c"
        return _ArraySum(found.size * (2 if is_complex else 1), is_complex, self._place)

    def _finished(self, spec: TreeSpec, leaves: list[Any]) -> list[Any]:
        """Return sums or means as they are put together: a subclass may change them."""
        return leaves

    def _of_no_weight(self) -> None:
        if not self._none_of_zero:
            raise self._place.error(
                "the weights of all nodes together are zero, so there is no weighted mean. Mend "
                "the weights" + self._place.advice(', or declare zero_total="none" to have None'),
                *sorted(self._weightless, key=self._place.nodes.index),
            )


class _NumberSum(KeptNumbers):
    """The sum of single numbers."""

    def add(self, node: str, leaf: Any, *weight: float | None) -> None:
        [by] = weight
        super().add(node, leaf if by is None else product(self._float(node, leaf), by))

    def result(self, divisor: float | None) -> int | float:
        values = self._values.values()
        # Whole numbers stay whole, of any size; their quotient is rounded once.
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
            raise self._place.too_large(_TOO_LARGE_A_SUM.format("a float"))
        return total

    def _float(self, node: str, value: int | float) -> float:
        return _float(self._place, node, value)


def _float(place: Where, node: str, value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise place.too_large(TOO_LARGE, node) from None


class _ArraySum:
    """The sum of arrays of one shape: whole numbers as such, others by :class:`ExactSum`."""

    def __init__(self, size: int, is_complex: bool, place: Where) -> None:
        self._place = place
        self._complex = is_complex
        self._size = size
        self._real: ExactSum | None = None
        self._whole: npt.NDArray[np.int64] | None = None
        self._bound = 0
        self._types: set[np.dtype[Any]] = set()

    def add(self, node: str, leaf: npt.NDArray[Any], weight: float | None) -> None:
        self._types.add(leaf.dtype)
        if self._complex:
            # real and imaginary parts side by side are added like any other numbers
            leaf = np.ascontiguousarray(leaf.astype(np.complex128, copy=False)).view(np.float64)
        if weight is None and leaf.dtype.kind in "biu":
            self._add_whole(leaf)
            return
        if self._real is None:
            self._real = ExactSum(self._size)
        self._real.add(leaf, weight)

    def _add_whole(self, leaf: npt.NDArray[Any]) -> None:
        # What all nodes could give at most together: a sum does not show that it has wrapped.
        if leaf.size:
            self._bound += max(abs(int(leaf.max())), abs(int(leaf.min())))
        if self._whole is None:
            self._whole = np.zeros(self._size, np.int64)
        self._whole += leaf.ravel().astype(np.int64, copy=False)

    def blank(self) -> _ArraySum:
        return _ArraySum(self._size, self._complex, self._place)

    def merge(self, other: _ArraySum) -> None:
        self._types |= other._types
        self._bound += other._bound
        if other._real is not None:
            self._real = self._real or ExactSum(self._size)
            self._real.merge(other._real)
        if other._whole is not None:
            own = np.zeros(self._size, np.int64) if self._whole is None else self._whole
            self._whole = own + other._whole

    def result(self, divisor: float | None) -> npt.NDArray[Any]:
        if self._bound >= INT64:  # it may have wrapped: by what was possible, whoever came first
            raise self._place.too_large(
                "with what it sent, a sum of whole numbers can be too large for 64 bits: send "
                "floats"
            )
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
            raise self._place.too_large(_TOO_LARGE_A_SUM.format(kind))
        return narrow


def _is_finite(value: float | Fraction) -> bool:
    return isinstance(value, Fraction) or math.isfinite(value)
