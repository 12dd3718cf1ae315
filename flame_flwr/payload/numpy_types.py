"""numpy arrays and scalars: how each is packed and restored.

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
from flame_flwr.payload.screening import typed
from flame_flwr.payload.wire import (
    ARRAY,
    BULK,
    INLINE_LIMIT,
    MASKED,
    MASKED_ARRAY,
    MAX_EMPTY,
    SCALAR,
    TEXT_SCALAR,
    RefusedError,
)

if TYPE_CHECKING:
    from flame_flwr.payload.decoder import Decoder
    from flame_flwr.payload.encoder import Encoder

__all__ = ["PACK", "RESTORE", "check_shape", "fortran_only", "view"]

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
    if math.prod(shape) * dtype.itemsize != nbytes:
        raise ValueError("an array's shape does not fit its bytes")
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


def _pack_array(array: Array, encoder: Encoder) -> list[Any]:
    dtype = array.dtype
    if dtype.hasobject:
        raise RefusedError(array, _OBJECTS)
    array = _as_bits(_without_gaps(np.asarray(array)))
    if array.nbytes > INLINE_LIMIT:
        spec = None if survives_npy(dtype) else dtype_spec(dtype)
        return [BULK, encoder.place(array), spec]
    fortran = fortran_only(array)
    raw = array.tobytes("F" if fortran else "C")
    return [ARRAY, dtype_spec(dtype), list(array.shape), fortran, raw]


def _restore_array(items: list[Any], decoder: Decoder) -> Array:
    spec, shape, fortran, raw = items
    sizes = tuple(typed(shape, list))
    return _owned(view(typed(raw, bytes), dtype_from_spec(spec), sizes, typed(fortran, bool)))


def _restore_bulk(items: list[Any], decoder: Decoder) -> Array:
    place, spec = items
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


def _pack_scalar(value: np.generic, encoder: Encoder) -> list[Any]:
    if value.dtype.hasobject:
        raise RefusedError(value, _OBJECTS)
    return [SCALAR, dtype_spec(value.dtype), _without_gaps(np.asarray(value)).tobytes()]


def _restore_scalar(items: list[Any], decoder: Decoder) -> Any:
    spec, raw = items
    return _owned(view(typed(raw, bytes), dtype_from_spec(spec), (), False))[()]


def _pack_text(value: np.str_ | np.bytes_, encoder: Encoder) -> list[Any]:
    return [TEXT_SCALAR, str.__str__(value) if isinstance(value, np.str_) else bytes(value)]


def _restore_text(items: list[Any], decoder: Decoder) -> np.str_ | np.bytes_:
    (text,) = items
    return np.str_(text) if type(text) is str else np.bytes_(typed(text, bytes))


def _pack_masked_array(array: np.ma.MaskedArray[Any, Any], encoder: Encoder) -> list[Any]:
    if array.dtype.hasobject:
        raise RefusedError(array, _OBJECTS)
    mask = np.ma.getmask(array)
    return [
        MASKED_ARRAY,
        array.filled(cast(np.generic, np.zeros((), array.dtype)[()])),
        None if mask is np.ma.nomask else mask,
        array.fill_value,
        bool(array.hardmask),
    ]


def _restore_masked_array(items: list[Any], decoder: Decoder) -> np.ma.MaskedArray[Any, Any]:
    data, mask, fill_value, hard = items
    if mask is not None and typed(mask, np.ndarray).shape != typed(data, np.ndarray).shape:
        raise ValueError("the mask does not fit the array")
    if not isinstance(fill_value, np.generic):
        raise TypeError("a fill value that is no scalar")
    return np.ma.MaskedArray(
        typed(data, np.ndarray),
        mask=np.ma.nomask if mask is None else mask,
        fill_value=fill_value,
        hard_mask=typed(hard, bool),
        copy=False,
    )


def _pack_masked(value: object, encoder: Encoder) -> list[Any]:
    return [MASKED]


def _restore_masked(items: list[Any], decoder: Decoder) -> object:
    () = items
    return np.ma.masked


_MAX_AXES = 64
_OBJECTS = (
    "It holds Python objects. Convert it with .astype(float) or .astype(str), "
    "or return its .tolist()"
)
_TEXT = (np.str_, np.bytes_)

PACK: dict[type[Any], Any] = {
    np.ndarray: _pack_array,
    np.memmap: _pack_array,
    np.ma.MaskedArray: _pack_masked_array,
    type(np.ma.masked): _pack_masked,
    **{
        scalar: _pack_text if scalar in _TEXT else _pack_scalar
        for scalar in set(np.sctypeDict.values()) - {np.object_}
    },
}
"""How a value of exactly this type becomes a tagged list."""

RESTORE: dict[Any, Any] = {
    ARRAY: _restore_array,
    BULK: _restore_bulk,
    SCALAR: _restore_scalar,
    TEXT_SCALAR: _restore_text,
    MASKED_ARRAY: _restore_masked_array,
    MASKED: _restore_masked,
}
"""How what follows a marker becomes a value again."""
