"""The change of a model in blocks, so that filters need no second model of float64 in memory.

A filter looks at all blocks first, as often as it must, and then says what it makes of each. What
the filters before it have made of a block is worked out anew each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from flame_flwr.errors import ModelError
from flame_flwr.payload.npy import filled

if TYPE_CHECKING:
    from flame_flwr.privacy.noise import Noise
    from flame_flwr.privacy.update_filter import UpdateFilter

__all__ = ["ArrayChange", "Part", "Update", "as_part"]

Part = Callable[[int, np.ndarray], np.ndarray]
"""What a filter makes of the numbers of an update from a place on; it may change them in place."""

_BLOCK = 8192
"""Numbers: they stay in the processor's cache, and no library adds them up in several threads."""

_SMALL = 1 << 18
"""Numbers that may be held as float64, two megabytes, whatever model they are of."""


class ArrayChange:
    """What has changed of one array, as flat float64, and what filters make of it.

    Parameters
    ----------
    array : ndarray of floats
        As it is now.
    before : ndarray of numbers, optional
        As it was, of the same shape; zeros without.

    Attributes
    ----------
    noised : bool
        Whether a filter has drawn noise for it. From then on an equal number is chance, and the
        array's own may not come back.
    """

    def __init__(self, array: np.ndarray, before: np.ndarray | None = None) -> None:
        self.array = array
        self.size, self.nbytes = array.size, array.nbytes
        self.noised = False
        self._before = before
        self._steps: list[tuple[str, Part, int]] = []

    def add(self, name: str, part: Part, start: int) -> None:
        """Have a filter act on it; it begins at a place of that filter's update."""
        self._steps.append((name, part, start))

    def hold(self, name: str) -> None:
        """Keep what the filters so far have made of it, so that it is not worked out anew."""
        numbers = np.concatenate([np.empty(0), *self.blocks()])
        self._steps = [(name, as_part(name, numbers, self.size), 0)]

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the change after all filters so far; a block is the caller's own."""
        for start in range(0, self.size, _BLOCK):
            yield self._filtered(start, self._exact(start))

    def is_finite(self) -> bool:
        """Tell whether the change is, before any filter."""
        starts = range(0, self.size, _BLOCK)
        return all(np.isfinite(self._exact(start)).all() for start in starts)

    def result(self) -> np.ndarray:
        """Return the array after all filters, of shape and type as it was; read-only.

        Raises
        ------
        ModelError
            A number does not fit into its type.
        """
        return filled(self.array.dtype, self.array.shape, self._fill)

    def _fill(self, new: np.ndarray) -> None:
        for start in range(0, self.size, _BLOCK):
            exact = self._exact(start)
            now = self._filtered(start, exact.copy())
            block = new[start : start + _BLOCK]
            with np.errstate(over="ignore"):  # said below
                block[:] = _flat(self._before, start) + now
            if not self.noised:
                # Exactly the node's number where no filter has acted, not one rounded twice.
                np.copyto(block, _flat(self.array, start), where=now == exact)
            if not np.isfinite(block).all():
                raise ModelError(f"after the filters a number does not fit into {new.dtype}")

    def _exact(self, start: int) -> np.ndarray:
        change: np.ndarray = _flat(self.array, start).astype(np.float64)
        change -= _flat(self._before, start).astype(np.float64)
        return change

    def _filtered(self, start: int, change: np.ndarray) -> np.ndarray:
        for name, part, first in self._steps:
            change = part(first + start, change)
            if not np.isfinite(change).all():
                raise _not_finite(name)
        return change


class Update:
    """The change of one or more arrays, one behind the other.

    Parameters
    ----------
    arrays : sequence of ArrayChange
        In their order.

    Attributes
    ----------
    size : int
        How many numbers it has.
    is_small : bool
        Whether it may be held as a whole: as float64 it is small, or no larger than its arrays.

    Examples
    --------
    >>> update = Update([ArrayChange(np.ones(2), np.zeros(2)), ArrayChange(np.full(1, 3.0))])
    >>> update.size, update.whole()
    (3, array([1., 1., 3.]))
    """

    def __init__(self, arrays: Sequence[ArrayChange]) -> None:
        self._arrays = arrays
        self.size = sum(each.size for each in arrays)
        self.is_small = 8 * self.size <= max(8 * _SMALL, sum(each.nbytes for each in arrays))

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield blocks of float64, each with its place; a block is the caller's own."""
        start = 0
        for each in self._arrays:
            for block in each.blocks():
                yield start, block
                start += block.size

    def whole(self) -> np.ndarray:
        """Return all of it as one array, which is the caller's own."""
        numbers = np.empty(self.size)
        for start, block in self:
            numbers[start : start + block.size] = block
        return numbers

    def changed_by(self, each: UpdateFilter, noise: Noise) -> None:
        """Have a filter act on all of its arrays."""
        part, start = each.in_blocks(self, noise), 0
        for array in self._arrays:
            array.add(each.name, part, start)
            start += array.size
        if noise.drawn:
            for array in self._arrays:
                array.noised = True
                if self.size <= _SMALL:  # noise takes longer than all else
                    array.hold(each.name)


def as_part(name: str, changed: object, size: int) -> Part:
    """Return the part of a filter that has given back a whole update, after a check.

    Raises
    ------
    ModelError
        It is not as many finite numbers.
    """
    numbers = np.asarray(changed, dtype=np.float64)
    if numbers.shape != (size,) or not np.isfinite(numbers).all():
        raise _not_finite(name)
    return lambda start, block: numbers[start : start + block.size].copy()


def _flat(array: np.ndarray | None, start: int) -> np.ndarray:
    """Return a block of an array in C's order, of zeros where there is none."""
    if array is None:
        return _ZERO
    flat = array.reshape(-1) if array.flags.c_contiguous else array.flat  # which copies the block
    block: np.ndarray = flat[start : start + _BLOCK]
    return block


_ZERO = np.zeros(1)


def _not_finite(name: str) -> ModelError:
    return ModelError(f"{name}.change must return an array of the same shape, of finite numbers")
