"""The rows for pandas frames, series, indexes and scalars.

pandas is never imported to pack: a value of its types means that it is imported already.
Left out are ``attrs``, ``flags`` and the levels of a MultiIndex that none of its entries
uses; subclasses are refused. The arrays inside columns are in ``pandas_arrays``.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import numpy as np

from flame_flwr.payload.kinds import Choice, Kind
from flame_flwr.payload.pandas_arrays import (
    checked_column,
    checked_labels,
    checked_lookup,
    checked_zone,
    column,
    labels_cost,
    pandas,
    restored_column,
)
from flame_flwr.payload.screening import typed
from flame_flwr.payload.wire_format import RefusedError

__all__ = ["KINDS"]


def _pack_frame(frame: Any) -> list[Any]:
    columns = [column(frame.iloc[:, place]) for place in range(frame.shape[1])]
    return [frame.columns, frame.index, *columns]


def _restore_frame(items: list[Any]) -> Any:
    columns, index, *arrays = items
    if len(_index(columns)) != len(arrays):
        raise ValueError("a frame with another number of columns than names")
    content = {
        place: pandas().Series(
            checked_column(restored_column(array, len(_index(index)))),
            index=index,
            dtype=array.dtype,
            copy=False,
        )
        for place, array in enumerate(arrays)
    }
    frame = pandas().DataFrame(content, index=index, copy=False)
    frame.columns = columns  # now, as two columns of one name would be one key of `content`
    return frame


def _kind_of_frame(frame: Any) -> Kind:
    dtypes = set(frame.dtypes)
    if not frame.size or len(dtypes) > 1:
        return FRAME
    (dtype,) = dtypes
    return FRAME_BLOCK if isinstance(dtype, np.dtype) and not dtype.hasobject else FRAME


def _pack_block(frame: Any) -> list[Any]:
    return [frame.columns, frame.index, frame.to_numpy()]


def _restore_block(columns: Any, index: Any, block: Any) -> Any:
    if block.shape != (len(_index(index)), len(_index(columns))):
        raise ValueError("a frame's values do not fit its index and columns")
    # pandas makes objects of other kinds, such as texts, one by one: they travel by columns.
    if not block.size or block.dtype.kind not in _PLAIN_COLUMNS:
        raise ValueError("values that travel by columns, or that no frame holds")
    for values in block.T:
        checked_column(values)
    return pandas().DataFrame(block, index=index, columns=columns, copy=False)


def _pack_series(series: Any) -> list[Any]:
    return [column(series), series.index, series.name]


def _restore_series(values: Any, index: Any, name: Any) -> Any:
    values = checked_column(restored_column(values, len(_index(index))))
    return pandas().Series(values, index=index, dtype=values.dtype, name=name, copy=False)


def _pack_index(index: Any) -> list[Any]:
    return [column(index), index.name, _frequency(index)]


def _restore_index(values: Any, name: Any, frequency: Any) -> Any:
    values = checked_lookup(restored_column(values))
    index = pandas().Index(values, dtype=values.dtype, name=name, copy=False, tupleize_cols=False)
    if frequency is not None:
        index.freq = typed(frequency, str)
    return index


def _frequency(index: Any) -> str | None:
    """Return the name of a regular index's step, if the name says all about it."""
    freq = getattr(index, "freq", None)
    if freq is None or isinstance(index, pandas().PeriodIndex):
        return None
    try:
        known = pandas().tseries.frequencies.to_offset(freq.freqstr) == freq
    except ValueError:
        known = False
    if not known:
        raise RefusedError(index, "Its freq has no name that says all: set .freq = None first")
    return str(freq.freqstr)


def _pack_range_index(index: Any) -> list[Any]:
    return [range(index.start, index.stop, index.step), index.name]


def _pack_multi_index(index: Any) -> list[Any]:
    # after rows were dropped, the levels may still name them
    index = index.remove_unused_levels()
    codes = [np.asarray(code) for code in index.codes]
    return [list(index.levels), codes, list(index.names)]


