"""The row for an array of which little has changed: the places and the values that have.

A node's gate makes it of an array that a filter has left mostly as it was received, and whoever
gets it makes the array again, of the same one that the node was sent.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flame_flwr.errors import PayloadError
from flame_flwr.payload.kinds import Kind

if TYPE_CHECKING:
    from flame_flwr.payload.codec import Payload

__all__ = ["KINDS", "SparseChange", "holds_sparse_change"]

_BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}
_PLACES = (np.uint8, np.uint16, np.uint32, np.uint64)
_BESIDE = 128
"""About how many bytes the header of one takes more than that of an array."""

_MAX_AXES = 32


@dataclass(frozen=True, eq=False)
class SparseChange:
    """What has changed of an array.

    Parameters
    ----------
    shape : tuple of int
        The array's.
    places : ndarray of unsigned int, shape (n,)
        Where it has changed, in C's order, rising.
    values : ndarray of float, shape (n,)
        What it is there now.
    checksum : int
        Of what the array was before.

    Raises
    ------
    ValueError
        They do not belong together, whoever has made them.

    Examples
    --------
    >>> received = np.zeros(1000)
    >>> changed = received.copy()
    >>> changed[[3, 500]] = 0.25, -1.0
    >>> change = SparseChange.of(changed, received)
    >>> change.places, change.nbytes
    (array([  3, 500], dtype=uint16), 20)
    >>> bool((change.dense(received) == changed).all())
    True
    """

    shape: tuple[int, ...]
    places: npt.NDArray[Any]
    values: npt.NDArray[Any]
    checksum: int

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        shape, places, values = self.shape, self.places, self.values
        if len(shape) > _MAX_AXES or any(type(n) is not int or not 0 <= n < 2**62 for n in shape):
            raise ValueError("not the shape of an array")
        if places.dtype not in _PLACES or places.ndim != 1 or values.shape != places.shape:
            raise ValueError("a change has as many values as places, which are unsigned")
        if values.dtype.kind != "f" or not values.dtype.isnative:
            raise ValueError("a change is of floats")
        # Rising, so that no place is twice in it, and the last one says that all are within.
        if len(places) and (
            int(places[-1]) >= math.prod(shape) or not (places[1:] > places[:-1]).all()
        ):
            raise ValueError("the places of a change are within its array, and rise")

    @classmethod
    def of(cls, array: npt.NDArray[Any], before: npt.NDArray[Any]) -> SparseChange | None:
        """Return the change of an array, bit by bit; ``None`` where it is not shorter than it."""
        kind = _BITS.get(array.itemsize)
        if kind is None or not array.dtype.isnative or array.shape != before.shape:
            return None
        now, was = np.ascontiguousarray(array).reshape(-1), _as(before, array.dtype).reshape(-1)
        # By their bits: -0.0 equals 0.0, and NaN does not equal itself.
        places = np.flatnonzero(now.view(kind) != was.view(kind))
        smallest = next(each for each in _PLACES if array.size - 1 <= np.iinfo(each).max)
        if len(places) * (np.dtype(smallest).itemsize + array.itemsize) + _BESIDE >= array.nbytes:
            return None
        return cls(array.shape, places.astype(smallest), now[places], zlib.crc32(was.data))

    @property
    def nbytes(self) -> int:
        """How many bytes places and values take."""
        return self.places.nbytes + self.values.nbytes

    @property
    def size(self) -> int:
        """How many values."""
        return len(self.values)

    def dense(self, before: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        """Return the array, of what it was before.

        Raises
        ------
        PayloadError
            There is no such array, or it has another shape.
        """
        if before is None or before.shape != self.shape or before.dtype.kind not in "fiu":
            raise PayloadError(
                "What arrived tells the change of an array that was not sent: it was changed on "
                "its way, or not made by flame-flwr."
            )
        # Against mistakes, not forgers, who could send any array whole: of another aggregate than
        # the node's this would make an array that nobody has computed.
        array = _as(before, self.values.dtype)
        if zlib.crc32(array.reshape(-1).data) != self.checksum:
            raise PayloadError(
                "What arrived tells the change of another array than the last aggregate's. Where a "
                "strategy of your own sends nodes different ones, leave `sparse` out"
            )
        array.reshape(-1)[self.places] = self.values
        return array


def holds_sparse_change(payload: Payload) -> bool:
    """Tell whether a payload may hold one, without decoding it."""
    return _KIND.may_be_in(payload.header)


def _as(before: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return a copy in C's order and another type."""
    with np.errstate(over="ignore"):
        return np.array(before, dtype=dtype, order="C")


def _pack(value: SparseChange) -> list[Any]:
    return [list(value.shape), value.places, value.values, value.checksum]


_PARTS = (list, np.ndarray, np.ndarray, int)


def _restore(shape: list[Any], *parts: Any) -> SparseChange:
    return SparseChange(tuple(shape), *parts)


_KIND = Kind(85, (SparseChange,), _pack, _restore, _PARTS, cost=1024)
KINDS = (_KIND,)
