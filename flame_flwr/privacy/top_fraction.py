"""``TopFraction``: only the largest changes leave."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from flame_flwr.parameters import FRACTION, TRUE_OR_FALSE, parameter
from flame_flwr.privacy.noise import Noise
from flame_flwr.privacy.update_filter import BlockFilter

if TYPE_CHECKING:
    from flame_flwr.privacy.update_blocks import Part, Update

__all__ = ["TopFraction"]


@dataclass(frozen=True)
class TopFraction(BlockFilter):
    """Lets only the largest changes leave; every other number goes back as it was received.

    Of *n* numbers in all chosen arrays together, ``ceil(fraction * n)`` with the largest absolute
    change are kept; of equal ones those that come first. In Shokri and Shmatikov,
    "Privacy-Preserving Deep Learning" (CCS 2015), it is the selective sharing of the largest
    values.

    Parameters
    ----------
    fraction : float
        Above 0, at most 1. 0.25 is "only the top 25 %".
    sparse : bool
        Whether places and values of what has changed travel instead of the whole array, where that
        is shorter: of numbers of 8 bytes, 25 % take three eighths. The server makes the array
        again, to the bit, and sums as ever.
    keys, missing
        As for every :class:`UpdateFilter`.

    Raises
    ------
    ModelError
        `fraction` is something else.

    Notes
    -----
    It acts on parameters. A model's buffers, such as BatchNorm's running variance, leave as they
    are, unless `keys` name them in full.

    It gives no differential privacy. The changes that leave are exact, and the largest ones are
    those that a rare patient causes; which ones they are says something by itself. It makes
    reconstructing patients from a change harder, not impossible. Arrays keep their shape, so what
    is sent is as long as before, unless it is `sparse`: not in a round whose aggregate has no such
    array, as the first, nor with secure sums, whose masks cover every number.

    Examples
    --------
    >>> TopFraction(0.5).change(np.array([0.1, -3.0, 2.0, 0.0]), noise=None)
    array([ 0., -3.,  2.,  0.])
    """

    words = "only the largest changes leave, a share of {fraction} of all"

    fraction: float = parameter(FRACTION)
    sparse: bool = parameter(TRUE_OR_FALSE, False)

    on_buffers: ClassVar[Literal["filter", "leave", "refuse"]] = "leave"

    def in_blocks(self, update: Update, noise: Noise) -> Part:
        """Return what puts zeros in place of the smaller ones of each block."""
        kept = count_of(float(self.fraction), update.size)
        if kept == update.size:
            return lambda start, block: block
        limit = _nth_size(update, update.size - kept)
        last = _last_equal(update, limit, kept)

        def largest(start: int, block: np.ndarray) -> np.ndarray:
            sizes = np.abs(block)
            above = sizes > limit
            # of those of the limit's size only the first ones, or more than `kept` would leave
            equal = np.flatnonzero(sizes[: max(0, last + 1 - start)] == limit)
            above[equal] = True
            return np.where(above, block, 0.0)

        return largest


def _nth_size(update: Update, place: int) -> float:
    """Return the absolute value that stands at a place when all are sorted."""
    if update.is_small:  # sorted in part, in place
        sizes = update.whole()
        np.abs(sizes, out=sizes)
        sizes.partition(place)
        return float(sizes[place])
    # Of floats above 0 the larger one has the larger bits: its digits are found from the left on.
    bits = 0
    for shift in range(64 - _DIGIT, -1, -_DIGIT):
        counts = np.zeros(1 << _DIGIT, np.int64)
        for _, block in update:
            words = np.abs(block).view(np.uint64)
            if shift + _DIGIT < 64:
                words = words[words >> np.uint64(shift + _DIGIT) == bits]
            np.add.at(counts, (words >> np.uint64(shift) & np.uint64((1 << _DIGIT) - 1)), 1)
        below = np.cumsum(counts)
        digit = int(np.searchsorted(below, place, side="right"))
        place -= int(below[digit - 1]) if digit else 0
        bits = bits << _DIGIT | digit
    return float(np.uint64(bits).view(np.float64))


_DIGIT = 16
"""Bits of a float that are counted at a time: four passes, and 65,536 counts."""


def _last_equal(update: Update, limit: float, kept: int) -> int:
    """Return the place of the last number to keep of those exactly as large as the limit."""
    left = kept - sum(int((np.abs(block) > limit).sum()) for _, block in update)
    for start, block in update:
        equal = np.flatnonzero(np.abs(block) == limit)
        if len(equal) >= left:
            return start + int(equal[left - 1])
        left -= len(equal)
    raise AssertionError("the limit is one of the sizes")


def count_of(share: float, size: int) -> int:
    """Return how many of `size` numbers a fraction of them is, rounded up; 30 % of 10 are 3.

    At least one is kept, however few there are.
    """
    exact = share * size
    # 0.07 * 100 is a little above 7 as floats, which is no eighth number
    return min(size, max(1, math.ceil(exact - 1e-9 * max(exact, 1.0))))
