"""The rows for pandas columns: the arrays inside a column or an index.

A column of a numpy dtype travels as the numpy array it is. pandas' own arrays travel by
their parts, through public constructors that check them. Columns of Python objects
travel if every one of them does. Sparse and Arrow columns are refused.
"""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Hashable
from inspect import signature
from operator import attrgetter
from typing import Any

import numpy as np

from flame_flwr.payload.kinds import Kind, Refusal
from flame_flwr.payload.pandas_hashes import check_numbers, check_objects, check_texts
from flame_flwr.payload.screening import screen
from flame_flwr.payload.work import FEW, check_hashes

__all__ = [
    "KINDS",
    "checked_column",
    "checked_labels",
    "checked_lookup",
    "checked_zone",
    "column",
    "labels_cost",
    "pandas",
    "restored_column",
]


_SHORT, _SAMPLE = 2**12, 2**16
"""Rows up to which a column need not be looked at, and from which on so many of it are drawn."""


def pandas() -> Any:
    """Return pandas, imported once a value of it arrives."""
    return importlib.import_module("pandas")


def column(values: Any) -> Any:
    """Return what travels for the values of a series or an index."""
    dtype = values.dtype
    if not isinstance(dtype, np.dtype) or dtype.kind in "mM":
        return values.array
    if dtype.hasobject:
        return _objects(values)
    return values.to_numpy()


def restored_column(values: Any, length: int | None = None) -> Any:
    """Return what arrived if it is a column, of this length, else raise TypeError."""
    if (
        not isinstance(values, np.ndarray | pandas().api.extensions.ExtensionArray)
        or values.ndim != 1
    ):
        raise TypeError("not a column")
    if length is not None and len(values) != length:
        raise TypeError("a column of another length than its index")
    return values


def checked_labels(labels: Any) -> Any:
    """Return what arrived if it can be categories or a level, else raise."""
    if not isinstance(labels, pandas().Index):
        raise TypeError("labels that are no index")
    return labels


def checked_column(values: Any) -> Any:
    """Return a column if pandas groups by it and merges on it fast, else raise.

    Of a long one some rows are looked at, which nobody can foresee. A short one takes no time.
    """
    rows = len(values)
    if _SHORT < rows <= _SAMPLE:
        checked_lookup(values)
    elif rows > _SAMPLE:
        # From the system's randomness: with a known seed, a sender would spare the rows drawn.
        places = np.random.default_rng().integers(0, rows, _SAMPLE)
        checked_lookup(values[places], 1 + FEW * _SAMPLE / rows)
    return values


def checked_lookup(values: Any, few: float = FEW) -> Any:
    """Return a column if pandas finds its values fast in a table of its own, else raise."""
    arrays = pandas().arrays
    if isinstance(values, np.ndarray):
        check_numbers(values, few)
    elif isinstance(values, arrays.DatetimeArray | arrays.TimedeltaArray | arrays.PeriodArray):
        check_numbers(values.asi8, few)
    elif isinstance(values, arrays.IntegerArray | arrays.FloatingArray):
        check_numbers(_pack_nullable(values)[0], few)
    elif isinstance(values, arrays.IntervalArray):
        ends = [checked_lookup(column(end)) for end in (values.left, values.right)]
        if not any(end.is_unique for end in (values.left, values.right)):
            check_hashes(zip(*(end.tolist() for end in ends), strict=True))
    return values


def labels_cost(indexes: list[Any]) -> int:
    """Return the cost of looking labels up in pandas, which makes a table of each index."""
    return 128 * sum(len(index) for index in indexes)


def checked_zone(zone: Any) -> dt.tzinfo:
    """Return what arrived if it is a time zone, else raise: pandas takes file names too."""
    if not isinstance(zone, dt.tzinfo):
        raise TypeError("no time zone")
    return zone


def _objects(values: Any) -> list[Any]:
    return [OBJECTS.marker, *screen(values.tolist())]


def _restore_objects(items: list[Any]) -> Any:
    check_objects([item for item in items if isinstance(item, Hashable)])
    objects = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        objects[place] = item  # numpy would unfold items that are lists
    return objects


def _pack_nullable(value: Any) -> list[Any]:
    dtype = value.dtype.numpy_dtype
    return [value.to_numpy(dtype=dtype, na_value=dtype.type(0)), value.isna()]


def _restore_nullable(values: Any, mask: Any) -> Any:
    arrays = pandas().arrays
    cls = {
        "b": arrays.BooleanArray,
        "f": arrays.FloatingArray,
        "i": arrays.IntegerArray,
        "u": arrays.IntegerArray,
    }[values.dtype.kind]
    if values.ndim != 1 or values.shape != mask.shape:
        raise ValueError("a mask that does not fit its column")
    return cls(values, mask)


