"""The numbers of secure sums: integers in steps of a power of two, modulo a power of two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from flame_flwr.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["COUNTS", "MODELS", "STATISTICS", "Grid", "OffGridError", "Words", "add_words"]

Words = NDArray[np.uint64]
"""Numbers as 64-bit words, the lowest first: an array of shape ``(numbers, words each)``."""

_WORD = 64
_BLOCK = 1 << 15
"""Numbers that are added at a time."""


class OffGridError(ValueError):
    """A value has no place on a grid. Its text is for the node's own log: it tells of the value."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The values that a sum can have: multiples of ``2**-exponent``, modulo ``2**bits``.

    A sum of such values is exact, and the same in any order. Against real numbers each value is off
    by at most half a step.

    Parameters
    ----------
    bits : int
        The size of a number: a multiple of 64, up to 1024.
    exponent : int
        The step is ``2**-exponent``; 0 for whole numbers.

    Raises
    ------
    ModelError
        There is no such grid.

    Examples
    --------
    >>> grid = Grid(64, 32)
    >>> words = grid.to_words(np.array([0.5, -0.25]), parties=3)
    >>> grid.from_words(words)
    array([ 0.5 , -0.25])
    >>> grid.from_words(add_words(words, words))
    array([ 1. , -0.5])
    """

    bits: int
    exponent: int

    def __post_init__(self) -> None:
        if self.bits % _WORD or not _WORD <= self.bits <= 16 * _WORD:
            raise ModelError(f"{self}: bits must be a multiple of 64, from 64 to 1024")
        if not 0 <= self.exponent < self.bits - 1:
            raise ModelError(f"{self}: exponent must be from 0 to bits - 2")

    @property
    def words_each(self) -> int:
        """How many 64-bit words a number takes."""
        return self.bits // _WORD

    @property
    def text(self) -> str:
        """The grid as one declares it."""
        return f"Grid({self.bits}, {self.exponent})"

    def most(self, parties: int) -> int:
        """Return the largest number of steps of one party, with which no sum can overflow."""
        return int((2 ** (self.bits - 1) - 1) // parties)

    def to_words(self, values: ArrayLike, parties: int) -> Words:
        """Return values as words; whole numbers never pass through floats.

        Parameters
        ----------
        values : array-like of numbers
            Of any shape; taken in row-major order. Whole numbers and fractions of Python's may be
            of any size.
        parties : int
            How many take part in the sum.

        Returns
        -------
        ndarray of uint64
            Of shape ``(values, words each)``, in two's complement.

        Raises
        ------
        OffGridError
            A value is NaN, infinite, too large for a sum of so many, no number, or, where the
            exponent is 0, not whole.
        """
        array = np.asarray(values)
        flat = np.ravel(array)
        # By kind, and whole numbers first: as floats, those above 2**53 would be rounded.
        if flat.dtype.kind == "b":
            flat = flat.astype(np.int64)
        if flat.dtype.kind in "iu":
            return self._of_whole(flat, parties)
        if flat.dtype.kind == "O":
            return self._of_objects(flat, parties)
        if flat.dtype.kind != "f":
            raise OffGridError(f"values of type {flat.dtype} are no real numbers")
        return self._of_floats(flat.astype(np.float64, copy=False), parties)

    def from_words(self, words: Words) -> NDArray[Any]:
        """Return the numbers that words are: int64 or whole numbers of Python's, or float64.

        A float is rounded once, ties to even. With exponent 0 the numbers are int64, or objects
        where these have more than 64 bits.
        """
        if self.words_each == 1:
            signed = words[:, 0].view(np.int64)
            # Only the step to float64 rounds: scaling by a power of two is exact.
            return signed.copy() if not self.exponent else np.ldexp(signed, -self.exponent)
        whole = self.steps(words)
        if not self.exponent:
            return np.array(whole, dtype=object)
        return np.array([_divided(each, self.exponent) for each in whole], dtype=np.float64)

    def steps(self, words: Words) -> list[int]:
        """Return the numbers that words are, in steps of the grid."""
        size, data = self.bits // 8, np.ascontiguousarray(words).astype("<u8").tobytes()
        return [
            int.from_bytes(data[start : start + size], "little", signed=True)
            for start in range(0, len(data), size)
        ]

    def _too_large(self, parties: int) -> OffGridError:
        """Return the error of a value, with the way out but for the largest grid."""
        larger = Grid(2 * self.bits, self.exponent) if self.bits <= 8 * _WORD else None
        advice = f": declare a larger one, grid={larger.text}" if larger else ""
        return OffGridError(
            f"a value too large for a sum of {parties} nodes on {self.text}{advice}"
        )

    # ---- one way -----------------------------------------------------------------------------

    def _of_whole(self, flat: NDArray[Any], parties: int) -> Words:
        most = self.most(parties) >> self.exponent  # exact: a whole number is so many steps
        if flat.size and (int(flat.max()) > most or int(flat.min()) < -most):
            raise self._too_large(parties)
        words = np.zeros((flat.size, self.words_each), np.uint64)
        words[:, 0] = flat.astype(np.uint64)
        # two's complement: the words above a negative number are all ones
        if flat.dtype.kind == "i":
            words[flat < 0, 1:] = ~np.uint64(0)
        return _shifted(words, self.exponent)

    def _of_objects(self, flat: NDArray[Any], parties: int) -> Words:
        if not all(isinstance(each, int | Fraction) for each in flat):
            raise OffGridError("values that are no real numbers")
        if not self.exponent and any(each.denominator != 1 for each in flat):
            raise OffGridError("a value that is not whole, in a sum of whole numbers")
        most = self.most(parties)
        steps = [round(each * 2**self.exponent) for each in flat]  # ties to even
        if any(abs(each) > most for each in steps):
            raise self._too_large(parties)
        data = b"".join(
            (each % (1 << self.bits)).to_bytes(self.bits // 8, "little") for each in steps
        )
        return np.frombuffer(data, "<u8").astype(np.uint64).reshape(-1, self.words_each)

    def _of_floats(self, flat: NDArray[np.float64], parties: int) -> Words:
        if not np.isfinite(flat).all():
            raise OffGridError("NaN or infinity")
        with np.errstate(over="ignore"):  # infinity is refused below as too large
            steps = np.ldexp(flat, self.exponent)
        if not self.exponent and (np.rint(steps) != steps).any():
            raise OffGridError("a value that is not whole, in a sum of whole numbers")
        np.rint(steps, out=steps)  # ties to even
        if (np.abs(steps) > _float_at_most(self.most(parties))).any():
            raise self._too_large(parties)
        if self.words_each == 1:
            return steps.astype(np.int64).view(np.uint64).reshape(-1, 1)
        return self._placed(steps)

    def _placed(self, steps: NDArray[np.float64]) -> Words:
        """Return whole floats as words: the 53 bits of each at their place, and then its sign.

        A float's bits span two words at most, so no large integers of Python's are needed.
        """
        fractions, exponents = np.frexp(np.abs(steps))
        mantissas = np.ldexp(fractions, 53).astype(np.uint64)
        shifts = exponents.astype(np.int64) - 53
        small = shifts < 0  # these are whole, so the bits that go are zeros
        mantissas[small] >>= (-shifts[small]).astype(np.uint64)
        shifts[small] = 0
        # one more, of zeros, so that the highest has a word above it
        words = np.zeros((steps.size, self.words_each + 1), np.uint64)
        rows, places = np.arange(steps.size), shifts // _WORD
        offsets = (shifts % _WORD).astype(np.uint64)
        words[rows, places] = mantissas << offsets
        # in two steps, as no processor shifts by 64
        words[rows, places + 1] = (mantissas >> np.uint64(1)) >> (np.uint64(63) - offsets)
        words = np.ascontiguousarray(words[:, :-1])
        negative = steps < 0
        words[negative] = negated_words(words[negative])
        return words


COUNTS: Final = Grid(64, 0)
STATISTICS: Final = Grid(256, 128)
MODELS: Final = Grid(64, 32)
"""The grids of counts and whole weights, of statistics, and of models' arrays."""


