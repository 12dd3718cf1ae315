"""Any result as Flower arrays and a small header, and back: the one wire format.

For what travels between nodes, both ways. Not for storing results: the format says
nothing about versions of the packages whose objects it carries.

`encode` makes a `Payload` of a value and `decode` the value of a payload; the value
survives exactly, with its types. `to_arrays`, `to_record` and their counterparts are the
payload's shapes in Flower. Bytes from outside are taken as hostile. Nothing is pickled
unless both sides allow it.
"""

from __future__ import annotations

from flame_flwr.payload.codec import Payload, decode, encode
from flame_flwr.payload.describe import describe
from flame_flwr.payload.npy import array_from_npy, npy_bytes
from flame_flwr.payload.records import from_arrays, from_record, to_arrays, to_record
from flame_flwr.payload.registration import register_type
from flame_flwr.payload.wire_format import INLINE_LIMIT, WIRE_VERSION

__all__ = [
    "INLINE_LIMIT",
    "WIRE_VERSION",
    "Payload",
    "array_from_npy",
    "decode",
    "describe",
    "encode",
    "from_arrays",
    "from_record",
    "npy_bytes",
    "register_type",
    "to_arrays",
    "to_record",
]
