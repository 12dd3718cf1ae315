"""pandas frames, series, indexes and scalars: how each is packed and restored.

pandas is never imported to pack: a value of its types means that it is imported already.
Left out are ``attrs``, ``flags`` and the levels of a MultiIndex that none of its entries
uses; subclasses are refused. The arrays inside columns are in ``pandas_arrays``.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.payload import pandas_arrays
from flame_flwr.payload.pandas_arrays import checked_labels, checked_zone, column, restored_column
from flame_flwr.payload.screening import typed
from flame_flwr.payload.wire import (
    FRAME,
    FRAME_BLOCK,
    INDEX,
    INTERVAL,
    MISSING,
    MULTI_INDEX,
    PANDAS_TIMEDELTA,
    PERIOD,
    RANGE_INDEX,
    SERIES,
    TIMESTAMP,
    RefusedError,
)

if TYPE_CHECKING:
    from flame_flwr.payload.decoder import Decoder
    from flame_flwr.payload.encoder import Encoder

__all__ = ["RESTORE", "pack_table"]


def pack_table() -> dict[type[Any], Any]:
    """Return how each of pandas' classes is packed, or nothing while it is not imported."""
    pd: Any = sys.modules.get("pandas")
    if pd is None:
        return {}
    return {
        **pandas_arrays.pack_table(pd),
        pd.DataFrame: _pack_frame,
        pd.Series: _pack_series,
        pd.Index: _pack_index,
        pd.CategoricalIndex: _pack_index,
        pd.DatetimeIndex: _pack_index,
        pd.IntervalIndex: _pack_index,
        pd.PeriodIndex: _pack_index,
        pd.TimedeltaIndex: _pack_index,
        pd.RangeIndex: _pack_range_index,
        pd.MultiIndex: _pack_multi_index,
        pd.Timestamp: _pack_timestamp,
        pd.Timedelta: _pack_timedelta,
        pd.Period: _pack_period,
        pd.Interval: _pack_interval,
        type(pd.NaT): _pack_missing,
        type(pd.NA): _pack_missing,
    }


def _pack_frame(frame: Any, encoder: Encoder) -> list[Any]:
    dtypes = set(frame.dtypes)
    if frame.size and len(dtypes) == 1:
        (dtype,) = dtypes
        if isinstance(dtype, np.dtype) and not dtype.hasobject:
            return [FRAME_BLOCK, frame.columns, frame.index, frame.to_numpy()]
    columns = [column(frame.iloc[:, place]) for place in range(frame.shape[1])]
    return [FRAME, frame.columns, frame.index, *columns]


def _restore_block(items: list[Any], decoder: Decoder) -> Any:
    columns, index, block = items
    if typed(block, np.ndarray).shape != (len(_index(index)), len(_index(columns))):
        raise ValueError("a frame's values do not fit its index and columns")
    if not block.size or block.dtype.kind not in _PLAIN_COLUMNS:
        raise ValueError("values that travel by columns, or that no frame holds")
    return _pandas().DataFrame(block, index=index, columns=columns, copy=False)


def _restore_frame(items: list[Any], decoder: Decoder) -> Any:
    pd = _pandas()
    columns, index, *arrays = items
    if len(_index(columns)) != len(arrays):
        raise ValueError("a frame with another number of columns than names")
    content = {
        place: pd.Series(
            restored_column(array, len(_index(index))), index=index, dtype=array.dtype, copy=False
        )
        for place, array in enumerate(arrays)
    }
    frame = pd.DataFrame(content, index=index, copy=False)
    frame.columns = columns
    return frame


def _pack_series(series: Any, encoder: Encoder) -> list[Any]:
    return [SERIES, column(series), series.index, series.name]


def _restore_series(items: list[Any], decoder: Decoder) -> Any:
    values, index, name = items
    return _pandas().Series(
        restored_column(values, len(_index(index))),
        index=index,
        dtype=values.dtype,
        name=name,
        copy=False,
    )


def _pack_index(index: Any, encoder: Encoder) -> list[Any]:
    return [INDEX, column(index), index.name, _frequency(index)]


def _restore_index(items: list[Any], decoder: Decoder) -> Any:
    values, name, frequency = items
    index = _pandas().Index(
        restored_column(values), dtype=values.dtype, name=name, copy=False, tupleize_cols=False
    )
    if frequency is not None:
        index.freq = typed(frequency, str)
    return index