def _restore_multi_index(levels: list[Any], codes: list[Any], names: list[Any]) -> Any:
    return pandas().MultiIndex(
        levels=[checked_labels(level) for level in levels],
        codes=[restored_column(code) for code in codes],
        names=names,
    )


def _restore_timestamp(moment: np.datetime64, zone: Any, fold: int) -> Any:
    value = pandas().Timestamp(moment)
    if zone is not None:
        value = value.tz_localize("UTC").tz_convert(checked_zone(zone))
    return value if fold == value.fold else value.replace(fold=fold)


def _restore_timedelta(span: np.timedelta64) -> Any:
    return pandas().Timedelta(span)


def _restore_period(ordinal: int, frequency: str) -> Any:
    return pandas().Period(ordinal=ordinal, freq=frequency)


def _restore_interval(left: Any, right: Any, closed: str) -> Any:
    return pandas().Interval(left, right, closed=closed)


def _pack_missing(value: Any) -> list[Any]:
    return ["NA" if type(value) is type(pandas().NA) else "NaT"]


def _restore_missing(name: Any) -> Any:
    return {"NA": pandas().NA, "NaT": pandas().NaT}[name]


def _cost_of_index(parts: list[Any]) -> int:
    values, _, frequency = parts
    # pandas makes a regular index anew, to see that these are its steps
    return _TABLE if frequency is None else _TABLE + 64 * len(values)


def _index(value: Any) -> Any:
    if not isinstance(value, pandas().Index):
        raise TypeError(f"expected an index, got {type(value).__name__}")
    return value


_TABLE = 4096
_PLAIN_COLUMNS = "biufcmM"
_INDEXES = (
    "pandas:Index",
    "pandas:CategoricalIndex",
    "pandas:DatetimeIndex",
    "pandas:IntervalIndex",
    "pandas:PeriodIndex",
    "pandas:TimedeltaIndex",
)
_MISSING = ("pandas:api.typing.NaTType", "pandas:api.typing.NAType")
_MOMENT = (np.datetime64, object, int)
_ANY_THREE = (object, object, object)

_ENDS = attrgetter("left", "right", "closed")
_PARTS_OF_MOMENT = attrgetter("asm8", "tz", "fold")

FRAME = Kind(50, (), _pack_frame, _restore_frame, cost=lambda items: _TABLE + 2048 * len(items))
FRAME_BLOCK = Kind(51, (), _pack_block, _restore_block, (object, object, np.ndarray), cost=_TABLE)
"""A frame of numbers of one dtype, as one array."""

KINDS = (
    FRAME,
    FRAME_BLOCK,
    Choice(("pandas:DataFrame",), _kind_of_frame),
    Kind(52, ("pandas:Series",), _pack_series, _restore_series, _ANY_THREE, cost=_TABLE),
    Kind(53, _INDEXES, _pack_index, _restore_index, _ANY_THREE, cost=_cost_of_index),
    Kind(
        54,
        ("pandas:RangeIndex",),
        _pack_range_index,
        lambda places, name: pandas().RangeIndex(places, name=name),
        (range, object),
        cost=lambda parts: 256 + 8 * len(parts[0]),  # whatever looks at it writes it out
    ),
    Kind(
        55,
        ("pandas:MultiIndex",),
        _pack_multi_index,
        _restore_multi_index,
        (list, list, list),
        cost=lambda parts: _TABLE + labels_cost(parts[0]),
    ),
    Kind(63, ("pandas:Timestamp",), _PARTS_OF_MOMENT, _restore_timestamp, _MOMENT),
    Kind(64, ("pandas:Timedelta",), lambda v: [v.asm8], _restore_timedelta, (np.timedelta64,)),
    Kind(65, ("pandas:Period",), attrgetter("ordinal", "freqstr"), _restore_period, (int, str)),
    Kind(66, ("pandas:Interval",), _ENDS, _restore_interval, (object, object, str)),
    Kind(67, _MISSING, _pack_missing, _restore_missing, (object,)),
)
"""Tables, indexes and scalars of pandas; the arrays within are in ``pandas_arrays``."""
