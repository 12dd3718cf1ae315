"""pandas columns of every kind: how the array inside a column or an index travels.

A column of a numpy dtype travels as the numpy array it is. pandas' own arrays travel by
their parts, through public constructors that check them. Columns of Python objects
travel if every one of them does. Sparse and Arrow columns are refused.
"""

from __future__ import annotations

import datetime as dt
import importlib
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.payload.screening import screen, typed
from flame_flwr.payload.wire import (
    CATEGORICAL,
    INTERVALS,
    MAX_EMPTY,
    MOMENTS,
    NULLABLE,
    NUMPY_EXTENSION,
    OBJECTS,
    PERIODS,
    STRINGS,
    RefusedError,
)

if TYPE_CHECKING:
    from flame_flwr.payload.decoder import Decoder
    from flame_flwr.payload.encoder import Encoder

__all__ = [
    "RESTORE",
    "checked_labels",
    "checked_zone",
    "column",
    "pack_table",
    "restored_column",
]


def column(values: Any) -> Any:
    """Return what travels for the values of a series or an index."""
    dtype = values.dtype
    if not isinstance(dtype, np.dtype) or dtype.kind in "mM":
        return values.array
    if dtype.hasobject:
        return [OBJECTS, *screen(values.tolist())]
    return values.to_numpy()


def restored_column(values: Any, length: int | None = None) -> Any:
    """Return what arrived if it is a column, of this length, else raise TypeError."""
    pd = importlib.import_module("pandas")
    if not isinstance(values, np.ndarray | pd.api.extensions.ExtensionArray) or values.ndim != 1:
        raise TypeError("not a column")
    if length is not None and len(values) != length:
        raise TypeError("a column of another length than its index")
    return values


def checked_labels(labels: Any) -> Any:
    """Return what arrived if it can be categories or a level, else raise."""
    pd = importlib.import_module("pandas")
    if not isinstance(labels, pd.Index):
        raise TypeError("labels that are no index")
    if isinstance(labels, pd.RangeIndex) and len(labels) > MAX_EMPTY:
        # it takes no bytes here, but pandas writes it out when it looks a label up
        raise ValueError("labels without bytes claim to be many")
    return labels


def checked_zone(zone: Any) -> dt.tzinfo:
    """Return what arrived if it is a time zone, else raise: pandas takes file names too."""
    if not isinstance(zone, dt.tzinfo):
        raise TypeError("no time zone")
    return zone


def pack_table(pd: Any) -> dict[type[Any], Any]:
    """Return how each of pandas' array classes is packed."""
    arrays = pd.arrays
    return {
        arrays.IntegerArray: _pack_nullable,
        arrays.FloatingArray: _pack_nullable,
        arrays.BooleanArray: _pack_nullable,
        arrays.NumpyExtensionArray: _pack_extension,
        arrays.StringArray: _pack_strings,
        arrays.ArrowStringArray: _pack_strings,
        arrays.DatetimeArray: _pack_moments,
        arrays.TimedeltaArray: _pack_moments,
        arrays.PeriodArray: _pack_periods,
        arrays.IntervalArray: _pack_intervals,
        arrays.SparseArray: _refuse,
        arrays.ArrowExtensionArray: _refuse,
        pd.Categorical: _pack_categorical,
    }


def _refuse(value: Any, encoder: Encoder) -> list[Any]:
    raise RefusedError(
        value,
        "Convert the column to a numpy dtype or to one of pandas' own nullable dtypes, "
        "for example with .astype(...), or .sparse.to_dense()",
    )


def _restore_objects(items: list[Any], decoder: Decoder) -> Any:
    objects = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        objects[place] = item
    return objects


def _pack_nullable(value: Any, encoder: Encoder) -> list[Any]:
    dtype = value.dtype.numpy_dtype
    return [NULLABLE, value.to_numpy(dtype=dtype, na_value=dtype.type(0)), value.isna()]


def _restore_nullable(items: list[Any], decoder: Decoder) -> Any:
    arrays = importlib.import_module("pandas").arrays
    values, mask = items
    kind = typed(values, np.ndarray).dtype.kind
    cls = {
        "b": arrays.BooleanArray,
        "f": arrays.FloatingArray,
        "i": arrays.IntegerArray,
        "u": arrays.IntegerArray,
    }[kind]
    if values.ndim != 1 or values.shape != typed(mask, np.ndarray).shape:
        raise ValueError("a mask that does not fit its column")
    return cls(values, mask)


