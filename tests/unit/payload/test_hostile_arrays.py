"""Forged ``.npy`` bytes give an array or a PayloadError, and are never given to numpy."""

from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from flame_flwr.errors import PayloadError
from flame_flwr.payload import array_from_npy, encode, from_record, npy_bytes

from .forging import GOOD, little_memory, npy


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\x93NUMPY", b"PK\x03\x04 an archive", npy_bytes(np.zeros(3))[:-1]),
        *(npy_bytes(np.zeros(3)) + b"\0", npy_bytes(np.zeros(3))[:60]),
        npy(GOOD.replace("(1,)", "(2000000000,)"), b"\0" * 8),
        npy(GOOD.replace("(1,)", "(99999999999999999999,)"), b"\0" * 8),
        npy(GOOD.replace("(1,)", "(0, 99999999999999)")),
        npy(GOOD.replace("(1,)", "(-1,)"), b"\0" * 8),
        npy(GOOD.replace("(1,)", "(" + "1, " * 80 + "1)"), b"\0" * 8),
        npy(GOOD.replace("<f8", "|S0").replace("(1,)", "(99999999999,)")),
        npy(GOOD.replace("<f8", "|O"), b"\0" * 8),
        npy(GOOD.replace("'<f8'", "[('a', '|O')]"), b"\0" * 8),
        npy(GOOD.replace("'<f8'", "[('a', '<f8')]"), b"\0" * 8),
        npy(GOOD.replace("'<f8'", "__import__('os')"), b"\0" * 8),
        npy(GOOD.replace("<f8", "<f8,<f8"), b"\0" * 16),
        *(npy(GOOD.replace("False", "1"), b"\0" * 8), npy("(" * 5000, b"\0" * 8)),
        npy(GOOD[:-1] + " " * 20_000 + "\n", b"\0" * 8),
        *(npy(GOOD[:-2] + "1" * 9000, b"\0" * 8), npy(GOOD, b"\0" * 8, b"\x04\x00")),
        npy(GOOD, b"\0" * 8, b"\x02\x00")[:11],
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + GOOD.encode() + b"\0" * 8,
    ],
    ids=range(24),
)
def test_forged_npy_bytes(data):
    record = ArrayRecord({"0": Array("", (), "numpy.ndarray", data)})
    with little_memory(), pytest.raises(PayloadError, match="not valid"):
        array_from_npy(data)
    with little_memory(), pytest.raises(PayloadError, match="not valid"):
        from_record(record)


@pytest.mark.parametrize("version", [b"\x01\x00", b"\x02\x00", b"\x03\x00"])
def test_every_npy_version_is_read(version):
    assert array_from_npy(npy(GOOD, struct.pack("<d", 2.5), version)).tolist() == [2.5]


def test_numpy_is_not_given_a_forged_array():
    record = ArrayRecord(
        {
            "0": Array(np.frombuffer(encode(np.zeros(5000)).header, np.uint8)),
            "1": Array("<f8", (5000,), "numpy.ndarray", npy(GOOD.replace("1,", f"{2 * 10**9},"))),
        }
    )
    with little_memory(), pytest.raises(PayloadError):
        from_record(record)


@settings(max_examples=75, deadline=None)
@given(place=st.integers(0, 130), byte=st.integers(0, 255))
def test_changed_npy_bytes_give_array_or_refusal(place, byte):
    data = bytearray(npy_bytes(np.arange(3.0)))
    data[place] = byte
    with little_memory(), suppress(PayloadError):
        array_from_npy(bytes(data))
