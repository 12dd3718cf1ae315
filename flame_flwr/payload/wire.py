"""The constants of the wire format: its version, its limits and the numbers of its kinds.

The header of a payload is one msgpack document, ``["flame", WIRE_VERSION, value]``. What
msgpack knows by itself stands in it as it is. Everything else is a *tagged list*: a list
whose first element is one of the markers below (an empty msgpack extension, whose code
says which kind), followed by what that kind is made of, which may be tagged lists again.
The one extension that msgpack has itself, code -1, its ``Timestamp``, passes as it is.

A code, once released, keeps its meaning for ever; a new kind gets a new code. This
module holds no code that packs or restores: each kind's module does that.
"""

from __future__ import annotations

from typing import Any

from msgpack import ExtType

__all__ = [
    "INLINE_LIMIT",
    "MAGIC",
    "MAX_DEPTH",
    "MAX_EMPTY",
    "WIRE_VERSION",
    "RefusedError",
    "TooDeepError",
    "type_name",
]

WIRE_VERSION = 1
"""Version of the format; both sides of a federation must speak the same one."""

MAGIC = "flame"
"""First element of every header: tells a payload from any other bytes."""

INLINE_LIMIT = 16 * 1024
"""Arrays of more bytes than this travel beside the header, uncopied."""

MAX_DEPTH = 1000
"""How deep a value may be nested (msgpack's own limit is 1024, and tags need some of it)."""

MAX_EMPTY = 2**24
"""Elements, or positions along the axes, of an array that holds no bytes at all."""

# plain Python
TUPLE = ExtType(1, b"")
SET = ExtType(2, b"")
FROZENSET = ExtType(3, b"")
ORDERED_DICT = ExtType(4, b"")
COUNTER = ExtType(5, b"")
DEFAULT_DICT = ExtType(6, b"")
BIG_INT = ExtType(7, b"")
COMPLEX = ExtType(8, b"")
BYTEARRAY = ExtType(9, b"")
DATETIME = ExtType(10, b"")
DATE = ExtType(11, b"")
TIME = ExtType(12, b"")
TIMEDELTA = ExtType(13, b"")
TIMEZONE = ExtType(14, b"")
ZONE_INFO = ExtType(15, b"")
DECIMAL = ExtType(16, b"")
UUID = ExtType(17, b"")
RANGE = ExtType(18, b"")
PYTZ = ExtType(19, b"")

# numpy
ARRAY = ExtType(30, b"")
BULK = ExtType(31, b"")
SCALAR = ExtType(32, b"")
TEXT_SCALAR = ExtType(33, b"")
MASKED_ARRAY = ExtType(34, b"")
MASKED = ExtType(35, b"")

# pandas
FRAME = ExtType(50, b"")
FRAME_BLOCK = ExtType(51, b"")
SERIES = ExtType(52, b"")
INDEX = ExtType(53, b"")
RANGE_INDEX = ExtType(54, b"")
MULTI_INDEX = ExtType(55, b"")
OBJECTS = ExtType(56, b"")
NULLABLE = ExtType(57, b"")
STRINGS = ExtType(58, b"")
CATEGORICAL = ExtType(59, b"")
MOMENTS = ExtType(60, b"")
PERIODS = ExtType(61, b"")
INTERVALS = ExtType(62, b"")
TIMESTAMP = ExtType(63, b"")
PANDAS_TIMEDELTA = ExtType(64, b"")
PERIOD = ExtType(65, b"")
INTERVAL = ExtType(66, b"")
MISSING = ExtType(67, b"")
NUMPY_EXTENSION = ExtType(68, b"")

# everything else
SPARSE = ExtType(80, b"")
ESTIMATOR = ExtType(90, b"")
USER_TYPE = ExtType(100, b"")
PICKLE = ExtType(110, b"")


class RefusedError(Exception):
    """A value that has no place in the format. Internal: `encode` adds where it stands.

    Parameters
    ----------
    value : object
        What was refused.
    ways_out : str, optional
        What the user can do instead; the general advice when left out.
    """

    def __init__(self, value: object, ways_out: str | None = None) -> None:
        super().__init__(type_name(type(value)))
        self.value = value
        self.ways_out = ways_out or _WAYS_OUT


class TooDeepError(Exception):
    """A value that contains itself, or is nested deeper than `MAX_DEPTH`. Internal."""


def type_name(kind: type[Any]) -> str:
    """Return a class's full name, without ``builtins.`` in front of Python's own."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


_WAYS_OUT = (
    "Return a dict of arrays and plain values instead, teach the type with "
    'flame_flwr.payload.register_type, or declare payload="pickle" on the model '
    "(only where every party is trusted: who sends a pickle runs code at its receiver)"
)