def _pack_extension(value: Any, encoder: Encoder) -> list[Any]:
    values = value.to_numpy()
    objects = values.dtype.hasobject
    return [NUMPY_EXTENSION, [OBJECTS, *screen(values.tolist())] if objects else values]


def _restore_extension(items: list[Any], decoder: Decoder) -> Any:
    pd = importlib.import_module("pandas")
    (values,) = items
    return pd.arrays.NumpyExtensionArray(restored_column(typed(values, np.ndarray)))


def _pack_strings(value: Any, encoder: Encoder) -> list[Any]:
    dtype = value.dtype
    missing = "nan" if isinstance(dtype.na_value, float) else "NA"
    return [STRINGS, dtype.storage, missing, value.to_numpy(object, na_value=None).tolist()]


def _restore_strings(items: list[Any], decoder: Decoder) -> Any:
    pd = importlib.import_module("pandas")
    storage, missing, texts = items
    if not {*map(type, typed(texts, list))} <= {str, type(None)}:
        raise TypeError("a text column with other things in it")
    if missing == "nan" and "na_value" not in signature(pd.StringDtype).parameters:
        # before pandas 2.3 columns of texts are those of Python's objects
        return np.array([np.nan if text is None else text for text in texts], dtype=object)
    kinds = {"nan": {"na_value": np.nan}, "NA": {}}
    try:
        dtype = pd.StringDtype(storage, **kinds[missing])
    except ImportError:
        # pyarrow is missing here: the same texts, stored by Python
        dtype = pd.StringDtype("python", **kinds[missing])
    return pd.array(texts, dtype=dtype)


def _pack_categorical(value: Any, encoder: Encoder) -> list[Any]:
    return [CATEGORICAL, value.codes, value.categories, bool(value.ordered)]


def _restore_categorical(items: list[Any], decoder: Decoder) -> Any:
    pd = importlib.import_module("pandas")
    codes, categories, ordered = items
    return pd.Categorical.from_codes(
        typed(codes, np.ndarray),
        categories=checked_labels(categories),
        ordered=typed(ordered, bool),
    )


def _pack_moments(value: Any, encoder: Encoder) -> list[Any]:
    naive = np.asarray(value.asi8).view(f"{value.dtype.kind}8[{value.unit}]")
    return [MOMENTS, naive, getattr(value, "tz", None)]


def _restore_moments(items: list[Any], decoder: Decoder) -> Any:
    pd = importlib.import_module("pandas")
    naive, zone = items
    if typed(naive, np.ndarray).dtype.kind == "m":
        return pd.TimedeltaIndex(naive).array
    index = pd.DatetimeIndex(naive)
    return (
        index if zone is None else index.tz_localize("UTC").tz_convert(checked_zone(zone))
    ).array


def _pack_periods(value: Any, encoder: Encoder) -> list[Any]:
    return [PERIODS, value.asi8, value.freqstr]


def _restore_periods(items: list[Any], decoder: Decoder) -> Any:
    pd = importlib.import_module("pandas")
    ordinals, frequency = items
    return pd.PeriodIndex.from_ordinals(
        typed(ordinals, np.ndarray), freq=typed(frequency, str)
    ).array


def _pack_intervals(value: Any, encoder: Encoder) -> list[Any]:
    return [INTERVALS, column(value.left), column(value.right), value.closed]


def _restore_intervals(items: list[Any], decoder: Decoder) -> Any:
    pd = importlib.import_module("pandas")
    left, right, closed = items
    return pd.arrays.IntervalArray.from_arrays(
        restored_column(left), restored_column(right, len(left)), closed=typed(closed, str)
    )


RESTORE: dict[Any, Any] = {
    OBJECTS: _restore_objects,
    NULLABLE: _restore_nullable,
    NUMPY_EXTENSION: _restore_extension,
    STRINGS: _restore_strings,
    CATEGORICAL: _restore_categorical,
    MOMENTS: _restore_moments,
    PERIODS: _restore_periods,
    INTERVALS: _restore_intervals,
}
"""How what follows a marker becomes a value again."""
