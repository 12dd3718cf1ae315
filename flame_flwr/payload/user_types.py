"""Types that users teach the format with `register_type`.

For small classes of an analysis' own. The registration must run on both sides, so it
belongs beside the class, at the module's top level. Registering is done once per process
and never undone.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from flame_flwr.errors import ModelError, PayloadError, text_of
from flame_flwr.payload.screening import screen, typed
from flame_flwr.payload.wire import USER_TYPE, RefusedError, type_name

if TYPE_CHECKING:
    from flame_flwr.payload.decoder import Decoder
    from flame_flwr.payload.encoder import Encoder

__all__ = ["RESTORE", "is_registered", "pack", "register_type", "to_plain"]

T = TypeVar("T")


def register_type(
    cls: type[T],
    *,
    to: Callable[[T], object],
    restore: Callable[[Any], T],
    name: str | None = None,
) -> None:
    """Let the values of a class travel between nodes.

    Parameters
    ----------
    cls : type
        The class; its subclasses are not included.
    to : callable
        Gives, for an object, a value that can travel.
    restore : callable
        Gives the object back. What it gets may come from another party: check it.
    name : str, optional
        What the class is called on the wire; ``module.qualname`` when left out. Name it
        where the two sides import the class from different modules.

    Raises
    ------
    ModelError
        The class travels already, or the name belongs to another class.

    Examples
    --------
    >>> from dataclasses import astuple, dataclass
    >>> from flame_flwr.payload import decode, encode, register_type
    >>> @dataclass
    ... class Interval:
    ...     low: float
    ...     high: float
    >>> register_type(
    ...     Interval, to=astuple, restore=lambda pair: Interval(*pair), name="docs.Interval"
    ... )
    >>> decode(encode([Interval(0.5, 1.5)]))
    [Interval(low=0.5, high=1.5)]
    """
    from flame_flwr.payload.packers import is_known

    if is_known(cls):
        raise ModelError(f"register_type: {type_name(cls)} travels without being registered.")
    wire_name = name or type_name(cls)
    taken, known = _BY_NAME.get(wire_name), _BY_CLASS.get(cls)
    # a module that is loaded again, as Flower does it, registers a class of the same name
    if taken is not None and type_name(taken.cls) != type_name(cls):
        raise ModelError(
            f"register_type: the name {wire_name!r} of {type_name(cls)} belongs to "
            f"{type_name(taken.cls)} already. Give one of the two another name."
        )
    if known is not None and known.name != wire_name:
        raise ModelError(
            f"register_type: {type_name(cls)} is registered as {known.name!r} already, "
            f"so it cannot be {wire_name!r} too. Register it once."
        )
    _BY_NAME[wire_name] = _BY_CLASS[cls] = _Entry(cls, wire_name, to, restore)


def is_registered(cls: type[Any]) -> bool:
    """Tell whether exactly this class was registered."""
    return cls in _BY_CLASS


def to_plain(value: object) -> Any:
    """Turn an object of a registered class into the value that travels for it."""
    return _BY_CLASS[type(value)].to(value)


def pack(value: object, encoder: Encoder) -> list[Any]:
    """Turn an object of a registered class into a tagged list."""
    try:
        plain = to_plain(value)
    except RefusedError:
        raise
    except Exception as error:
        raise RefusedError(
            value,
            f"The `to` that register_type got for it raised {type(error).__name__}: mend it there",
        ) from error
    return [USER_TYPE, _BY_CLASS[type(value)].name, *screen([plain])]


def _restore(items: list[Any], decoder: Decoder) -> object:
    name, plain = items
    entry = _BY_NAME.get(typed(name, str)) or _of_the_framework(name)
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


def _of_the_framework(name: str) -> _Entry | None:
    """Import the framework's own module whose types have such names: this process may be new."""
    module, colon, _ = name.partition(":")
    if colon and module in _MODULES:
        import_module(module)
    return _BY_NAME.get(name)


class _Entry(NamedTuple):
    cls: type[Any]
    name: str
    to: Callable[[Any], object]
    restore: Callable[[Any], Any]


_BY_CLASS: dict[type[Any], _Entry] = {}
_BY_NAME: dict[str, _Entry] = {}
_MODULES = ("flame_flwr.statistics",)

RESTORE: dict[Any, Any] = {USER_TYPE: _restore}
"""How what follows a marker becomes a value again."""
