"""The checks that every kind needs: on the way in, and on the way out."""

from __future__ import annotations

from typing import Any, TypeVar

from msgpack import ExtType

from flame_flwr.payload.wire_format import MAX_DEPTH, RefusedError, TooDeepError

__all__ = ["BYTEARRAY", "screen", "typed"]

T = TypeVar("T")

BYTEARRAY = 9
"""The code of a ``bytearray``, the one kind that is tagged here and not by the packer."""


def screen(value: Any) -> Any:
    """Look through lists and dicts for what msgpack would pack as if it were plain bytes.

    msgpack takes a ``bytearray`` and a ``memoryview`` for bytes, and an ``ExtType`` for its
    own. The first gets its tag here, in a copy of the containers around it; the others are
    refused. Whatever is no list or dict is looked at when the packer hands it back.

    Parameters
    ----------
    value : list or dict
        The container to look through.

    Returns
    -------
    list or dict
        The same container, or, where it holds a bytearray, a copy.
    """
    stack = [(value, 0)]
    while stack:
        container, depth = stack.pop()
        # By the set of types: a list of a million numbers is looked through at C's speed.
        if type(container) is dict:
            kinds = {*map(type, container), *map(type, container.values())}
            inner = container.values()
        else:
            kinds = {*map(type, container)}
            inner = container
        if not kinds.isdisjoint(_DISGUISED):
            return _tagged(value)
        if list in kinds or dict in kinds:
            if depth >= MAX_DEPTH:
                raise TooDeepError
            stack.extend(
                (item, depth + 1) for item in inner if type(item) is list or type(item) is dict
            )
    return value


def _tagged(value: Any) -> Any:
    kind = type(value)
    if kind is bytearray:
        return [ExtType(BYTEARRAY, b""), value]
    if kind is list:
        return [_tagged(item) for item in value]
    if kind is dict:
        return {_tagged(key): _tagged(item) for key, item in value.items()}
    if kind in _DISGUISED:
        raise RefusedError(value)
    return value


def typed(value: object, cls: type[T]) -> T:
    """Return what arrived if it is exactly of this type, else raise TypeError."""
    if type(value) is not cls:
        raise TypeError(f"expected {cls.__name__}, got {type(value).__name__}")
    return value


_DISGUISED = frozenset({bytearray, memoryview, ExtType})
