"""The rows for numpy arrays and scalars.

An array of at most `INLINE_LIMIT` bytes stands in the header; a larger one goes beside
it, not copied. What is restored owns its memory. Object arrays are refused: they hold
Python objects, which only pandas columns may do here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from flame_flwr.payload.dtypes import dtype_from_spec, dtype_spec, has_gaps, survives_npy
from flame_flwr.payload.kinds import BesideKind, Choice, Kind
from flame_flwr.payload.screening import typed
from flame_flwr.payload.wire_format import INLINE_LIMIT, MAX_EMPTY, RefusedError

if TYPE_CHECKING:
    from flame_flwr.payload.decoder import Decoder
    from flame_flwr.payload.encoder import Encoder

__all__ = ["KINDS", "check_shape", "fortran_only", "view"]

Array = npt.NDArray[Any]


def check_shape(shape: tuple[int, ...], dtype: np.dtype[Any], nbytes: int) -> None:
    """Refuse a shape that does not fit the bytes that are there.

    Parameters
    ----------
    shape : tuple of int
        As claimed.
    dtype : numpy.dtype
        As claimed.
    nbytes : int
        How many bytes are really there.

    Raises
    ------
    ValueError
        The sizes differ, an axis is negative, an array without bytes is absurdly long, or
        the array is to hold objects.
    """
    if len(shape) > _MAX_AXES or any(type(n) is not int or not 0 <= n < 2**62 for n in shape):
        raise ValueError("not the shape of an array")
    if dtype.hasobject:
        raise ValueError("arrays of objects do not travel")
    # Python's integers do not overflow, unlike numpy's
    if math.prod(shape) * dtype.itemsize != nbytes:
        raise ValueError("an array's shape does not fit its bytes")
    # (0, 2**60) takes no byte, but whatever adds up or iterates over the other axis never ends.
    if not nbytes and math.prod(n or 1 for n in shape) > MAX_EMPTY:
        raise ValueError("an array without bytes claims to be long")


def view(
    raw: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool, offset: int = 0
) -> Array:
    """Look at bytes as an array, not copied and read-only, after `check_shape`."""
    check_shape(shape, dtype, len(raw) - offset)
    order: Any = "F" if fortran else "C"
    return np.ndarray(shape, dtype, buffer=raw, offset=offset, order=order)


def fortran_only(array: Array) -> bool:
    """Tell whether the array is laid out by columns and not by rows as well."""
    flags = array.flags
    return bool(flags.f_contiguous and not flags.c_contiguous)


def _pack_array(array: Array) -> list[Any]:
    plain = _plain(array)
    fortran = fortran_only(plain)
    raw = plain.tobytes("F" if fortran else "C")
    return [dtype_spec(array.dtype), list(plain.shape), fortran, raw]


def _pack_bulk(array: Array, encoder: Encoder) -> list[Any]:
    dtype = array.dtype
    place = encoder.place(_plain(array))
    return [place, None if survives_npy(dtype) else dtype_spec(dtype)]


def _plain(array: Array) -> Array:
    if array.dtype.hasobject:
        raise RefusedError(array, _OBJECTS)
    return _as_bits(_without_gaps(np.asarray(array)))


def _restore_array(spec: Any, shape: Any, fortran: bool, raw: bytes) -> Array:
    return _owned(view(raw, dtype_from_spec(spec), tuple(shape), fortran))


def _restore_bulk(decoder: Decoder, place: Any, spec: Any) -> Array:
    array = decoder.take(place)
    if spec is not None:
        dtype = dtype_from_spec(spec)
        if dtype.itemsize != array.itemsize:
            raise ValueError("an array's type does not fit its bytes")
        array = array.view(dtype)
    return _owned(array) if decoder.copies else array


def _owned(array: Array) -> Array:
    return np.array(array, copy=True, order="F" if fortran_only(array) else "C")


def _without_gaps(array: Array) -> Array:
    """Blank what lies between the fields: in ``table[["age"]]`` that is the other columns."""
    if array.dtype.names is None or not has_gaps(array.dtype):
        return array
    blank = np.zeros(array.shape, array.dtype, "F" if fortran_only(array) else "C")
    _copy_fields(array, blank)
    return blank


def _copy_fields(source: Array, target: Array) -> None:
    if source.dtype.names is None:
        target[...] = source
        return
    for name in source.dtype.names:
        _copy_fields(source[name], target[name])


def _as_bits(array: Array) -> Array:
    """Look at a structured array as one of plain bytes, which every ``.npy`` header can say."""
    dtype = array.dtype
    return array if dtype.names is None or not dtype.itemsize else array.view(f"V{dtype.itemsize}")


def _pack_scalar(value: np.generic) -> list[Any]:
    if value.dtype.hasobject:
        raise RefusedError(value, _OBJECTS)
    return [dtype_spec(value.dtype), _without_gaps(np.asarray(value)).tobytes()]


def _restore_scalar(spec: Any, raw: bytes) -> Any:
    return _owned(view(raw, dtype_from_spec(spec), (), False))[()]


def _pack_text(value: np.str_ | np.bytes_) -> list[Any]:
    return [str.__str__(value) if isinstance(value, np.str_) else bytes(value)]


def _restore_text(text: Any) -> np.str_ | np.bytes_:
    return np.str_(text) if type(text) is str else np.bytes_(typed(text, bytes))


def _pack_masked_array(array: np.ma.MaskedArray[Any, Any]) -> list[Any]:
    if array.dtype.hasobject:
        raise RefusedError(array, _OBJECTS)
    mask = np.ma.getmask(array)
    return [
        # What is under the mask was hidden by the user, and stays at the node.
        array.filled(cast(np.generic, np.zeros((), array.dtype)[()])),
        None if mask is np.ma.nomask else mask,
        array.fill_value,
        bool(array.hardmask),
    ]


def _restore_masked_array(
    data: Array, mask: Any, fill_value: Any, hard: bool
) -> np.ma.MaskedArray[Any, Any]:
    if mask is not None and typed(mask, np.ndarray).shape != data.shape:
        raise ValueError("the mask does not fit the array")
    if not isinstance(fill_value, np.generic):
        raise TypeError("a fill value that is no scalar")
    return np.ma.MaskedArray(
        data,
        mask=np.ma.nomask if mask is None else mask,
        fill_value=fill_value,
        hard_mask=hard,
        copy=False,
    )


_MAX_AXES = 64  # numpy's own limit, from 2.0 on
_OBJECTS = (
    "It holds Python objects. Convert it with .astype(float) or .astype(str), "
    "or return its .tolist()"
)
_TEXTS = (np.str_, np.bytes_)
_SCALARS = tuple(set(np.sctypeDict.values()) - {np.object_, *_TEXTS})
_MASKED = (np.ndarray, object, object, bool)

ARRAY = Kind(30, (), _pack_array, _restore_array, (object, list, bool, bytes))
BULK = BesideKind(31, (), _pack_bulk, _restore_bulk, (object, object))
"""A large array: in the header is only the number of its place beside it."""

KINDS = (
    ARRAY,
    BULK,
    Choice((np.ndarray, np.memmap), lambda value: BULK if value.nbytes > INLINE_LIMIT else ARRAY),
    Kind(32, _SCALARS, _pack_scalar, _restore_scalar, (object, bytes), cost=512),
    Kind(33, _TEXTS, _pack_text, _restore_text, (object,)),
    Kind(34, (np.ma.MaskedArray,), _pack_masked_array, _restore_masked_array, _MASKED, cost=1024),
    Kind(35, (type(np.ma.masked),), lambda value: (), lambda: np.ma.masked, ()),
)
"""Arrays and scalars of numpy."""
