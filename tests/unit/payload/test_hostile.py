"""Bytes from outside give a value or a PayloadError: no crash, no memory, no code run."""

from __future__ import annotations

import os
import pickle
import struct
from collections import Counter, OrderedDict, defaultdict
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgpack import ExtType
from sklearn.linear_model import LogisticRegression

from flame_flwr.errors import PayloadError
from flame_flwr.payload import Payload, decode, encode
from flame_flwr.payload.dtypes import dtype_from_spec
from flame_flwr.payload.numpy_types import check_shape

from .forging import START, forged, little_memory, refused, wire

ROWS = pd.date_range("2020", periods=3, tz="Europe/Berlin")
SAMPLES = {
    "python": {
        "plain": [1, -5, 2.5, None, True, "text", b"raw", bytearray(b"own")],
        (1, "k"): (1, {2}, frozenset({3}), OrderedDict(a=1), Counter("ab"), defaultdict(list)),
        "numbers": [2**100, 1j, Decimal("1.5"), UUID(int=7), range(5)],
        "times": [datetime(2020, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), date(2020, 1, 1)],
        "more": [time(1, tzinfo=UTC), timedelta(3), pd.Timestamp("2020"), pd.NaT],
    },
    "numpy": {
        "array": np.arange(6.0).reshape(2, 3).T,
        "scalar": np.float32(2),
        "table": np.zeros(2, np.dtype([("a", "i1"), ("b", "<f8", (2,))], align=True)),
        "masked": np.ma.array([1, 2], mask=[0, 1]),
        "text": np.array(["a", "bc"]),
        "large": [np.zeros(5000), np.zeros(5000, "i4")],
    },
    "pandas": pd.DataFrame(
        {
            "i": pd.Series([1, None, 3], dtype="Int64"),
            "s": pd.Series(["a", None, "c"], dtype="str"),
            "c": pd.Categorical(["x", "y", "x"]),
            "t": ROWS,
            "p": pd.period_range("2020", periods=3, freq="M"),
            "v": pd.interval_range(0, 3),
            "o": pd.Series([1, "a", None], dtype=object),
        }
    ).set_axis(pd.MultiIndex.from_product([["a"], [1, 2, 3]])),
    "scipy": [
        getattr(sp, f"{kind}_array")(np.eye(3))
        for kind in ("bsr", "coo", "csr", "dia", "dok", "lil")
    ],
    "estimator": LogisticRegression().fit([[0.0], [1.0]], [0, 1]),
}
PAYLOADS = {name: encode(value) for name, value in SAMPLES.items()}


def value_or_refusal(header: bytes, arrays: tuple[np.ndarray, ...]) -> None:
    with suppress(PayloadError):
        decode(Payload(header, arrays))


# -- damaged bytes


@pytest.mark.parametrize("name", PAYLOADS)
def test_every_cut_is_refused(name):
    payload = PAYLOADS[name]
    header = payload.header
    steps = range(0, len(header), 1 + len(header) // 1500)
    with little_memory():
        for length in steps:
            with pytest.raises(PayloadError):
                decode(Payload(header[:length], payload.arrays))


def test_bytes_after_the_end_are_refused():
    refused(Payload(PAYLOADS["python"].header + b"\xc0"), "bytes follow after its end")


@pytest.mark.parametrize("name", PAYLOADS)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_changed_bytes_give_a_value_or_a_refusal(name, data):
    payload = PAYLOADS[name]
    header = bytearray(payload.header)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(8, len(header) - 1))
        header[place] = data.draw(st.integers(0, 255))
    with little_memory():
        value_or_refusal(bytes(header), payload.arrays)


@settings(max_examples=150, deadline=None)
@given(tail=st.binary(max_size=60))
def test_any_bytes_give_a_value_or_a_refusal(tail):
    with little_memory():
        value_or_refusal(START + tail, ())
        value_or_refusal(tail, ())