def add_words(one: Words, other: Words) -> Words:
    """Return the sum of numbers, modulo the size of the grid, with carries from word to word."""
    if one.shape[1] == 1:
        return one + other
    total = np.empty_like(one)
    carry = np.zeros(len(one), np.uint64)
    for place in range(one.shape[1]):
        added = one[:, place] + other[:, place]
        # A sum that has wrapped round is less than what was added. Only one of the two can wrap:
        # after the first the word is 2**64 - 2 at most.
        over = added < other[:, place]
        np.add(added, carry, out=total[:, place])
        carry = (over | (total[:, place] < carry)).astype(np.uint64)
    return total


def add_in_place(total: Words, words: Words) -> None:
    """Add numbers to others where these are, by blocks: no second sum is held."""
    for start in range(0, len(total), _BLOCK):
        block = total[start : start + _BLOCK]
        block[...] = add_words(block, words[start : start + _BLOCK])


def negated_words(words: Words) -> Words:
    """Return each number with the other sign, modulo the size of the grid."""
    if words.shape[1] == 1:
        return np.negative(words)
    one = np.zeros_like(words)  # -x is ~x + 1 in two's complement
    one[:, 0] = 1
    return add_words(~words, one)


def _shifted(words: Words, by: int) -> Words:
    """Return numbers times a power of two; what it is too large for was refused before."""
    whole, bits = divmod(by, _WORD)
    if whole:
        words[:, whole:] = words[:, :-whole].copy()
        words[:, :whole] = 0
    if bits:
        carried = words >> np.uint64(_WORD - bits)
        words = words << np.uint64(bits)
        words[:, 1:] |= carried[:, :-1]
    return words


def _float_at_most(number: int) -> float:
    """Return the largest float that is no more than a whole number."""
    # Not float(number): that may be rounded up to 2**63, and what is cast to int64 would wrap.
    nearest = float(number)
    return nearest if int(nearest) <= number else math.nextafter(nearest, 0.0)


def _divided(steps: int, exponent: int) -> float:
    """Return steps as a float, rounded once: Python divides whole numbers so."""
    return steps / (1 << exponent)
