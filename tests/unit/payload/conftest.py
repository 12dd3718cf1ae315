"""What the tests of the payload share: the strict comparison, and the ways a value goes."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from flame_flwr.payload import decode, encode, from_record, to_record


@pytest.fixture(scope="session")
def same() -> Callable[[Any, Any], bool]:
    """Tell whether two values are the same, with the same types all the way down."""
    return is_same


@pytest.fixture(
    scope="session",
    params=["in process", "as a record"],
)
def travel(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Send a value there and back: without Flower, and as a record."""
    routes: dict[str, Callable[[Any], Any]] = {
        "in process": lambda value: decode(encode(value)),
        "as a record": lambda value: decode(from_record(to_record(encode(value)))),
    }
    return routes[request.param]


def is_same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    for kinds, compare in COMPARISONS.items():
        if isinstance(a, kinds):
            return compare(a, b)
    return bool(a == b)


def _floats(a: float, b: float) -> bool:
    return struct.pack("<d", a) == struct.pack("<d", b) or (math.isnan(a) and math.isnan(b))


def _complexes(a: complex, b: complex) -> bool:
    return _floats(a.real, b.real) and _floats(a.imag, b.imag)


def _sequences(a: Any, b: Any) -> bool:
    return len(a) == len(b) and all(map(is_same, a, b))


def _sets(a: Any, b: Any) -> bool:
    left, right = list(a), list(b)
    return len(left) == len(right) and all(any(is_same(x, y) for y in right) for x in left)


def _dicts(a: Any, b: Any) -> bool:
    if isinstance(a, defaultdict) and a.default_factory is not b.default_factory:
        return False
    return _sequences(list(a.items()), list(b.items()))


def _moments(a: datetime | time, b: datetime | time) -> bool:
    return (
        a.replace(tzinfo=None) == b.replace(tzinfo=None)
        and a.fold == b.fold
        and type(a.tzinfo) is type(b.tzinfo)
        and repr(a.tzinfo) == repr(b.tzinfo)
    )


def _dtypes(a: np.dtype[Any], b: np.dtype[Any]) -> bool:
    return (
        a == b
        and a.char == b.char
        and a.str == b.str
        and a.isalignedstruct == b.isalignedstruct
        and a.type is b.type
        and a.fields == b.fields
    )


def _scalars(a: np.generic, b: np.generic) -> bool:
    return _dtypes(a.dtype, b.dtype) and _elements(np.asarray(a), np.asarray(b))


def _arrays(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    fortran = a.flags.f_contiguous and not a.flags.c_contiguous
    return (
        _dtypes(a.dtype, b.dtype)
        and a.shape == b.shape
        and (b.flags.f_contiguous if fortran else b.flags.c_contiguous)
        and _elements(a, b)
    )


def _elements(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    if a.dtype.names:
        return all(_elements(a[name], b[name]) for name in a.dtype.names)
    if a.dtype.char in "gG":  # of its 16 bytes only 10 say something
        return np.array_equal(a, b, equal_nan=True) and repr(a) == repr(b)
    return a.tobytes() == b.tobytes()


def _masked_arrays(a: Any, b: Any) -> bool:
    if a is np.ma.masked:
        return b is np.ma.masked
    masks = np.ma.getmask(a), np.ma.getmask(b)
    return (
        _arrays(a.filled(), b.filled())
        and a.data.flags.f_contiguous == b.data.flags.f_contiguous
        and (masks[0] is np.ma.nomask) == (masks[1] is np.ma.nomask)
        and np.array_equal(*masks)
        and _scalars(np.asarray(a.fill_value)[()], np.asarray(b.fill_value)[()])
        and a.hardmask == b.hardmask
    )


def _frames(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    pd.testing.assert_frame_equal(a, b, check_exact=True, check_freq=True)
    return (
        is_same(a.columns, b.columns)
        and is_same(a.index, b.index)
        and all(is_same(a.iloc[:, i], b.iloc[:, i]) for i in range(a.shape[1]))
    )


def _series(a: pd.Series, b: pd.Series) -> bool:
    return is_same(a.name, b.name) and is_same(a.index, b.index) and _columns(a, b)


def _columns(a: Any, b: Any) -> bool:
    if a.dtype != b.dtype or len(a) != len(b):
        return False
    if isinstance(a.dtype, np.dtype) and a.dtype != object:
        return a.to_numpy().tobytes() == b.to_numpy().tobytes()
    if isinstance(a.dtype, pd.CategoricalDtype):
        left, right = pd.Categorical(a), pd.Categorical(b)
        return is_same(left.categories, right.categories) and _arrays(left.codes, right.codes)
    return _sequences(a.tolist(), b.tolist())


def _indexes(a: pd.Index, b: pd.Index) -> bool:
    if isinstance(a, pd.MultiIndex):
        a = a.remove_unused_levels()
        return (
            _sequences(list(a.names), list(b.names))
            and _sequences(
                [level.rename(None) for level in a.levels],
                [level.rename(None) for level in b.levels],
            )
            and _sequences([*map(np.asarray, a.codes)], [*map(np.asarray, b.codes)])
        )
    if isinstance(a, pd.RangeIndex):
        return (a.start, a.stop, a.step) == (b.start, b.stop, b.step) and is_same(a.name, b.name)
    return (
        is_same(a.name, b.name)
        and getattr(a, "freq", None) == getattr(b, "freq", None)
        and _columns(a, b)
    )


def _timestamps(a: Any, b: Any) -> bool:
    return (a.unit, a.fold, repr(a.tz), a.asm8) == (b.unit, b.fold, repr(b.tz), b.asm8)


def _sparse(a: Any, b: Any) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.format in ("lil", "dok"):
        a, b = a.tocoo(), b.tocoo()
    parts = {
        "coo": ("data", "coords"),
        "dia": ("data", "offsets"),
    }.get(a.format, ("data", "indices", "indptr"))
    if a.format == "coo" and a.nnz:
        for x in (a, b):
            x.sum_duplicates()
    return all(is_same(getattr(a, part), getattr(b, part)) for part in parts)


COMPARISONS: dict[Any, Callable[[Any, Any], bool]] = {
    pd.DataFrame: _frames,
    pd.Series: _series,
    pd.Index: _indexes,
    pd.api.extensions.ExtensionArray: _columns,
    (type(pd.NaT), type(pd.NA)): lambda a, b: a is b,
    pd.Timestamp: _timestamps,
    pd.Timedelta: lambda a, b: (a.unit, a.asm8) == (b.unit, b.asm8),
    pd.Interval: lambda a, b: a.closed == b.closed and is_same(a.left, b.left) and a == b,
    np.ma.MaskedArray: _masked_arrays,
    np.ndarray: _arrays,
    np.generic: _scalars,
    (sp.sparray, sp.spmatrix): _sparse,
    Decimal: lambda a, b: repr(a) == repr(b),
    float: _floats,
    complex: _complexes,
    (list, tuple): _sequences,
    (set, frozenset): _sets,
    dict: _dicts,
    (datetime, time): _moments,
}
