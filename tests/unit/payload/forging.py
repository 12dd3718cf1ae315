"""Payloads that no encoder makes: headers that say just this, markers included."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from msgpack import ExtType, Packer

from flame_flwr.payload import Payload
from flame_flwr.payload.wire import MAGIC, WIRE_VERSION

_NAMES = {
    1: "TUPLE SET FROZENSET ORDERED_DICT COUNTER DEFAULT_DICT BIG_INT COMPLEX BYTEARRAY DATETIME "
    "DATE TIME TIMEDELTA TIMEZONE ZONE_INFO DECIMAL UUID RANGE PYTZ",
    30: "ARRAY BULK SCALAR TEXT_SCALAR MASKED_ARRAY MASKED",
    50: "FRAME FRAME_BLOCK SERIES INDEX RANGE_INDEX MULTI_INDEX OBJECTS NULLABLE STRINGS "
    "CATEGORICAL MOMENTS PERIODS INTERVALS TIMESTAMP PANDAS_TIMEDELTA PERIOD INTERVAL MISSING "
    "NUMPY_EXTENSION",
    80: "SPARSE",
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
