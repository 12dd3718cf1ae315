"""The law, for pandas: dtypes, indexes, names and missing values survive."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import pandas as pdst

from flame_flwr.payload import decode, encode, from_record, to_record

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = pd.date_range("2024-10-26 23:00", periods=4, freq="2h", tz=BERLIN)
COLUMNS = {
    "float": pd.Series([1.5, np.nan, -0.0, np.inf]),
    "f4": pd.Series([1, 2, 3, 4], dtype="f4"),
    "int8": pd.Series([1, 2, 3, 4], dtype="i1"),
    "uint64": pd.Series([1, 2, 3, 2**64 - 1], dtype="u8"),
    "bool": pd.Series([True, False, True, True]),
    "complex": pd.Series([1j, 2, 3, np.nan]),
    "str": pd.Series(["a", None, "ä\ud800", ""], dtype="str"),
    "string": pd.Series(["a", pd.NA, "c", ""], dtype="string"),
    "Int64": pd.Series([1, None, 3, 2**62 + 1], dtype="Int64"),
    "UInt8": pd.Series([1, None, 3, 255], dtype="UInt8"),
    "Float32": pd.Series([1.5, None, 3, 0], dtype="Float32"),
    "boolean": pd.Series([True, None, False, True], dtype="boolean"),
    "naive": pd.Series(pd.to_datetime(["2020-01-01", None, "2020-03-01", "1900-01-01"])),
    "seconds": pd.Series(pd.date_range("2020", periods=4, unit="s")),
    "aware": pd.Series(DAYS),
    "utc": pd.Series(pd.date_range("2020", periods=4, tz="UTC", unit="ns")),
    "offset": pd.Series(pd.date_range("2020", periods=4, tz=timezone(timedelta(hours=2)))),
    "span": pd.Series(pd.to_timedelta([1, None, 3, 4], unit="ms")),
    "period": pd.Series(pd.PeriodIndex(["2020-01", "NaT", "2020-03", "2021-01"], freq="M")),
    "interval": pd.Series(pd.IntervalIndex.from_breaks([0, 1, 2, 3, 4], closed="left")),
    "category": pd.Series(["b", None, "a", "b"], dtype=pd.CategoricalDtype(["b", "a", "c"], True)),
    "numbers as categories": pd.Series([3, 1, 3, 3], dtype="category"),
    "object": pd.Series([None, (1, "x"), np.nan, {"k": [date(2020, 1, 1)]}], dtype=object),
    "mixed": pd.Series([pd.NA, pd.NaT, Decimal("1.5"), pd.Timestamp("2020")], dtype=object),
    "texts as objects": pd.Series(["a", "b", None, "d"], dtype=object),
}
INDEXES = {
    "range": pd.RangeIndex(2, 10, 2, name="r"),
    "int": pd.Index([5, 5, -1, 0], name=("a", 1)),
    "float": pd.Index([0.5, np.nan, 1, 2]),
    "bool": pd.Index([True, False, True, True]),
    "str": pd.Index(["x", "y", None, "x"], name="texts"),
    "object": pd.Index(["x", 1, None, (1, 2)], dtype=object, tupleize_cols=False),
    "Int64": pd.Index([1, None, 3, 4], dtype="Int64"),
    "dates": DAYS.rename("when"),
    "dates without freq": pd.DatetimeIndex(["2020-01-01", "NaT", "2020-01-01", "2021-05-05"]),
    "month ends": pd.date_range("2020", periods=4, freq="ME"),
    "spans": pd.timedelta_range("1h", periods=4, freq="90min"),
    "periods": pd.period_range("2020Q1", periods=4, freq="Q-FEB", name="q"),
    "intervals": pd.interval_range(pd.Timestamp("2020"), periods=4),
    "categories": pd.CategoricalIndex(["b", "a", None, "b"], ["b", "a"], True, name="c"),
    "many": pd.MultiIndex.from_arrays(
        [["a", "a", "b", None], [1, 2, 1, 2], DAYS], names=["x", None, 3]
    ),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_series_of_every_kind(name, same, travel):
    value = COLUMNS[name].rename(name)

    assert same(value, travel(value))
    assert same(value.iloc[:0], travel(value.iloc[:0]))
    assert same(value.iloc[::-2], travel(value.iloc[::-2]))


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_of_every_kind(name, same, travel):
    index = INDEXES[name]

    assert same(index, travel(index))
    assert same(index[:0], travel(index[:0]))
    assert same(pd.Series(range(4), index), travel(pd.Series(range(4), index)))


def test_a_frame_of_every_kind(same, travel):
    frame = pd.DataFrame(COLUMNS)

    for index in INDEXES.values():
        assert same(frame.set_axis(index), travel(frame.set_axis(index)))


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame(index=pd.Index(["a", "b"])),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame({"a": [1.0]}, index=DAYS[:1]),
        pd.DataFrame(np.arange(6).reshape(3, 2), columns=["same", "same"]),
        pd.DataFrame([[1, "x", 2.0]], columns=["same", "other", "same"]),
        pd.DataFrame(np.arange(6.0).reshape(3, 2)),
        pd.DataFrame({("a", 1): [1], ("b", 2): [2.5]}),
        pd.DataFrame(
            {"d": pd.date_range("2020", periods=3), "e": pd.date_range("1950", periods=3)}
        ),
        pd.DataFrame(np.random.default_rng(1).normal(size=(400, 30))),
        pd.DataFrame({"x": np.arange(5000), "y": np.arange(5000) / 7, "z": "text"}),
        pd.DataFrame({"a": [1, 2, 3]}).rename_axis(index="rows", columns="columns"),
        pd.DataFrame({0: [1], "a": [2], None: [3]}),
    ],
    ids=range(13),
)
def test_frames(frame, same, travel):
    assert same(frame, travel(frame))


@settings(max_examples=20, deadline=None)
@given(
    frame=pdst.data_frames(
        [
            pdst.column("a", dtype=float),
            pdst.column("b", dtype="int16"),
            pdst.column("c", elements=st.text(max_size=3), dtype=object),
            pdst.column("d", dtype="datetime64[ns]"),
        ],
        index=pdst.range_indexes(max_size=5),
    )
)
def test_what_is_decoded_is_what_was_encoded(frame, same):
    payload = encode(frame)
    assert same(frame, decode(payload))
    assert same(frame, decode(from_record(to_record(payload))))


@pytest.mark.parametrize(
    "value",
    [
        *(pd.Timestamp("2020-01-01 12:34:56.123456789"), pd.Timestamp("2020-01-01").as_unit("s")),
        pd.Timestamp("2020-01-01", tz="UTC"),
        pd.Timestamp("2020-01-01", tz="America/New_York"),
        pd.Timestamp(datetime(2024, 10, 27, 2, 30, fold=1), tz=BERLIN),
        pd.Timestamp(datetime(2024, 10, 27, 2, 30, fold=0), tz=BERLIN),
        pd.Timestamp(datetime(2024, 10, 27, 2, 30, fold=1)),
        *(pd.Timestamp(datetime(9999, 1, 1, tzinfo=UTC)), pd.Timedelta("1 day 3ns")),
        *(pd.Timedelta(-3, "s"), pd.NaT, pd.NA, pd.Period("2020-05", "M")),
        *(pd.Period("2020-05-04 12:00", "3h"), pd.Interval(0, 1)),
        pd.Interval(pd.Timestamp("2020"), pd.Timestamp("2021"), closed="both"),
    ],
    ids=repr,
)
def test_scalars(value, same, travel):
    assert same(value, travel(value))
    assert same([{value: value}], travel([{value: value}]))


@pytest.mark.parametrize("name", ["Int64", "Float32", "boolean", "str", "aware", "category"])
def test_bare_arrays(name, same, travel):
    array = COLUMNS[name].array

    assert same(array, travel(array))


def test_attrs_are_left_out(travel):
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["source"] = "/data/patients.csv"

    assert travel(frame).attrs == {}


def test_labels_of_dropped_rows_do_not_travel(travel):
    index = pd.MultiIndex.from_tuples([("kept", 1), ("dropped", 2)])
    series = pd.Series([1.0, 2.0], index)[:1]

    pd.testing.assert_series_equal(travel(series), series)
    assert b"dropped" not in encode(series).header


def test_what_was_decoded_can_be_changed(travel):
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"], "c": [1, 2]})
    result = travel(frame)
    result.loc[0, "a"] = 9.0
    result["d"] = result["a"] + result["c"]

    assert result["d"].tolist() == [10.0, 4.0]
    assert frame["a"].tolist() == [1.0, 2.0]
