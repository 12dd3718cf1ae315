"""Finds the float arrays of a result by the keys that lead to them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["Path", "array_at", "chosen", "dotted", "float_arrays", "replaced"]

Path = tuple[Any, ...]
"""Keys of dicts and places in lists and tuples, from the outside in; ``()`` is the result."""


def float_arrays(
    value: Any, place: Path = (), around: tuple[int, ...] = ()
) -> Iterator[tuple[Path, np.ndarray]]:
    """Yield every NumPy array of floats in dicts, lists and tuples, with its place, in order."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f":
            yield place, value
    elif id(value) not in around:  # a value that contains itself is refused when it is encoded
        for step, child in _children(value):
            yield from float_arrays(child, (*place, step), (*around, id(value)))


def chosen(place: Path, keys: Sequence[str] | None) -> str | None:
    """Return the key that names a place or what is around it; ``None`` where none does.

    Parameters
    ----------
    place : Path
        The keys and positions that lead to an array.
    keys : sequence of str or None
        Steps with dots between, such as ``model.coef`` or ``0``; ``None`` names every place.
    """
    if keys is None:
        return ""
    name = dotted(place)
    return next((key for key in keys if name == key or name.startswith(f"{key}.")), None)


def dotted(place: Path) -> str:
    """Return a place as text: its steps with dots between."""
    return ".".join(str(step) for step in place)


def array_at(value: Any, place: Path) -> np.ndarray | None:
    """Return the array of real numbers at a place, masked or not; ``None`` where there is none."""
    for step in place:
        children = dict(_children(value))
        if step not in children:
            return None
        value = children[step]
    if not isinstance(value, np.ndarray | np.number | float | int):
        return None
    # asarray would take the mask off, and what is under it would leave
    array = value if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    return array if array.dtype.kind in "fiu" else None


def replaced(value: Any, arrays: Mapping[Path, np.ndarray]) -> Any:
    """Return a value with other arrays at some places.

    The containers around them are copies; everything else is the value's own.
    """
    if not arrays:
        return value
    if () in arrays:
        return arrays[()]
    # Only what is around a replaced array is copied: the rest of a result may be large.
    below: dict[Any, dict[Path, np.ndarray]] = {}
    for (step, *rest), array in arrays.items():
        below.setdefault(step, {})[tuple(rest)] = array
    children = {step: replaced(value[step], inside) for step, inside in below.items()}
    if isinstance(value, tuple):
        items = [children.get(step, item) for step, item in enumerate(value)]
        return value._make(items) if hasattr(value, "_make") else tuple(items)
    new = copy.copy(value)
    for step, child in children.items():
        new[step] = child
    return new


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)