def _frequency(index: Any) -> str | None:
    """Return the name of a regular index's step, if the name says all about it."""
    freq = getattr(index, "freq", None)
    if freq is None or isinstance(index, _pandas().PeriodIndex):
        return None
    try:
        known = _pandas().tseries.frequencies.to_offset(freq.freqstr) == freq
    except ValueError:
        known = False
    if not known:
        raise RefusedError(index, "Its freq has no name that says all: set .freq = None first")
    return str(freq.freqstr)


def _pack_range_index(index: Any, encoder: Encoder) -> list[Any]:
    return [RANGE_INDEX, range(index.start, index.stop, index.step), index.name]


def _restore_range_index(items: list[Any], decoder: Decoder) -> Any:
    places, name = items
    return _pandas().RangeIndex(typed(places, range), name=name)


def _pack_multi_index(index: Any, encoder: Encoder) -> list[Any]:
    # after rows were dropped, the levels may still name them
    index = index.remove_unused_levels()
    codes = [np.asarray(code) for code in index.codes]
    return [MULTI_INDEX, list(index.levels), codes, list(index.names)]


def _restore_multi_index(items: list[Any], decoder: Decoder) -> Any:
    levels, codes, names = items
    return _pandas().MultiIndex(
        levels=[checked_labels(level) for level in typed(levels, list)],
        codes=[restored_column(code) for code in typed(codes, list)],
        names=typed(names, list),
    )


def _pack_timestamp(value: Any, encoder: Encoder) -> list[Any]:
    return [TIMESTAMP, value.asm8, value.tz, value.fold]


def _restore_timestamp(items: list[Any], decoder: Decoder) -> Any:
    moment, zone, fold = items
    value = _pandas().Timestamp(typed(moment, np.datetime64))
    if zone is not None:
        value = value.tz_localize("UTC").tz_convert(checked_zone(zone))
    return value if typed(fold, int) == value.fold else value.replace(fold=fold)


def _pack_timedelta(value: Any, encoder: Encoder) -> list[Any]:
    return [PANDAS_TIMEDELTA, value.asm8]


def _restore_timedelta(items: list[Any], decoder: Decoder) -> Any:
    (span,) = items
    return _pandas().Timedelta(typed(span, np.timedelta64))


def _pack_period(value: Any, encoder: Encoder) -> list[Any]:
    return [PERIOD, value.ordinal, value.freqstr]


def _restore_period(items: list[Any], decoder: Decoder) -> Any:
    ordinal, frequency = items
    return _pandas().Period(ordinal=typed(ordinal, int), freq=typed(frequency, str))


def _pack_interval(value: Any, encoder: Encoder) -> list[Any]:
    return [INTERVAL, value.left, value.right, value.closed]


def _restore_interval(items: list[Any], decoder: Decoder) -> Any:
    left, right, closed = items
    return _pandas().Interval(left, right, closed=typed(closed, str))


def _pack_missing(value: Any, encoder: Encoder) -> list[Any]:
    return [MISSING, "NA" if type(value) is type(_pandas().NA) else "NaT"]


def _restore_missing(items: list[Any], decoder: Decoder) -> Any:
    (name,) = items
    return {"NA": _pandas().NA, "NaT": _pandas().NaT}[name]


def _index(value: Any) -> Any:
    if not isinstance(value, _pandas().Index):
        raise TypeError(f"expected an index, got {type(value).__name__}")
    return value


def _pandas() -> Any:
    return importlib.import_module("pandas")


_PLAIN_COLUMNS = "biufcmM"

RESTORE: dict[Any, Any] = {
    **pandas_arrays.RESTORE,
    FRAME: _restore_frame,
    FRAME_BLOCK: _restore_block,
    SERIES: _restore_series,
    INDEX: _restore_index,
    RANGE_INDEX: _restore_range_index,
    MULTI_INDEX: _restore_multi_index,
    TIMESTAMP: _restore_timestamp,
    PANDAS_TIMEDELTA: _restore_timedelta,
    PERIOD: _restore_period,
    INTERVAL: _restore_interval,
    MISSING: _restore_missing,
}
"""How what follows a marker becomes a value again."""
