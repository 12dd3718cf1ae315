"""Exact sums of arrays: of every element the sum that ``math.fsum`` gives, in little memory.

Adding the same numbers in another order gives other last digits, also with compensated sums where
numbers cancel. Here nothing is lost before the end, so that a sum does not show the order in
which answers arrived: two-sum splits every addition into its rounded sum and what was rounded
off, and both are kept.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["ExactSum", "exact_mean", "exact_sum", "product", "two_sum"]

Values = npt.NDArray[np.float64]

_BLOCK = 1 << 15
"""Elements that are added at a time: so many stay in the processor's cache."""

_LARGE = 2.0**1000
"""Larger numbers are set aside: adding them could overflow in one order and not in another."""

_EXPONENT = np.int64(0x7FF0000000000000)
"""The bits of a float64 that are its exponent: a power of two by themselves."""

_FEW = 16
"""What one of so many elements needs is kept as a list; what more need, as an array."""


def two_sum(a: Values, b: Values) -> tuple[Values, Values]:
    """Return ``a + b`` rounded and what the rounding took away: together exactly the sum.

    Knuth, "The Art of Computer Programming", volume 2, section 4.2.2, theorem B. The numbers must
    be finite and their sum too.
    """
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def exact_sum(values: Iterable[float]) -> float:
    """Return the sum of numbers, rounded once, whatever their order; infinite if it overflows."""
    return exact_mean(values, None)


def exact_mean(values: Iterable[float | Fraction], divisor: float | None) -> float:
    """Return an exact sum, divided: also where the sum alone would be too large for a float.

    Numbers may be :class:`~fractions.Fraction` where they are too large themselves.
    """
    numbers = list(values)
    special = [value for value in numbers if isinstance(value, float) and not math.isfinite(value)]
    if special:
        alike = all(value == special[0] for value in special)  # NaN is unlike itself, too
        return special[0] if alike else math.nan
    try:
        total = math.fsum(numbers)
        return total if divisor is None else total / divisor
    except OverflowError:  # of the sum, or on the way to one that would fit
        exact = sum((Fraction(value) for value in numbers), Fraction(0)) / Fraction(divisor or 1)
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def product(value: float, weight: float) -> float | Fraction:
    """Return a product, rounded once; a fraction where it is too large for a float."""
    found = value * weight
    if math.isfinite(found) or not math.isfinite(value):
        return found
    # Rounded once all the same: scaling is exact, and the scaled product is far from overflowing.
    return Fraction(value * 2.0**-512 * (weight * 2.0**-512)) * 2**1024


