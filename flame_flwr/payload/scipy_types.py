"""The row for scipy.sparse arrays and matrices of every format.

What is restored went through scipy's own full check, because its compiled code reads
wherever an index array points.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from flame_flwr.payload.kinds import Kind
from flame_flwr.payload.screening import typed

__all__ = ["KINDS"]


def _pack(value: Any) -> list[Any]:
    kind = value.format
    if kind == "lil":
        parts = _compressed(value.tocsr())
    elif kind == "dok":
        parts = _coordinates(value.tocoo())
    elif kind == "coo":
        parts = _coordinates(value)
    elif kind == "dia":
        parts = [value.data, value.offsets]
    else:
        parts = _compressed(value)
    return [type(value).__name__, [int(n) for n in value.shape], *parts]


def _restore(items: list[Any]) -> Any:
    name, dimensions, *parts = items
    kind = _FORMATS[name]
    shape = tuple(typed(n, int) for n in typed(dimensions, list))
    for part in parts:
        typed(part, np.ndarray)
    if kind == "lil":
        rows = "csr_array" if name == "lil_array" else "csr_matrix"
        return _build_compressed(_class(rows), shape, parts).tolil()
    if kind == "dok":
        pairs = "coo_array" if name == "dok_array" else "coo_matrix"
        return _build_coordinates(_class(pairs), shape, parts).todok()
    if kind == "coo":
        return _build_coordinates(_class(name), shape, parts)
    if kind == "dia":
        return _build_diagonals(_class(name), shape, parts)
    return _build_compressed(_class(name), shape, parts)


def _compressed(value: Any) -> list[Any]:
    return [value.data, value.indices, value.indptr]


def _coordinates(value: Any) -> list[Any]:
    return [value.data, *value.coords]


def _build_compressed(cls: Any, shape: tuple[int, ...], parts: list[Any]) -> Any:
    data, indices, indptr = parts
    _check_places(indices, indptr)
    # scipy's check looks at it only where its last number, the count of all places, is not zero
    if indptr.ndim != 1 or not indptr.size or indptr[0] or (indptr[1:] < indptr[:-1]).any():
        raise ValueError("the rows of a sparse array do not follow one another")
    value = cls((data, indices, indptr), shape=shape)
    # older constructors narrow the index arrays
    value.data, value.indices, value.indptr = data, indices, indptr
    # Only the full check looks at every place: scipy's compiled code reads and writes there.
    value.check_format(full_check=True)
    return value


def _build_coordinates(cls: Any, shape: tuple[int, ...], parts: list[Any]) -> Any:
    data, *coordinates = parts
    _check_places(*coordinates)
    value = cls((data, tuple(coordinates)), shape=shape)
    value.coords = tuple(coordinates)
    return value


def _build_diagonals(cls: Any, shape: tuple[int, ...], parts: list[Any]) -> Any:
    data, offsets = parts
    _check_places(offsets)
    value = cls((data, offsets), shape=shape)
    value.data, value.offsets = data, offsets
    return value


def _cost(items: list[Any]) -> int:
    """Two formats are Python's lists and dicts, which the others are turned into."""
    name, _, *parts = items
    sizes = [part.size for part in parts if isinstance(part, np.ndarray)]
    if _FORMATS[name] == "dok":
        return 1024 + 256 * max(sizes, default=0)
    return 1024 + (64 * sum(sizes) if _FORMATS[name] == "lil" else 0)


def _check_places(*arrays: Any) -> None:
    if any(array.dtype not in (np.int32, np.int64) for array in arrays):
        raise ValueError("a sparse array's places are no native integers")


def _class(name: str) -> Any:
    return getattr(importlib.import_module("scipy.sparse"), name)


_FORMATS = {
    f"{kind}_{family}": kind
    for kind in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
    for family in ("array", "matrix")
}

KINDS = (Kind(80, tuple(f"scipy.sparse:{name}" for name in _FORMATS), _pack, _restore, cost=_cost),)
"""One row for all formats: the name of the class is a part."""
