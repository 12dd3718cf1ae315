"""Payloads as what Flower sends: lists of arrays, and `flwr.app.ArrayRecord`.

The first array is the header, as bytes; the bulk arrays follow. What comes back from
Flower is checked here without ever being given to `numpy.load`. What is *in* a payload
is not looked at: that is `decode`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flame_flwr.errors import PayloadError
from flame_flwr.payload.codec import Payload
from flame_flwr.payload.npy import array_from_npy, npy_bytes

if TYPE_CHECKING:
    from flwr.app import ArrayRecord

__all__ = ["from_arrays", "from_record", "to_arrays", "to_record"]


def to_arrays(payload: Payload) -> list[npt.NDArray[Any]]:
    """Return a payload as the list of arrays that a Flower ``NumPyClient`` returns.

    Parameters
    ----------
    payload : Payload
        From `encode`.

    Returns
    -------
    list of ndarray
        The header as uint8, of shape (n,) and read-only, then the bulk arrays.

    Examples
    --------
    >>> from flame_flwr.payload import decode, encode
    >>> arrays = to_arrays(encode({"mean": 0.5, "coef": np.ones(9000)}))
    >>> [array.dtype.name for array in arrays]
    ['uint8', 'float64']
    >>> decode(from_arrays(arrays))["mean"]
    0.5
    """
    return [np.frombuffer(payload.header, np.uint8), *payload.arrays]


def from_arrays(arrays: Sequence[npt.NDArray[Any]]) -> Payload:
    """Take a payload out of the list of arrays that `to_arrays` made.

    Parameters
    ----------
    arrays : sequence of ndarray
        Taken as hostile.

    Returns
    -------
    Payload
        Not decoded yet; refers to the arrays.

    Raises
    ------
    PayloadError
        The list is empty, its first array is no header, or an array holds objects.
    """
    if not arrays:
        raise PayloadError(f"{_NO_PAYLOAD} there are no arrays.")
    for array in arrays:
        if type(array) is not np.ndarray or array.dtype.hasobject:
            raise PayloadError(f"{_NO_PAYLOAD} not everything in it is a plain array.")
    header, *bulk = arrays
    if header.dtype != np.uint8 or header.ndim != 1:
        raise PayloadError(f"{_NO_PAYLOAD} its first array does not hold a header's bytes.")
    return Payload(header.tobytes(), tuple(bulk))


def to_record(payload: Payload, tensors: Sequence[bytes] | None = None) -> ArrayRecord:
    """Return a payload as a Flower record, with the keys "0" (the header), "1", ...

    Parameters
    ----------
    payload : Payload
        From `encode`. Arrays that are views of another record, by `from_record`, are not copied.
    tensors : sequence of bytes, optional
        What `npy_bytes` wrote of the header and the arrays, where that is known.

    Returns
    -------
    flwr.app.ArrayRecord
        Readable by Flower's own means too.

    Examples
    --------
    >>> from flame_flwr.payload import decode, encode
    >>> record = to_record(encode({"mean": 0.5, "coef": np.ones(9000)}))
    >>> list(record), decode(from_record(record))["mean"]
    (['0', '1'], 0.5)
    """
    from flwr.app import Array, ArrayRecord

    record = ArrayRecord()  # of a dict it would make every Array once more
    for place, array in enumerate(to_arrays(payload)):
        record[str(place)] = Array(
            dtype=_name(array.dtype),
            shape=array.shape,
            stype="numpy.ndarray",
            data=npy_bytes(array) if tensors is None else tensors[place],
        )
    return record


def from_record(record: Mapping[str, Any]) -> Payload:
    """Take a payload out of a Flower record, checking its raw bytes.

    Parameters
    ----------
    record : flwr.app.ArrayRecord
        Taken as hostile. Only the raw bytes of its arrays are looked at: what Flower
        converts from its older messages has neither dtype nor shape.

    Returns
    -------
    Payload
        Not decoded yet; its arrays are read-only views of the record's bytes.

    Raises
    ------
    PayloadError
        The record is empty, its keys are not "0", "1", ..., or an array is not valid.
    """
    names = list(record)
    if not names or names == ["_empty"]:  # what Flower 1.41 and 1.42 make of no arrays
        raise PayloadError(f"{_NO_PAYLOAD} there are no arrays.")
    places = [str(place) for place in range(len(names))]
    if set(names) != set(places):
        raise PayloadError(f'{_NO_PAYLOAD} its arrays are not named "0", "1", ...')
    return from_arrays([array_from_npy(record[key].data) for key in places])


_name = lru_cache(maxsize=64)(str)
"""What NumPy calls a dtype: it takes longer to find than all else of a small record."""

_NO_PAYLOAD = "What arrived is not a payload of flame-flwr:"
