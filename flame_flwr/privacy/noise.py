"""Random numbers for filters: from the operating system, or the same ones again from a seed.

They are bits of SHAKE-256, which nobody foretells from those that have left, unlike those of
NumPy's generators. The arithmetic after that is of floats.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple

import numpy as np

__all__ = ["Gaussian", "Laplacian", "Noise", "Uniform"]

_AT_ONCE = 1 << 20
_12 = np.uint64(12)
"""Bits of a word that are left out: 52 of them and a half are exact as a float64."""


class Noise:
    """A stream of random numbers.

    Parameters
    ----------
    seed : int, optional
        With one, the stream is the same for the same seed and place. Whoever knows both can take
        the noise off again: it is for tests. Without one, the stream is new every time.
    place : str
        What else tells streams of one seed apart, such as node and round.

    Notes
    -----
    Floats are a grid, and noise made of them is not quite that of the formulas: who sees an exact
    float may tell more from its last bits than the budget says (Mironov, "On Significance of the
    Least Significant Bits for Differential Privacy", CCS 2012). This is not mended here.
    """

    def __init__(self, seed: int | None = None, place: str = "") -> None:
        if seed is None:
            self._key = secrets.token_bytes(32)
        else:
            self._key = hashlib.sha256(f"{seed}|{place}".encode()).digest()
        self._blocks = 0

    @property
    def drawn(self) -> bool:
        """Whether a random number has been drawn."""
        return self._blocks > 0

    def uniform(self, count: int) -> np.ndarray:
        """Return numbers between 0 and 1, neither of them among the numbers, as float64."""
        return self.uniforms(count).part(0, count)

    def laplace(self, scale: float, count: int) -> np.ndarray:
        """Return Laplace noise of a scale, by the inverse of its distribution function."""
        return self.laplaces(scale, count).part(0, count)

    def gaussian(self, deviation: float, count: int) -> np.ndarray:
        """Return Gaussian noise of a standard deviation, by Box and Muller's transform (1958)."""
        return self.gaussians(deviation, count).part(0, count)

    def uniforms(self, count: int) -> Uniform:
        """Draw what :meth:`uniform` returns, to be had in parts."""
        drawn = Uniform(self._key, self._blocks, count)
        # Whole blocks: two that are drawn never share a word, also where one is read in parts.
        self._blocks += -(-count // _AT_ONCE)
        return drawn

    def laplaces(self, scale: float, count: int) -> Laplacian:
        """Draw what :meth:`laplace` returns, to be had in parts."""
        return Laplacian(scale, self.uniforms(count))

    def gaussians(self, deviation: float, count: int) -> Gaussian:
        """Draw what :meth:`gaussian` returns, to be had in parts."""
        pairs = (count + 1) // 2
        return Gaussian(deviation, pairs, self.uniforms(pairs), self.uniforms(pairs))


class Uniform:
    """Numbers between 0 and 1 that are drawn, of which any part can be had as often as wanted."""

    def __init__(self, key: bytes, first: int, count: int) -> None:
        self._key = key
        self._first = first
        self._count = count
        self._block, self._held = -1, b""

    def part(self, start: int, stop: int) -> np.ndarray:
        """Return those from one place to another."""
        numbers = np.empty(max(0, stop - start))
        at = start
        while at < stop:
            block, place = divmod(at, _AT_ONCE)
            end = min(stop, (block + 1) * _AT_ONCE)
            numbers[at - start : end - start] = self._words(block)[place : place + end - at] >> _12
            at = end
        # In the middle of its step: never 0, whose logarithm is infinite, never 1, and never 0.5.
        numbers += 0.5
        numbers *= 2.0**-52
        return numbers

    def _words(self, block: int) -> np.ndarray:
        if self._block != block:
            of_block = hashlib.shake_256(self._key + (self._first + block).to_bytes(8, "big"))
            self._held = b""  # the next takes its memory: also the last one is as long
            self._held = of_block.digest(8 * min(_AT_ONCE, self._count))
            self._block = block
        return np.frombuffer(self._held, "<u8")


class Laplacian(NamedTuple):
    """Laplace noise that is drawn."""

    scale: float
    uniform: Uniform

    def part(self, start: int, stop: int) -> np.ndarray:
        """Return that from one place to another."""
        below = self.uniform.part(start, stop) - 0.5
        # log1p keeps the digits of the many numbers near zero
        noise: np.ndarray = -self.scale * np.sign(below) * np.log1p(-2 * np.abs(below))
        return noise


class Gaussian(NamedTuple):
    """Gaussian noise that is drawn: of each pair one number is in the second half."""

    deviation: float
    pairs: int
    first: Uniform
    second: Uniform

    def part(self, start: int, stop: int) -> np.ndarray:
        """Return that from one place to another."""
        middle = min(max(start, self.pairs), stop)
        cosines = self._half(start, middle, np.cos)
        if middle == stop:
            return cosines
        return np.concatenate([cosines, self._half(middle - self.pairs, stop - self.pairs, np.sin)])

    def _half(self, start: int, stop: int, wave: np.ufunc) -> np.ndarray:
        radius = self.deviation * np.sqrt(-2 * np.log(self.first.part(start, stop)))
        numbers: np.ndarray = radius * wave(2 * np.pi * self.second.part(start, stop))
        return numbers
