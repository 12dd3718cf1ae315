"""Payloads as Flower's arrays: what Flower itself reads and writes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.compat.common.recorddict_compat import (
    arrayrecord_to_parameters,
    parameters_to_arrayrecord,
)

from flame_flwr.errors import PayloadError
from flame_flwr.payload import (
    Payload,
    array_from_npy,
    decode,
    encode,
    from_arrays,
    from_record,
    npy_bytes,
    to_arrays,
    to_record,
)

VALUE = {
    "weights": np.arange(9000.0).reshape(90, 100),
    "by columns": np.asfortranarray(np.arange(9000.0, dtype="f4").reshape(90, 100)),
    "strided": np.arange(9000.0)[::2],
    "days": np.zeros(3000, "M8[D]"),
    "swapped": np.arange(3000, dtype=">i8"),
    "table": np.ones(3000, [("a", "f8"), ("b", "i2")]),
    "n": 42,
}


def test_a_record_is_what_flower_reads():
    payload = encode(VALUE)
    record = to_record(payload)

    assert list(record) == [str(place) for place in range(7)]
    assert record["0"].numpy().tobytes() == payload.header
    for place, array in enumerate(payload.arrays, 1):
        entry = record[str(place)]
        assert entry.stype == "numpy.ndarray"
        assert entry.dtype == str(array.dtype)
        assert entry.shape == array.shape
        np.testing.assert_array_equal(entry.numpy(), array)


def test_records_by_way_of_flowers_parameters(same):
    record = to_record(encode(VALUE))
    parameters = arrayrecord_to_parameters(record, keep_input=True)
    back = parameters_to_arrayrecord(parameters, keep_input=True)

    assert back["1"].dtype == ""
    assert same(VALUE, decode(from_record(back)))


def test_what_a_numpy_client_returns(same):
    parameters = ndarrays_to_parameters(to_arrays(encode(VALUE)))
    arrays = parameters_to_ndarrays(parameters)

    assert same(VALUE, decode(from_arrays(arrays)))
    assert same(VALUE, decode(from_arrays([array_from_npy(t) for t in parameters.tensors])))


def test_a_record_that_flower_made_of_arrays(same):
    arrays = to_arrays(encode(VALUE))
    record = ArrayRecord({str(place): Array(array) for place, array in enumerate(arrays)})

    assert same(VALUE, decode(from_record(record)))


def test_keys_are_in_numerical_order(same):
    value = [np.full(3000, place) for place in range(12)]
    record = to_record(encode(value))
    shuffled = ArrayRecord({key: record[key] for key in sorted(record)})

    assert list(shuffled)[:4] == ["0", "1", "10", "11"]
    assert same(value, decode(from_record(shuffled)))


@pytest.mark.parametrize(
    "array",
    [
        *(np.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3).T),
        *(np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2), np.array(5.0), np.array([])),
        *(np.empty((0, 3)), np.zeros(3, "S0"), np.array(["a", "bc"])),
        *(np.array(["2020-01-01"], "M8[ns]"), np.arange(3, dtype=">f8")[::-1], np.zeros(2, "V5")),
        np.array([True, False]),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_npy_bytes_are_numpys(array):
    data = npy_bytes(array)
    expected = io.BytesIO()
    np.save(expected, array)
    result = array_from_npy(data)

    assert data == expected.getvalue()
    assert result.dtype == array.dtype
    assert result.flags.f_contiguous or not array.flags.f_contiguous
    assert not result.flags.writeable
    np.testing.assert_array_equal(result, array)


def test_the_arrays_of_a_record_are_views():
    record = to_record(encode(VALUE))
    payload = from_record(record)

    assert not payload.arrays[0].flags.owndata
    assert np.shares_memory(payload.arrays[0], np.frombuffer(record["1"].data, np.uint8))


@pytest.mark.parametrize("dtype", ["O", [("a", "f8")]], ids=str)
def test_arrays_that_have_no_npy_form(dtype):
    with pytest.raises(PayloadError, match="send what encode"):
        npy_bytes(np.zeros(2, dtype))


HEADER = Array(np.frombuffer(encode(1).header, np.uint8))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "there are no arrays"),
        ({"_empty": Array("", (), "numpy.ndarray", b"")}, "there are no arrays"),
        *(({"a": HEADER}, 'not named "0", "1"'), ({"1": HEADER}, 'not named "0", "1"')),
        ({"0": HEADER, "2": HEADER}, 'not named "0", "1"'),
        ({"0": Array("", (), "numpy.ndarray", b"")}, "is not valid"),
        ({"0": Array(np.zeros(3))}, "does not hold a header's bytes"),
        ({"0": Array(np.zeros((3, 3), np.uint8))}, "does not hold a header's bytes"),
    ],
)
def test_records_that_are_no_payload(record, message):
    with pytest.raises(PayloadError, match=message):
        from_record(ArrayRecord(record))


@pytest.mark.parametrize(
    "arrays",
    [[], [np.zeros(3)], [1, 2], [np.array([None])], [np.zeros(3, np.uint8), np.array([None])]],
)
def test_arrays_that_are_no_payload(arrays):
    with pytest.raises(PayloadError, match="not a payload of flame-flwr"):
        from_arrays(arrays)


def test_arrays_of_another_program():
    with pytest.raises(PayloadError, match="Both sides must run flame-flwr"):
        decode(from_arrays([np.zeros(30, np.uint8)]))


@pytest.mark.parametrize(("version", "side"), [(2, "on this side"), (0, "on the side that sent")])
def test_another_wire_version_says_who_must_upgrade(version, side):
    header = bytearray(encode([1, 2]).header)
    header[7] = version

    with pytest.raises(PayloadError, match=f"wire version {version}, .* {side}"):
        decode(Payload(bytes(header)))
