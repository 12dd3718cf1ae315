"""Settings of a study as text of bounded length: plain values as they are, others by their type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.payload.describe import describe
from flame_flwr.text.shown_text import cut_off

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["shown_arguments", "shown_settings"]

_LONGEST = 200
_MOST = 20


def shown_arguments(arguments: Mapping[str, Any]) -> str:
    """Return keyword arguments as they are written in Python.

    Examples
    --------
    >>> shown_arguments({"eta": 0.1, "layers": [8, 4]})
    'eta=0.1, layers=[8, 4]'
    """
    parts = [f"{name}={_shown(value)}" for name, value in list(arguments.items())[:_MOST]]
    return ", ".join([*parts, "..."] if len(arguments) > _MOST else parts)


def shown_settings(value: object) -> str:
    """Return what an object of settings says of itself, in one line."""
    return cut_off(" ".join(repr(value).split()), _LONGEST)


def _shown(value: Any) -> str:
    if _plain(value):
        return cut_off(repr(value), _LONGEST)
    if isinstance(value, type) or callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    return describe(value)


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= _MOST and all(_plain(entry) for entry in value)
    return value is None or isinstance(value, bool | int | float | str)
