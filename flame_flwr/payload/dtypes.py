"""numpy dtypes as plain values, exactly: also byte order, padding, titles, ``longlong``.

For dtypes without Python objects. What arrives is only ever matched against the few
spellings that `dtype_spec` writes; numpy's own parser never sees free text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, cast

import numpy as np

from flame_flwr.payload.screening import typed

__all__ = ["dtype_from_spec", "dtype_spec", "has_gaps", "survives_npy"]


def dtype_spec(dtype: np.dtype[Any]) -> str | list[Any]:
    """Describe a dtype by a string, or a structured one by nested lists.

    Parameters
    ----------
    dtype : numpy.dtype
        Any dtype without Python objects in it.

    Returns
    -------
    str or list
        ``"<f8"``; ``"=q"`` for a type that numpy spells like another one; or
        ``[itemsize, aligned, is_record, fields]`` with one
        ``[name, offset, title, spec, shape]`` per field.
    """
    if dtype.names is None:
        return f"={dtype.char}" if dtype.char in _TWINS and dtype.isnative else dtype.str
    fields = []
    for name in dtype.names:
        field, offset, *title = dtype.fields[name]  # type: ignore[index]
        shape = list(field.shape)
        fields.append([name, offset, title[0] if title else None, dtype_spec(field.base), shape])
    return [dtype.itemsize, dtype.isalignedstruct, dtype.type is np.record, fields]


def dtype_from_spec(spec: object) -> np.dtype[Any]:
    """Build the dtype that `dtype_spec` described.

    Raises
    ------
    ValueError, TypeError
        The description is not one that `dtype_spec` writes.
    """
    if type(spec) is str:
        return _simple(spec)
    # Offsets and sizes that do not fit each other are refused by numpy, once all are integers.
    itemsize, aligned, is_record, fields = typed(spec, list)
    for field in typed(fields, list):
        name, offset, _, _, shape = typed(field, list)
        typed(name, str), typed(offset, int), [typed(n, int) for n in typed(shape, list)]
    content: dict[str, Any] = {
        "names": [name for name, _, _, _, _ in fields],
        "formats": [
            (dtype_from_spec(field), tuple(shape)) if shape else dtype_from_spec(field)
            for _, _, _, field, shape in fields
        ],
        "offsets": [offset for _, offset, _, _, _ in fields],
        "itemsize": typed(itemsize, int),
        "aligned": typed(aligned, bool),
    }
    titles = [title for _, _, title, _, _ in fields]
    if any(title is not None for title in titles):
        content["titles"] = titles
    dtype: np.dtype[Any] = np.dtype(cast(Any, content))
    return np.dtype((np.record, dtype)) if typed(is_record, bool) else dtype


def has_gaps(dtype: np.dtype[Any]) -> bool:
    """Tell whether an item of this dtype has bytes that belong to none of its fields."""
    if dtype.names is None:
        return dtype.subdtype is not None and has_gaps(dtype.base)
    end = 0
    for offset, field in sorted((dtype.fields[name][1], name) for name in dtype.names):  # type: ignore[index]
        if offset > end or has_gaps(dtype[field]):
            return True
        end = max(end, offset + dtype[field].itemsize)
    return end < dtype.itemsize


def survives_npy(dtype: np.dtype[Any]) -> bool:
    """Tell whether an ``.npy`` header gives this dtype back as it is."""
    return dtype.names is None and dtype.char not in _TWINS


@lru_cache(maxsize=256)
def _simple(spec: str) -> np.dtype[Any]:
    if spec[:1] == "=" and spec[1:] in _TWINS:
        return np.dtype(spec[1:])
    if not _SPELLING.fullmatch(spec):
        raise ValueError("not a dtype that travels")
    return np.dtype(spec)


# By a list of what may be: `np.dtype` takes texts such as "f8,f8" and "1000000000f8", too.
_SPELLING = re.compile(r"[<>|][biufcSUV]\d{1,10}|[<>][mM]8(\[\d*[a-zA-Z]{1,2}\])?", re.ASCII)
# Types of C of one size, as `long` and `long long` on Linux: `str` spells one like the other.
_TWINS = frozenset(c for c in "lLqQgG" if np.dtype(np.dtype(c).str).char != c)