class ExactSum:
    """The sum of arrays of ``size`` numbers each.

    Usually it takes 8 to 12 bytes per number: the rounded sum, and, once needed, 30 bits of what
    was rounded off, with a list for the few elements that need more. That is enough where an
    element's values and their last bits are all within 83 bits: where nodes' values differ by up
    to about 1e6, and of float32 with whole weights by up to about 1e12. Blocks that need more take
    20 bytes per number, from about 1e15 on 28, or as much as it takes to stay exact.

    Parameters
    ----------
    size : int
        Numbers per array.

    Attributes
    ----------
    overflowed : bool
        Whether, after :meth:`total`, finite numbers gave a sum that is too large for a float.

    Examples
    --------
    >>> total = ExactSum(2)
    >>> for row in ([1e16, 0.1], [1.0, 0.2], [-1e16, 0.3]):
    ...     total.add(np.array(row))
    >>> total.total().tolist()
    [1.0, 0.6]
    """

    def __init__(self, size: int) -> None:
        self.overflowed = False
        self._high = np.zeros(size)
        self._low = np.zeros(size, np.int32)  # the system gives the memory when it is written
        self._special: dict[int, Values] = {}
        self._huge: dict[int, dict[int, list[Fraction]]] = {}
        self._parts = [
            _Part(self._high[start : start + _BLOCK], self._low[start : start + _BLOCK])
            for start in range(0, size, _BLOCK)
        ]

    def add(self, array: npt.NDArray[Any], weight: float | None = None) -> None:
        """Add an array of any shape and real dtype, in C order, each number times `weight`.

        A product is rounded once. It is not changed, and nothing of it is kept.
        """
        with np.errstate(all="ignore"):
            for number, block in enumerate(_blocks(array)):
                values = block.astype(np.float64)  # a copy: what is set aside is zeroed in it
                if weight is not None:
                    values *= weight
                # Written with `not`, so that a NaN goes this way too.
                if not np.abs(values).max() <= _LARGE:
                    if weight is not None:
                        self._keep_huge(number, block, values, weight)
                    values = self._set_aside(number, values)
                self._parts[number].add(values)

    def merge(self, other: ExactSum) -> None:
        """Add another's sum, exactly; the other stays as it is."""
        with np.errstate(all="ignore"):
            for part, theirs in zip(self._parts, other._parts, strict=True):
                part.merge(theirs)
            for number, special in other._special.items():
                self._special[number] = self._special.get(number, 0.0) + special
        for number, places in other._huge.items():
            kept = self._huge.setdefault(number, {})
            for place, products in places.items():
                kept.setdefault(place, []).extend(products)

    def total(self, divisor: float | None = None) -> Values:
        """Return the sum, each element rounded once, divided; the object is of no use afterwards.

        A mean is finite also where the sum is too large for a float.
        """
        with np.errstate(all="ignore"):
            for number, part in enumerate(self._parts):
                part.settle(divisor, self._huge.get(number, {}))
                # infinities that nodes sent are apart, in `_special`: this one is of the sum
                self.overflowed = self.overflowed or bool(np.isinf(part.high).any())
                if number in self._special:
                    special = self._special[number]
                    odd = ~np.isfinite(special)
                    part.high[odd] = special[odd]
                    part.high[np.isnan(part.high)] = np.nan
        total, self._parts = self._high, []
        del self._low  # the sum of a model is handed out; the rest must not wait with it
        total += 0.0  # no negative zeros: -0.0 + 0.0 is 0.0
        return total

    def _keep_huge(
        self, number: int, block: npt.NDArray[Any], values: Values, weight: float
    ) -> None:
        """Keep the products that are too large for a float, and put zeros in their place."""
        # finite before it was multiplied: what a node sent as infinite is another matter
        over = np.flatnonzero(~np.isfinite(values) & np.isfinite(block))
        for place in over.tolist():
            kept = self._huge.setdefault(number, {}).setdefault(place, [])
            kept.append(Fraction(product(float(block[place]), weight)))
        values[over] = 0.0

    def _set_aside(self, number: int, values: Values) -> Values:
        """Put away what must not be added, and return the rest."""
        odd = ~np.isfinite(values)
        if odd.any():
            special = self._special.setdefault(number, np.zeros(len(values)))
            special[odd] += values[odd]  # inf + -inf is NaN here, as in the sum
            values = np.where(odd, 0.0, values)
        large = np.abs(values) > _LARGE
        if large.any():
            self._parts[number].keep(np.where(large, values, 0.0))
            values = np.where(large, 0.0, values)
        return values


