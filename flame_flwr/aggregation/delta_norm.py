"""Stop when the aggregate settles: by the norm of its change from round to round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flame_flwr.aggregation.convergence import Convergence, is_missing, value_at
from flame_flwr.aggregation.pytree import Key, flatten, key_text, look_up, names_of
from flame_flwr.buffer_names import is_counter
from flame_flwr.errors import DataError, ModelError
from flame_flwr.parameters import NOT_BELOW_0, check_parameters, parameter
from flame_flwr.text.words import value_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["DeltaNorm", "delta_norm"]

_BLOCK = 1 << 16
"""Elements that are compared at a time: the difference of two models is never held whole."""


@dataclass
class DeltaNorm(Convergence):
    """Stop when the aggregate, or a part of it, has changed by at most `tol`.

    Parameters
    ----------
    key : str, int, callable or None
        Which part: a key, keys with dots between, or a function of the aggregate; numbers,
        arrays, and lists and dicts of them. ``None``: all of it. Left out in a model is what
        BatchNorm counts, its ``num_batches_tracked``: that never settles.
    tol : float
        The largest norm of the change.
    ord : float
        Which norm of all the changes together, as one vector: 2, 1, ``inf`` or any other above 0.
        The default is the square root of the sum of squares.

    Examples
    --------
    >>> DeltaNorm("coef", tol=1e-3).check(2, {"coef": 0.5}, {"coef": 0.5002})
    '`coef` changed by 0.0002, at most 0.001'
    """

    key: Key
    tol: float = parameter(NOT_BELOW_0)
    ord: float = parameter(NOT_BELOW_0, 2.0)

    def __post_init__(self) -> None:
        """Check what was declared."""
        check_parameters(self)
        if self.ord == 0:
            raise ModelError("DeltaNorm: ord must be above 0")
        self._change: float | None = None

    def check(self, number: int, aggregate: Any, last: Any) -> str | None:
        """Compare with the last round; the first has nothing to compare with."""
        self._change = None
        # In a first round nodes may only agree on something, such as classes.
        if last is None or (number == 1 and is_missing(aggregate, self.key)):
            return None
        now = value_at(aggregate, self.key, self)
        try:
            before = look_up(last, self.key)
        except (LookupError, TypeError):  # as where the first round agrees on something else
            return None
        self._change = change = delta_norm(now, before, self.ord)
        if change is None or not change <= self.tol:  # `not <=`: NaN has not settled
            return None
        return f"{key_text(self.key)} changed by {change:.3g}, at most {self.tol:g}"

    def in_words(self) -> str:
        """Name what is measured, and the largest change."""
        what = "the aggregate" if self.key is None else value_in_words(self.key)
        norm = "Euclidean norm" if self.ord == 2 else f"norm of the order {self.ord:g}"
        return f"when {what} changes by at most {self.tol:g} ({norm})"

    def measured(self) -> float | None:
        """Return the norm; NaN where there is nothing to compare with."""
        return math.nan if self._change is None else self._change


def delta_norm(new: Any, old: Any, order: float = 2.0) -> float | None:
    """Return the norm of the change of all numbers; ``None`` where the form has changed.

    It is infinite where one of them is too large for a float.

    Parameters
    ----------
    new, old : Any
        Numbers, arrays, and lists and dicts of them; BatchNorm's ``num_batches_tracked`` does not
        count.
    order : float
        The order of the norm, above 0.

    Raises
    ------
    DataError
        Something in it is no number.
    """
    try:
        spec, numbers_now = flatten(new)
        before, numbers_before = flatten(old)
    except TypeError as error:
        raise DataError(f"a part of the aggregate {error}, so it has no norm: name a key") from None
    if spec != before:
        return None
    counts = [not is_counter(name) for name in names_of(spec)]
    pairs = compress(zip(numbers_now, numbers_before, strict=True), counts)
    # The p-norm of the blocks' p-norms is that of one long vector, for every p.
    try:
        norms = [float(np.linalg.norm(block, order)) for block in _changes(pairs)]
    except OverflowError:  # of whole numbers, which may have any size
        return math.inf
    return float(np.linalg.norm(norms, order)) if norms else 0.0


def _changes(pairs: Iterable[tuple[Any, Any]]) -> Iterator[npt.NDArray[Any]]:
    for now, then in pairs:
        a, b = np.ravel(now), np.ravel(then)
        for start in range(0, a.size, _BLOCK):
            at = slice(start, start + _BLOCK)
            # before the difference: uint8 would wrap, and float16 round once more
            wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
            yield a[at].astype(wide) - b[at].astype(wide)