MARKERS = [marker for marker in vars(wire).values() if isinstance(marker, ExtType)]
PARTS = st.one_of(
    st.sampled_from(
        [
            *(None, "<f8", "|O", "nan", "D", b"\0" * 8, 2**62, -1, [wire.RANGE, 0, 10**12, 1]),
            [wire.RANGE_INDEX, [wire.RANGE, 0, 10**12, 1], None],
            [wire.ARRAY, "<i8", [1], False, b"\0" * 8],
            [wire.ARRAY, "|i1", [2], False, b"\0\1"],
            [wire.INDEX, [wire.ARRAY, "<i8", [1], False, b"\0" * 8], None, None],
            *([wire.SCALAR, "<M8[ns]", b"\0" * 8], [wire.OBJECTS, 1]),
        ]
    ),
    st.integers(-(2**63), 2**64 - 1),
    st.text(max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(
    value=st.recursive(
        PARTS,
        lambda parts: st.builds(
            lambda marker, rest: [marker, *rest],
            st.sampled_from(MARKERS),
            st.lists(parts, max_size=5),
        ),
        max_leaves=8,
    )
)
def test_any_markers_give_a_value_or_a_refusal(value):
    with little_memory():
        value_or_refusal(forged(value).header, ())


# -- sizes


def test_nested_lists_that_claim_millions_of_elements():
    header = START + b"\xdd\x00\x98\x96\x80" * 500
    refused(Payload(header), "OutOfData")

    inside = START + b"\xdd\x00\x00\x10\x00" * 500 + b"\xc0" * 4000
    refused(Payload(inside), "OutOfData")


@pytest.mark.parametrize(
    "claim", [b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\x7f\xff\xff\xff"]
)
def test_a_claim_of_gigabytes(claim):
    refused(Payload(START + claim + b"abc"), "OutOfData")


def test_nesting_deeper_than_msgpack_goes():
    refused(Payload(START + b"\x91" * 100_000 + b"\xc0"), "not a valid payload")
    deep = b"\x92" + struct.pack(">Bbb", 0xC7, 0, wire.TUPLE.code)
    refused(Payload(START + deep * 2000 + b"\xc0"), "not a valid payload")


@pytest.mark.parametrize(
    ("spec", "shape", "raw"),
    [
        *(("<f8", [2_000_000_000], b"\0" * 8), ("<f8", [2], b"\0" * 8), ("<f8", [0, 2**40], b"")),
        *(("|S0", [2**40], b""), ("|V0", [2**25], b""), ("<f8", [-1, -1], b"\0" * 8)),
        *(("<f8", [2**40] * 60, b""), ("<f8", [1] * 70, b"\0" * 8), ("<f8", [[1]], b"\0" * 8)),
        *(("<f8", [True], b"\0" * 8), ("<f8", [1.0], b"\0" * 8), ("<f8", 1, b"\0" * 8)),
        *(("<f8", [1], "\0" * 8), ("|O", [1], b"\0" * 8), ("object", [1], b"\0" * 8)),
        *(("f8,O", [1], b"\0" * 16), ("=O", [1], b"\0" * 8), ("|T16", [1], b"\0" * 16)),
        ("<f7", [1], b"\0" * 7),
        ([8, False, False, [["a", 0, None, "|O", []]]], [1], b"\0" * 8),
        ([8, False, False, [["a", 4, None, "<f8", []]]], [1], b"\0" * 8),
        ([8, False, False, [["a", 0, None, "|i1", [2**40]]]], [1], b"\0" * 8),
        ([8, False, False, 5], [1], b"\0" * 8),
    ],
)
def test_arrays_that_claim_what_is_not_there(spec, shape, raw):
    refused(forged([wire.ARRAY, spec, shape, False, raw]), "not a valid payload")


@pytest.mark.parametrize("spec", ["|O", "object", "f8,f8", "f8", "numpy.float64", "=l"])
def test_only_spellings_that_are_written_are_read(spec):
    with pytest.raises(ValueError, match="not a dtype that travels"):
        dtype_from_spec(spec)


def test_object_arrays_have_no_shape_that_fits():
    with pytest.raises(ValueError, match="arrays of objects"):
        check_shape((1,), np.dtype(object), 8)


def test_labels_without_bytes_that_claim_to_be_many():
    many = [wire.RANGE_INDEX, [wire.RANGE, 0, 10**12, 1], None]
    codes = [wire.ARRAY, "|i1", [2], False, b"\0\1"]

    refused(forged([wire.CATEGORICAL, codes, many, False]), "takes more memory")
    refused(forged([wire.MULTI_INDEX, [many], [codes], [None]]), "takes more memory")
    refused(forged([wire.FRAME, many, many]), "takes more memory")
    refused(forged([wire.SERIES, codes, many, None]), "takes more memory")
    refused(forged([wire.ARRAY, "<f8", many, False, b""]), "takes more memory")
    one, some = ([wire.RANGE_INDEX, [wire.RANGE, 0, end, 1], None] for end in (1, 10**6))
    assert "another length" in refused(forged([wire.FRAME, one, some, codes])).detail


def test_values_that_no_frame_holds():
    one = [wire.RANGE_INDEX, [wire.RANGE, 0, 1, 1], None]
    none = [wire.RANGE_INDEX, [wire.RANGE, 0, 0, 1], None]

    refused(forged([wire.FRAME_BLOCK, one, one, [wire.ARRAY, "<U1", [1, 1], False, b"a\0\0\0"]]))
    refused(forged([wire.FRAME_BLOCK, none, one, [wire.ARRAY, "<f8", [1, 0], False, b""]]))
    refused(forged([wire.FRAME_BLOCK, one, one, [wire.ARRAY, "<f8", [1], False, b"\0" * 8]]))


def test_sparse_arrays_that_point_outside():
    data = [wire.ARRAY, "<f8", [1], False, b"\0" * 8]

    def places(*numbers):
        return [
            wire.ARRAY,
            "<i4",
            [len(numbers)],
            False,
            struct.pack(f"<{len(numbers)}i", *numbers),
        ]

    for name in ("csr_array", "csc_matrix", "lil_array"):
        refused(forged([wire.SPARSE, name, [2, 2], data, places(5), places(0, 1, 1)]))
        refused(forged([wire.SPARSE, name, [2, 2], data, places(-1), places(0, 1, 1)]))
        refused(forged([wire.SPARSE, name, [2, 2], data, places(0), places(0, 9, 1)]))
        refused(forged([wire.SPARSE, name, [10**12, 10**12], data, places(0), places(0, 1, 1)]))
        refused(forged([wire.SPARSE, name, [2, 2], data, data, places(0, 1, 1)]))
        # with 0 places in all scipy does not look at the others: its compiled code wrote there
        for rows in (places(0, 1, 0), places(0, 9, 0), places(0, -9, 0), places(1, 1, 1)):
            refused(forged([wire.SPARSE, name, [2, 2], data, places(0), rows]), "do not follow")
    block = [wire.ARRAY, "<f8", [1, 1, 1], False, b"\0" * 8]
    refused(forged([wire.SPARSE, "bsr_array", [2, 2], block, places(0), places(0, 1, 0)]))
    for name in ("coo_array", "dok_matrix"):
        refused(forged([wire.SPARSE, name, [2, 2], data, places(0), places(7)]))
    refused(forged([wire.SPARSE, "dia_array", [2, 2], data, places(0, 1, 2)]))
    refused(forged([wire.SPARSE, "random_array", [2, 2], data, data]))


# -- places and markers


def test_an_array_may_be_used_once_only():
    large = np.zeros(5000)
    bulk = [wire.BULK, 0, None]

    refused(forged([bulk, bulk], (large,)), "mentions an array twice")
    refused(forged([[wire.BULK, 1, None]], (large,)), "mentions an array that is not there")
    refused(forged([[wire.BULK, -1, None]], (large,)), "mentions an array that is not there")
    refused(forged([1], (large,)), "arrays that its header does not mention")
    refused(forged(bulk, (np.array([None]),)), "no plain array")
    refused(forged([wire.BULK, 0, "<i2"], (large,)), "not a valid payload")
    refused(forged([wire.PICKLE, 0], (large,)), "holds a pickle")


@pytest.mark.parametrize(
    "value",
    [
        *(wire.TUPLE, [1, wire.TUPLE], {"a": wire.TUPLE}, {wire.TUPLE: 1}),
        *([wire.TUPLE, wire.SET], [[wire.TUPLE], wire.SET]),
    ],
)
def test_a_marker_where_none_belongs(value):
    refused(forged(value), "marker outside of a tagged list")


@pytest.mark.parametrize("marker", [ExtType(0, b""), ExtType(127, b""), ExtType(1, b"x")])
def test_a_marker_of_no_kind(marker):
    refused(forged([marker, 1]), "marker of an unknown kind")


@pytest.mark.parametrize(
    "value",
    [
        [wire.SET, [1]],
        {"a": {"b": [wire.SET, {}]}},
        [wire.ORDERED_DICT, 5],
        [wire.COUNTER, "abc"],
        [wire.DEFAULT_DICT, "eval", {}],
        [wire.BIG_INT, 5],
        [wire.COMPLEX, 1, 2.0],
        [wire.DATETIME, 2020, 13, 1, 0, 0, 0, 0, 0, None],
        [wire.DATETIME, b"\x07\xe4\x01\x01\xff\xff\xff\0\0\0"],
        [wire.TIME, 99, 0, 0, 0, 0, None],
        [wire.TIMEDELTA, 10**10, 0, 0],
        [wire.TIMEZONE, [wire.TIMEDELTA, 5, 0, 0], None],
        [wire.ZONE_INFO, "../../etc/passwd"],
        [wire.DECIMAL, "many"],
        [wire.DECIMAL, [1]],
        [wire.UUID, b"short"],
        [wire.RANGE, 0, 1, 0],
        [wire.MISSING, "__class__"],
        [wire.STRINGS, "python", "nan", ["a", 5]],
        [wire.PERIODS, [wire.ARRAY, "<i8", [1], False, b"\0" * 8], "no such step"],
        [wire.TIMESTAMP, [wire.SCALAR, "<M8[ns]", b"\0" * 8], "dateutil//etc/passwd", 0],
        [wire.TIMESTAMP, [wire.SCALAR, "<M8[ns]", b"\0" * 8], "Europe/Berlin", 0],
        [wire.MOMENTS, [wire.ARRAY, "<M8[ns]", [1], False, b"\0" * 8], "Europe/Berlin"],
        [wire.ESTIMATOR, b"no archive"],
        [wire.USER_TYPE, "os.system", "true"],
        [wire.TEXT_SCALAR, 5],
        [wire.MASKED, 1],
        [
            wire.MASKED_ARRAY,
            [wire.ARRAY, "|i1", [1], False, b"a"],
            None,
            [wire.RANGE, 0, 9, 1],
            False,
        ],
    ],
    ids=lambda value: "",
)
def test_parts_that_do_not_fit_their_kind(value):
    refused(forged(value))


def test_invalid_text_is_refused():
    refused(Payload(START + b"\xa2\xff\xfe"), "UnicodeDecodeError")


def test_a_pickle_does_not_run_without_permission(tmp_path):
    witness = tmp_path / "ran"

    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(witness),)

    bytes_ = pickle.dumps(Attack())
    refused(forged([wire.PICKLE, bytes_]), "holds a pickle")
    refused(forged({"a": [(wire.PICKLE, bytes_)]}), "holds a pickle")
    assert not witness.exists()

    decode(forged([wire.PICKLE, bytes_]), allow_pickle=True)
    assert witness.exists()
