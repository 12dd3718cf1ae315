"""By how much the aggregate changes from round to round, where no convergence measures it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.buffer_names import is_counter
from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

__all__ = ["Change"]

_MOST = 2**20
"""Numbers. Of a larger aggregate no change is shown: its copy would cost too much memory."""

_PARTS = 10_000


class _TooLargeError(Exception):
    """The aggregate has too many numbers or parts."""


class Change:
    """Remembers the float arrays of the last aggregate and compares the next one's with them.

    These are what an analysis learns. Counts, flags and numbers of its own bookkeeping, such as
    ``{"rounds": 3, "tolerance": 1e-3}``, say nothing of how far it is.
    """

    def __init__(self) -> None:
        self._last: npt.NDArray[np.float64] | None = None
        self._form: list[Any] = []
        self._warned = False

    def warn(self, number: int) -> None:
        """Say, once in a run, that a round's change is not known."""
        if not self._warned:
            self._warned = True
            logger.warning(
                "round %d: the aggregate holds NaN or infinity, so that its change is not known",
                number,
            )

    def measure(
        self, aggregate: Any, without: Callable[[str], bool] = lambda name: False
    ) -> float | None:
        """Return the Euclidean norm of the difference to the aggregate of the last call.

        Parameters
        ----------
        aggregate : Any
            One float, or lists, tuples and dicts with arrays of floats in them; everything else in
            these is passed over.
        without : callable
            Called with a key of it; where it returns true, what the key holds is passed over, too.

        Returns
        -------
        float or None
            ``None`` at the first call, where other arrays are in it than before, where there are
            none, and where they have more than 2**20 numbers.
        """
        before, form = self._last, self._form
        parts: list[npt.NDArray[np.float64]] = []
        # An aggregate that cannot be measured is nothing to compare the next one with, either.
        self._last, self._form = None, []
        if isinstance(aggregate, float | np.floating):
            aggregate = np.asarray(aggregate)
        try:
            _Parts(parts, self._form, without).take(aggregate, ())
        except (_TooLargeError, RecursionError):
            return None
        if not parts:
            return None
        self._last = np.concatenate(parts)
        if before is None or form != self._form:
            return None
        with np.errstate(all="ignore"):  # of NaN and infinity the caller says something readable
            return float(np.linalg.norm(self._last - before))


class _Parts:
    """Collects float arrays, as copies, and where they are."""

    def __init__(
        self,
        parts: list[npt.NDArray[np.float64]],
        form: list[Any],
        without: Callable[[str], bool],
    ) -> None:
        self._parts, self._form, self._without = parts, form, without
        self._left, self._looked = _MOST, 0

    def take(self, value: Any, path: tuple[Any, ...]) -> None:
        self._looked += 1
        if self._looked > _PARTS:  # a list of a million numbers takes too long to look through
            raise _TooLargeError
        if isinstance(value, dict):
            for key, entry in value.items():
                if isinstance(key, str) and (is_counter(key) or self._without(key)):
                    continue  # a counter is a float where it was averaged
                self.take(entry, (*path, key if isinstance(key, str | int) else type(key)))
        elif isinstance(value, list | tuple):
            for place, entry in enumerate(value):
                self.take(entry, (*path, place))
        elif isinstance(value, np.ndarray) and value.dtype.kind in "fc":
            self._left -= value.size
            if self._left < 0:
                raise _TooLargeError
            self._form.append((path, value.shape, value.dtype.kind))
            flat = np.ravel(value)
            # The norm is that of the real and imaginary parts.
            pairs = flat.astype(np.complex128).view(np.float64) if flat.dtype.kind == "c" else flat
            self._parts.append(pairs.astype(np.float64))