def _pack_extension(value: Any) -> list[Any]:
    values = value.to_numpy()
    return [_objects(values) if values.dtype.hasobject else values]


def _restore_extension(values: Any) -> Any:
    return pandas().arrays.NumpyExtensionArray(restored_column(values))


def _pack_strings(value: Any) -> list[Any]:
    dtype = value.dtype
    missing = "nan" if isinstance(dtype.na_value, float) else "NA"
    return [dtype.storage, missing, value.to_numpy(object, na_value=None).tolist()]


def _restore_strings(storage: Any, missing: Any, texts: list[Any]) -> Any:
    if not {*map(type, texts)} <= {str, type(None)}:
        raise TypeError("a text column with other things in it")
    check_texts([text for text in texts if text is not None])
    if missing == "nan" and "na_value" not in signature(pandas().StringDtype).parameters:
        # before pandas 2.3 columns of texts are those of Python's objects
        return np.array([np.nan if text is None else text for text in texts], dtype=object)
    kinds = {"nan": {"na_value": np.nan}, "NA": {}}
    try:
        dtype = pandas().StringDtype(storage, **kinds[missing])
    except ImportError:
        # pyarrow is missing here: the same texts, stored by Python
        dtype = pandas().StringDtype("python", **kinds[missing])
    return pandas().array(texts, dtype=dtype)


def _pack_categorical(value: Any) -> list[Any]:
    return [value.codes, value.categories, bool(value.ordered)]


def _restore_categorical(codes: Any, categories: Any, ordered: bool) -> Any:
    labels = checked_labels(categories)
    return pandas().Categorical.from_codes(codes, categories=labels, ordered=ordered)


def _pack_moments(value: Any) -> list[Any]:
    naive = np.asarray(value.asi8).view(f"{value.dtype.kind}8[{value.unit}]")
    return [naive, getattr(value, "tz", None)]


def _restore_moments(naive: Any, zone: Any) -> Any:
    if naive.dtype.kind == "m":
        return pandas().TimedeltaIndex(naive).array
    index = pandas().DatetimeIndex(naive)
    if zone is not None:
        index = index.tz_localize("UTC").tz_convert(checked_zone(zone))
    return index.array


def _restore_periods(ordinals: Any, frequency: str) -> Any:
    return pandas().PeriodIndex.from_ordinals(ordinals, freq=frequency).array


def _pack_intervals(value: Any) -> list[Any]:
    return [column(value.left), column(value.right), value.closed]


def _restore_intervals(left: Any, right: Any, closed: str) -> Any:
    arrays = pandas().arrays
    ends = restored_column(left), restored_column(right, len(left))
    return arrays.IntervalArray.from_arrays(*ends, closed=closed)


def _arrays(*names: str) -> tuple[str, ...]:
    return tuple(f"pandas:arrays.{name}" for name in names)


_NULLABLE = _arrays("IntegerArray", "FloatingArray", "BooleanArray")
_STRINGS = _arrays("StringArray", "ArrowStringArray")
_MOMENTS = _arrays("DatetimeArray", "TimedeltaArray")
_CODES = (np.ndarray, object, bool)
_ORDINALS = attrgetter("asi8", "freqstr")

OBJECTS = Kind(56, (), list, _restore_objects)
"""A column of Python objects, which has no class of its own in pandas."""

KINDS = (
    OBJECTS,
    Kind(57, _NULLABLE, _pack_nullable, _restore_nullable, (np.ndarray, np.ndarray)),
    Kind(58, _STRINGS, _pack_strings, _restore_strings, (object, object, list)),
    Kind(
        59,
        ("pandas:Categorical",),
        _pack_categorical,
        _restore_categorical,
        _CODES,
        cost=lambda parts: 2048 + labels_cost([parts[1]]),
    ),
    Kind(60, _MOMENTS, _pack_moments, _restore_moments, (np.ndarray, object), cost=4096),
    Kind(61, _arrays("PeriodArray"), _ORDINALS, _restore_periods, (np.ndarray, str), cost=2048),
    Kind(
        62,
        _arrays("IntervalArray"),
        _pack_intervals,
        _restore_intervals,
        (object, object, str),
        cost=2048,
    ),
    Kind(68, _arrays("NumpyExtensionArray"), _pack_extension, _restore_extension, (np.ndarray,)),
    Refusal(
        _arrays("SparseArray", "ArrowExtensionArray"),
        "Convert the column to a numpy dtype or to one of pandas' own nullable dtypes, "
        "for example with .astype(...), or .sparse.to_dense()",
    ),
)
"""The arrays of pandas' own that may be inside a column or an index."""
