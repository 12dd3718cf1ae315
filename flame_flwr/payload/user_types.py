"""The row for types that users teach the format, and which these are.

Registering is done once per process and never undone, see ``registration``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from flame_flwr.errors import PayloadError, text_of
from flame_flwr.payload.kinds import Kind
from flame_flwr.payload.wire_format import RefusedError

__all__ = [
    "BY_CLASS",
    "BY_NAME",
    "KINDS",
    "USER_TYPE",
    "RegisteredType",
    "is_of_the_framework",
    "is_registered",
    "to_plain",
]


def is_registered(cls: type[Any]) -> bool:
    """Tell whether exactly this class was registered."""
    return cls in BY_CLASS


def to_plain(value: object) -> Any:
    """Turn an object of a registered class into the value that travels for it."""
    return BY_CLASS[type(value)].to(value)


def is_of_the_framework(name: str) -> bool:
    """Tell whether a name on the wire is that of a class of the framework's own.

    Users may register any name, so it is the class that counts, and not what it is called.
    """
    entry = BY_NAME.get(name) or _of_the_framework(name)
    return entry is not None and entry.cls.__module__.startswith(f"{_MODULES[0]}.")


def _pack(value: object) -> list[Any]:
    try:
        plain = to_plain(value)
    except RefusedError:
        raise
    except Exception as error:
        raise RefusedError(
            value,
            f"The `to` that register_type got for it raised {type(error).__name__}: mend it there",
        ) from error
    return [BY_CLASS[type(value)].name, plain]


def _restore(name: str, plain: Any) -> object:
    entry = BY_NAME.get(name) or _of_the_framework(name)
    if entry is None:
        raise PayloadError(
            f"The payload holds a value of a registered type, {name[:100]!r}, that this side "
            "does not know. Call register_type for it, under the same name, in a module that "
            "both sides import."
        )
    try:
        return entry.restore(plain)
    except Exception as error:
        raise PayloadError(
            f"The `restore` that register_type got for {entry.name} raised "
            f"{type(error).__name__}: mend it, or the two sides differ.",
            detail=text_of(error) or None,
        ) from error


def _of_the_framework(name: str) -> RegisteredType | None:
    """Import the module of ours whose types have such names; a new process may not have it yet."""
    # Of a list: with a name of its choice a sender could have any module imported, and run.
    module, colon, _ = name.partition(":")
    if colon and module in _MODULES:
        import_module(module)
    return BY_NAME.get(name)


class RegisteredType(NamedTuple):
    """A class that was registered."""

    cls: type[Any]
    name: str
    to: Callable[[Any], object]
    restore: Callable[[Any], Any]


BY_CLASS: dict[type[Any], RegisteredType] = {}
BY_NAME: dict[str, RegisteredType] = {}
_MODULES = ("flame_flwr.statistics",)

USER_TYPE = Kind(100, (), _pack, _restore, (str, object), screened=True, cost=1024)
"""Classes come and go with `register_type`: ``table`` finds this row for them."""

KINDS = (USER_TYPE,)
