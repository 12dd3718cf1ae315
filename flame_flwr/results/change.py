"""By how much the aggregate changes from round to round: what a convergence plot shows."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Change"]

_MOST = 2**20
"""Numbers. Of a larger aggregate no change is shown: its copy would cost too much memory."""

_PARTS = 10_000


class _NoNumbersError(Exception):
    """The aggregate is no numbers, or too many."""


class Change:
    """Remembers the numbers of the last aggregate and compares the next one with them."""

    def __init__(self) -> None:
        self._last: npt.NDArray[np.float64] | None = None
        self._form: list[Any] = []

    def to(self, aggregate: Any) -> float | None:
        """Return the Euclidean norm of all the changes since the last call.

        Parameters
        ----------
        aggregate : Any
            Numbers, arrays, and lists, tuples and dicts of them; text beside them is passed over.

        Returns
        -------
        float or None
            ``None`` at the first call, where the form has changed, where there are no numbers,
            and where there are more than 2**20.
        """
        before, form = self._last, self._form
        parts: list[npt.NDArray[np.float64]] = []
        self._last, self._form = None, []
        try:
            _flatten(aggregate, parts, self._form, _MOST)
        except (_NoNumbersError, RecursionError):
            return None
        if not parts:
            return None
        self._last = np.concatenate(parts)
        if before is None or form != self._form:
            return None
        with np.errstate(all="ignore"):
            return float(np.linalg.norm(self._last - before))


def _flatten(value: Any, parts: list[npt.NDArray[np.float64]], form: list[Any], left: int) -> int:
    """Add a value's numbers, as copies, and its form; return how many more are taken."""
    if isinstance(value, dict):
        for key, entry in islice(value.items(), _PARTS + 1):
            form.append(key if isinstance(key, str | int) else type(key))
            left = _flatten(entry, parts, form, left)
        return left
    if isinstance(value, list | tuple):
        for entry in value[: _PARTS + 1]:
            left = _flatten(entry, parts, form, left)
        return left
    if isinstance(value, str | bytes) or value is None or len(form) > _PARTS:
        if len(form) > _PARTS:
            raise _NoNumbersError
        return left
    if isinstance(value, int | float | np.ndarray | np.generic):
        array = np.asarray(value)
        if array.size > left or array.dtype.kind not in "biuf":
            raise _NoNumbersError
        form.append(array.shape)
        parts.append(array.astype(np.float64).ravel())
        return left - array.size
    raise _NoNumbersError
