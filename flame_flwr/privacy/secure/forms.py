"""The form of a value in a secure sum: what travels of it in clear, as lists that JSON can hold.

A form is ``["number", type]``, ``["array", type, shape]``, ``["list", forms]``, ``["tuple",
forms]`` or ``["dict", keys, forms]``. The keys of a dict are in the node's order, and the forms in
that of the sorted keys, which all nodes share. Types are NumPy's names, and of numbers ``int`` and
``float``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.aggregation.pytree import TreeSpec, flatten
from flame_flwr.errors import DataError, ModelError, PayloadError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "BUFFER",
    "Form",
    "form_like",
    "form_of",
    "is_whole",
    "sorted_keys",
    "spec_of",
    "statistics_in",
    "structure_of",
    "type_of",
]

Form = list[Any]

BUFFER = " buffer"
"""The ending of a buffer's type: a mean of whole numbers stays whole there."""

_WHOLE = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_TYPES = frozenset((*_WHOLE, "int", "float", "float16", "float32", "float64"))
_MOST = 2**48
"""The longest axis of an array. A form that says more is forged."""


def is_whole(kind: str) -> bool:
    """Tell whether a type is one of whole numbers."""
    return kind.removesuffix(BUFFER) in ("int", *_WHOLE)


def type_of(leaf: Any) -> str:
    """Return the type of a number or array.

    Raises
    ------
    DataError
        It is an array of another kind, such as of complex numbers.
    """
    if not isinstance(leaf, np.ndarray):
        return "int" if isinstance(leaf, int) else "float"
    name = str(leaf.dtype.newbyteorder("=").name)  # files may have either byte order
    if name not in _TYPES:
        raise DataError(
            f"arrays of {name} cannot be summed securely: send float64, and of complex numbers "
            "real and imaginary parts"
        )
    return name


def form_of(spec: TreeSpec, types: Iterable[str]) -> Form:
    """Return the form of a value.

    Parameters
    ----------
    spec : TreeSpec
        Its structure.
    types : iterable of str
        The type of each of its numbers and arrays.

    Raises
    ------
    DataError
        It has Series or tables, or keys that are neither texts nor whole numbers.
    """
    return _form_of(spec, iter(types))


def form_like(value: Any) -> Form:
    """Return the form of an example, such as ``like=`` of a weighted mean.

    Raises
    ------
    ModelError
        It cannot be summed.
    """
    try:
        spec, leaves = flatten(value)
        return form_of(spec, map(type_of, leaves))
    except (TypeError, DataError) as error:
        raise ModelError(f"like: {error}") from None


def spec_of(form: Any) -> tuple[TreeSpec, list[str]]:
    """Read a form that another party has sent: its structure, and the types of its numbers.

    Raises
    ------
    PayloadError
        It is no form.
    """
    types: list[str] = []
    try:
        return _spec_of(form, types), types
    except (TypeError, ValueError, AttributeError, RecursionError, DataError) as error:
        raise PayloadError("this is not the form of a secure sum", detail=str(error)) from error


def structure_of(form: Form) -> Form:
    """Return a form without the order of its dicts' keys, in which alone answers may differ."""
    kind, *rest = form
    if kind not in ("list", "tuple", "dict"):
        return form
    parts = [structure_of(part) for part in rest[-1]]
    return [kind, parts] if kind != "dict" else [kind, sorted_keys(rest[0]), parts]


def statistics_in(form: Form) -> Iterator[object]:
    """Yield what each statistic of a form is called."""
    kind, *rest = form
    if kind == "statistic":
        yield rest[0].get("statistic")
        return
    for part in rest[-1]:
        yield from statistics_in(part)


def shapes_of(spec: TreeSpec) -> Iterator[tuple[int, ...] | None]:
    """Yield the shape of each array, and ``None`` for each number."""
    if spec.kind in ("number", "array"):
        yield None if spec.kind == "number" else spec.labels
    for part in spec.parts:
        yield from shapes_of(part)


def sorted_keys(keys: Iterable[Any]) -> list[Any]:
    """Return the keys of a dict in the order of its parts.

    Raises
    ------
    DataError
        One is neither text nor a whole number.
    """
    listed = list(keys)
    # Not `isinstance`: True is 1 to a dict, and would be another key in JSON.
    if not all(type(key) in (str, int) for key in listed):
        raise DataError("a key is neither text nor a whole number: rename it")
    return sorted(listed, key=lambda key: (isinstance(key, str), key))


def _form_of(spec: TreeSpec, types: Iterator[str]) -> Form:
    if spec.kind == "number":
        return ["number", next(types)]
    if spec.kind == "array":
        return ["array", next(types), list(spec.labels)]
    if spec.kind not in ("list", "tuple", "dict"):
        raise DataError(
            f"{spec} has labels, which a secure sum would send in clear: send .to_numpy(), or a "
            "dict of numbers"
        )
    forms = [_form_of(part, types) for part in spec.parts]
    if spec.kind != "dict":
        return [spec.kind, forms]
    sorted_keys(spec.order)  # raises where a key is none that JSON would give back
    return ["dict", list(spec.order), forms]


def _spec_of(form: Any, types: list[str]) -> TreeSpec:
    kind, *rest = form
    if kind in ("number", "array"):
        name, *shape = rest
        if name.removesuffix(BUFFER) not in _TYPES or len(shape) != (kind == "array"):
            raise ValueError("an unknown type")
        types.append(name)
        return TreeSpec("array", _shape(shape[0])) if shape else TreeSpec("number")
    if kind not in ("list", "tuple", "dict") or len(rest) != (2 if kind == "dict" else 1):
        raise ValueError("an unknown kind")
    parts = tuple(_spec_of(part, types) for part in rest[-1])
    if kind != "dict":
        return TreeSpec(kind, (), parts)
    labels = sorted_keys(rest[0])
    if len(set(labels)) != len(parts):
        raise ValueError("keys and parts differ")
    return TreeSpec("dict", tuple(labels), parts, tuple(rest[0]))


def _shape(shape: Any) -> tuple[int, ...]:
    sizes = tuple(shape)
    if not all(type(size) is int and 0 <= size <= _MOST for size in sizes) or len(sizes) > 64:
        raise ValueError("no shape")
    return sizes
