"""Payloads that no encoder makes: headers that say just this, markers included."""

from __future__ import annotations

import struct
import tracemalloc
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgpack import ExtType, Packer

from flame_flwr.errors import PayloadError
from flame_flwr.payload import Payload, decode
from flame_flwr.payload.wire_format import MAGIC, WIRE_VERSION

_NAMES = {
    1: "TUPLE SET FROZENSET ORDERED_DICT COUNTER DEFAULT_DICT BIG_INT COMPLEX BYTEARRAY DATETIME "
    "DATE TIME TIMEDELTA TIMEZONE ZONE_INFO DECIMAL UUID RANGE PYTZ",
    30: "ARRAY BULK SCALAR TEXT_SCALAR MASKED_ARRAY MASKED",
    50: "FRAME FRAME_BLOCK SERIES INDEX RANGE_INDEX MULTI_INDEX OBJECTS NULLABLE STRINGS "
    "CATEGORICAL MOMENTS PERIODS INTERVALS TIMESTAMP PANDAS_TIMEDELTA PERIOD INTERVAL MISSING "
    "NUMPY_EXTENSION",
    80: "SPARSE",
    85: "SPARSE_CHANGE",
    90: "ESTIMATOR",
    100: "USER_TYPE",
    110: "PICKLE",
}
CODES = {
    name: code
    for first, names in _NAMES.items()
    for code, name in enumerate(names.split(), start=first)
}
"""What each code means for ever; written a second time here, so that none is given away."""

wire: Any = SimpleNamespace(**{name: ExtType(code, b"") for name, code in CODES.items()})
"""The markers, by name."""

START = b"\x93\xa5flame\x01"
"""How every header begins."""


def forged(value: object, arrays: tuple[np.ndarray, ...] = ()) -> Payload:
    packer = Packer(strict_types=True, default=list)
    return Payload(packer.pack([MAGIC, WIRE_VERSION, value]), arrays)


@contextmanager
def little_memory(limit: int = 20 * 2**20):
    """Fail if more than ``limit`` bytes are ever taken at once within."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit


def refused(payload: Payload, message: str | None = None) -> PayloadError:
    with little_memory(), pytest.raises(PayloadError, match=message) as caught:
        decode(payload)
    return caught.value


def npy(header: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode("latin-1")
    width = "<H" if version == b"\x01\x00" else "<I"
    return b"\x93NUMPY" + version + struct.pack(width, len(text)) + text + body


GOOD = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n"
"""The header of an array of one number."""
