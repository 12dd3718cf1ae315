"""A table that another pandas has written: the same values, in the types of the pandas here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from flame_flwr.errors import PayloadError
from flame_flwr.payload import Payload, decode, encode, time_zones

from .forging import forged, wire

WRITTEN = Path(__file__).with_name("written")
BERLIN = ZoneInfo("Europe/Berlin")
TEXTS = ["a", None, "ä", ""]
HOURS = [datetime(2024, 10, 26, 23, tzinfo=UTC) + timedelta(hours=number) for number in range(4)]


def table():
    """What `encode` was called with: under pandas 3.1 with ``str``, under pandas 2.2 without."""
    frame = pd.DataFrame(
        {
            "text": pd.Series(TEXTS),
            "string": pd.Series(TEXTS, dtype="string"),
            "category": pd.Categorical(["b", "a", None, "b"], ["b", "a"]),
            "whole": pd.Series([1, None, 3, 2**62 + 1], dtype="Int64"),
            "yes": pd.Series([True, None, False, True], dtype="boolean"),
            "real": [1.5, np.nan, np.inf, -0.0],
            "object": pd.Series([1, "x", None, 2.5], dtype=object),
            "month": pd.period_range("2020-01", periods=4, freq="M"),
            "band": pd.interval_range(0, 4),
            "span": pd.to_timedelta([1, None, 3, 4], unit="s"),
            "utc": pd.to_datetime(HOURS),
            "berlin": pd.to_datetime(HOURS).tz_convert("Europe/Berlin"),
        }
    )
    places = [["x", "x", "y", "y"], [1, 2, 1, 2]]
    return frame.set_axis(pd.MultiIndex.from_arrays(places, names=["k", None]))


def plain(values):
    return [None if pd.isna(value) else value for value in values]


@pytest.mark.parametrize("name", ["pandas-2.2.0", "pandas-3.1.1"])
def test_a_table_of_another_pandas_keeps_values(name):
    frame = decode(Payload((WRITTEN / f"{name}.msgpack").read_bytes(), ()))

    assert frame.index.tolist() == [("x", 1), ("x", 2), ("y", 1), ("y", 2)]
    assert list(frame.index.names) == ["k", None]
    assert plain(frame["text"]) == TEXTS
    assert plain(frame["string"]) == TEXTS
    assert plain(frame["category"]) == ["b", "a", None, "b"]
    assert frame["category"].cat.categories.tolist() == ["b", "a"]
    assert plain(frame["whole"]) == [1, None, 3, 2**62 + 1]
    assert plain(frame["yes"]) == [True, None, False, True]
    assert plain(frame["real"]) == [1.5, None, np.inf, 0.0]
    assert plain(frame["object"]) == [1, "x", None, 2.5]
    assert frame["month"].astype(str).tolist() == ["2020-01", "2020-02", "2020-03", "2020-04"]
    assert [(band.left, band.right) for band in frame["band"]] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert plain(frame["span"].dt.total_seconds()) == [1, None, 3, 4]
    for name in ("utc", "berlin"):  # by the clock: Python never calls ambiguous hours equal
        assert [each.timestamp() for each in frame[name]] == [each.timestamp() for each in HOURS]
    assert [each.isoformat() for each in frame["berlin"]] == [
        each.astimezone(BERLIN).isoformat() for each in HOURS
    ]


def test_its_columns_have_dtypes_of_this_pandas():
    here, files = table(), sorted(WRITTEN.iterdir())
    assert len(files) >= 2
    for path in files:
        frame = decode(Payload(path.read_bytes(), ()))
        pd.concat([here, frame])  # and can be put together with one of here
        kinds = {name: dtype.kind for name, dtype in here.dtypes.items()}
        assert {name: dtype.kind for name, dtype in frame.dtypes.items()} == kinds
        assert frame["text"].str.upper().tolist()[2] == "Ä"
        assert str(frame["berlin"].dt.tz) == "Europe/Berlin"


def test_texts_are_objects_before_pandas_2_3(monkeypatch):
    """Before pandas 2.3, ``StringDtype`` has no ``na_value``."""
    data = (WRITTEN / "pandas-3.1.1.msgpack").read_bytes()
    kind = pd.StringDtype

    class Older(kind):
        def __init__(self, storage=None):
            super().__init__(storage)

    monkeypatch.setattr(pd, "StringDtype", Older)
    text = decode(Payload(data, ()))["text"]
    assert text.dtype == object
    assert plain(text) == TEXTS


def zones_of_pytz():
    pytz = pytest.importorskip("pytz")
    berlin = pytz.timezone("Europe/Berlin")
    local = datetime(2024, 10, 27, 2, 30)
    return {
        "summer": berlin.localize(local, is_dst=True),
        "winter": berlin.localize(local, is_dst=False),
        "dublin": pytz.timezone("Europe/Dublin").localize(local, is_dst=True),
        "utc": pytz.utc.localize(local),
        "offset": local.replace(tzinfo=pytz.FixedOffset(-90)),
        "stamp": pd.Timestamp(local).tz_localize(berlin, ambiguous=True),
    }


def test_zones_of_pytz_arrive_as_those_of_zoneinfo(monkeypatch):
    moments = zones_of_pytz()
    monkeypatch.setattr(time_zones, "_pytz", lambda: None)
    found = decode(encode(moments))
    assert list(found) == list(moments)
    for name, moment in found.items():
        assert moment.timestamp() == moments[name].timestamp(), name
        assert moment.utcoffset() == moments[name].utcoffset(), name
        assert type(moment.tzinfo).__module__ in ("zoneinfo", "datetime"), name


def test_zones_of_pytz_come_back_where_used(monkeypatch):
    pytz = pytest.importorskip("pytz")
    moments = zones_of_pytz()
    monkeypatch.setattr(time_zones, "_pytz", lambda: pytz)
    found = decode(encode(moments))
    assert list(found) == list(moments)
    for name, moment in found.items():
        assert moment == moments[name], name
        assert repr(moment) == repr(moments[name]), name


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "No/Where", "", 10**9, 1.5, None]
)
def test_forged_zones_of_pytz_are_refused(name, monkeypatch):
    pytz = pytest.importorskip("pytz")
    monkeypatch.setattr(time_zones, "_pytz", lambda: pytz)
    with pytest.raises(PayloadError):
        decode(forged([wire.PYTZ, name]))
