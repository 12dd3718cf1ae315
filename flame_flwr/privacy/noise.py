"""Random numbers for filters: from the operating system, or the same ones again from a seed.

They are bits of SHAKE-256, which nobody foretells from those that have left, unlike those of
NumPy's generators. The arithmetic after that is of floats.
"""

from __future__ import annotations

import hashlib
import secrets

import numpy as np

__all__ = ["Noise"]

_AT_ONCE = 1 << 20


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
        """Whether any random number has been taken."""
        return self._blocks > 0

    def uniform(self, count: int) -> np.ndarray:
        """Return numbers between 0 and 1, neither of them among the numbers, as float64."""
        numbers = np.empty(count)
        for start in range(0, count, _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            bits = hashlib.shake_256(self._key + self._blocks.to_bytes(8, "big"))
            self._blocks += 1
            words = np.frombuffer(bits.digest(8 * len(some)), dtype="<u8")
            some[:] = ((words >> np.uint64(12)) + 0.5) * 2.0**-52
        return numbers

    def laplace(self, scale: float, count: int) -> np.ndarray:
        """Return Laplace noise of a scale, by the inverse of its distribution function."""
        below = self.uniform(count) - 0.5
        noise: np.ndarray = -scale * np.sign(below) * np.log1p(-2 * np.abs(below))
        return noise

    def gaussian(self, deviation: float, count: int) -> np.ndarray:
        """Return Gaussian noise of a standard deviation, by Box and Muller's transform (1958)."""
        pairs = (count + 1) // 2
        radius = deviation * np.sqrt(-2 * np.log(self.uniform(pairs)))
        angle = 2 * np.pi * self.uniform(pairs)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