class _Part:
    """One block: the rounded sums, what was rounded off, and a list for what fits in neither.

    What was rounded off is counted in units of the rounded sum's own last bit, divided by
    ``2**31``. Where the list grows long, there are arrays of float64 (``layers``) in place of
    list and units, as many as it takes.
    """

    __slots__ = ("aside", "count", "high", "layers", "low", "units")

    def __init__(self, high: Values, low: npt.NDArray[np.int32]) -> None:
        self.high = high
        self.low = low
        self.units = False
        self.aside: list[tuple[npt.NDArray[np.uint16], Values]] = []
        self.count = 0
        self.layers: list[Values] = []

    def add(self, values: Values) -> None:
        """Add finite numbers."""
        low = self._rounded_off() if self.units else None  # counted by `high` as it is now
        self.high[:], rest = two_sum(self.high, values)
        if low is not None:
            self._add_units(low, rest)
        elif rest.any():
            self._add_rest(rest)

    def keep(self, values: Values) -> None:
        """Keep what is not zero of `values` apart, exactly."""
        places = np.flatnonzero(values)
        if len(places):
            self.aside.append((places.astype(np.uint16), values[places]))
            self.count += len(places)

    def merge(self, other: _Part) -> None:
        """Add all that another holds."""
        self.add(other.high)
        for values in other.layers or [other._rounded_off()]:
            self.add(values)
        for places, values in other.aside:
            self.aside.append((places, values))
            self.count += len(places)

    def settle(self, divisor: float | None, huge: dict[int, list[Fraction]]) -> None:
        """Leave in ``high`` the whole sum with what is too large, rounded once, and divided."""
        exact: dict[int, list[float | Fraction]] = {place: [*v] for place, v in huge.items()}
        for places, values in self.aside:
            for place, value in zip(places.tolist(), values.tolist(), strict=True):
                exact.setdefault(place, []).append(value)
        # An element of two parts needs one addition, which rounds once. Only those of more are
        # added up one by one, as Python's numbers.
        for layer in self.layers[1:]:
            for place in np.flatnonzero(layer).tolist():
                exact.setdefault(place, [])
        rest = self.layers[0] if self.layers else self._rounded_off()
        for place, terms in exact.items():
            terms.append(float(self.high[place]))
            if not self.layers:
                terms.append(float(rest[place]))
        for layer in self.layers:
            for place, terms in exact.items():
                terms.append(float(layer[place]))
        self.high += rest
        if divisor is not None:
            self.high /= divisor
        for place, terms in exact.items():
            self.high[place] = exact_mean(terms, divisor)

    def _add_rest(self, rest: Values) -> None:
        if self.layers:
            self._add_to_layers(rest)
            return
        self.keep(rest)
        if self.count <= len(rest) // _FEW:
            return
        self.units = True  # too many to be kept one by one, at 10 bytes each
        for waiting in self._taken_from_aside():
            self.add(waiting)

    def _unit(self) -> Values:
        """Return what ``low`` counts: a power of two; sums that are small have the smallest."""
        power = (self.high.view(np.int64) & _EXPONENT).view(np.float64)
        # A last bit is 2**-52 of the power, a unit 2**-31 of that; and 5e-324 is the least float.
        unit: Values = np.maximum(power * 2.0**-83, 5e-324)
        return unit

    def _rounded_off(self) -> Values:
        return self.low * self._unit()

    def _add_units(self, low: Values, rest: Values) -> None:
        """Add to what was rounded off; what its units cannot hold is kept apart."""
        low, more = two_sum(low, rest)
        # Carried over, so that `low` is within half a last bit of `high`, and fits its units.
        self.high[:], low = two_sum(self.high, low)
        unit = self._unit()
        whole = np.rint(low / unit)
        self.low[:] = whole
        self.keep(low - whole * unit)
        self.keep(more)
        if self.count > len(rest) // (_FEW // 2):
            self._make_layers()

    def _make_layers(self) -> None:
        self.layers = [self._rounded_off()]
        self.low[:] = 0
        self.units = False
        for waiting in self._taken_from_aside():
            self._add_to_layers(waiting)

    def _taken_from_aside(self) -> list[Values]:
        """Empty the list, but for large numbers: these were set aside, not rounded off."""
        waiting, self.aside, self.count = self.aside, [], 0
        taken = []
        for places, values in waiting:
            large = np.abs(values) > _LARGE
            if large.any():
                self.aside.append((places[large], values[large]))
            taken.append(_spread(places[~large], values[~large], len(self.high)))
        return taken

    def _add_to_layers(self, rest: Values) -> None:
        for layer in self.layers:
            layer[:], rest = two_sum(layer, rest)
            if not rest.any():
                return
        self.keep(rest)
        if self.count > len(rest) // (_FEW // 2):
            self.layers.append(np.zeros(len(rest)))
            for waiting in self._taken_from_aside():
                self._add_to_layers(waiting)
            if len(self.layers) > 3:
                self._tidy()

    def _tidy(self) -> None:
        """Move what the layers hold to the first of them, and drop those that become empty."""
        for _ in range(len(self.layers)):  # what is in the last may belong into the first
            for i in range(len(self.layers) - 1, 0, -1):
                self.layers[i - 1], self.layers[i] = two_sum(self.layers[i - 1], self.layers[i])
        kept = [layer for layer in self.layers if layer.any()]
        self.layers = kept or [np.zeros(len(self.high))]


def _spread(places: npt.NDArray[np.uint16], values: Values, size: int) -> Values:
    spread = np.zeros(size)
    spread[places] = values
    return spread


def _blocks(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    # `flat` copies a block at a time, where reshape would copy the whole array
    flat: Any = array.reshape(-1) if array.flags.c_contiguous else array.flat
    for start in range(0, array.size, _BLOCK):
        yield flat[start : start + _BLOCK]
