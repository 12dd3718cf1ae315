"""The constants of the wire format: its version and its limits.

The header of a payload is one msgpack document, ``["flame", WIRE_VERSION, value]``. What
msgpack knows by itself stands in it as it is. Everything else is a *tagged list*: a list
whose first element is a marker (an empty msgpack extension, whose code says which kind),
followed by what that kind is made of, which may be tagged lists again. The one extension
that msgpack has itself, code -1, its ``Timestamp``, passes as it is.

The kinds and their codes are rows of one table, see ``table``.
"""

from __future__ import annotations

from typing import Any

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
