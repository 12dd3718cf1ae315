"""Teaching the format a class of one's own: `register_type`.

For small classes of an analysis' own. The registration must run on both sides, so it
belongs beside the class, at the module's top level.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flame_flwr.errors import ModelError
from flame_flwr.payload.table import is_known
from flame_flwr.payload.user_types import BY_CLASS, BY_NAME, RegisteredType
from flame_flwr.payload.wire_format import type_name

__all__ = ["register_type"]

T = TypeVar("T")


def register_type(
    cls: type[T],
    *,
    to: Callable[[T], object],
    restore: Callable[[Any], T],
    name: str | None = None,
) -> None:
    """Teach the payload a class, so that its values can travel between nodes.

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
    if is_known(cls):
        raise ModelError(f"register_type: {type_name(cls)} travels without being registered.")
    wire_name = name or type_name(cls)
    taken, known = BY_NAME.get(wire_name), BY_CLASS.get(cls)
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
    BY_NAME[wire_name] = BY_CLASS[cls] = RegisteredType(cls, wire_name, to, restore)
