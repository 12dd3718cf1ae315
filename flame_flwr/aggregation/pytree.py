"""Values as arithmetic sees them: a form, such as a dict of lists of arrays, and its numbers.

It also finds values by key: ``"loss"``, ``"model.coef"`` or a function.
"""

from __future__ import annotations

import copy
import numbers
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from flame_flwr.text.shown_text import one_line, one_line_each

__all__ = [
    "Key",
    "Leaf",
    "TreeSpec",
    "copy_arrays",
    "flatten",
    "key_text",
    "look_up",
    "names_of",
    "own_arrays",
]
__all__ += ["plain_label", "unflatten"]

Key = str | int | Callable[[Any], Any] | None
"""Where in a value something is: a key, keys with dots between, a position, or a function."""

Leaf = npt.NDArray[Any] | int | float

_LONGEST = 100
"""Characters of a column's name or a type, which may be a node's own."""

_DEEPEST = 100
"""Levels of lists and dicts in what is merged: more than any model has, and few to walk through."""


@dataclass(frozen=True, slots=True)
class TreeSpec:
    """The structure of a value without its numbers.

    Attributes
    ----------
    kind : str
        ``number``, ``array``, ``series``, ``frame``, ``list``, ``tuple`` or ``dict``.
    labels : tuple
        Shape, index and columns, or keys, sorted, with one mark for every NaN.
    parts : tuple of TreeSpec
        The specs of what it contains.
    order : tuple
        A dict's keys, or index and columns, as the node had them; forms that differ in nothing
        else are equal.
    complex_at : tuple of int
        Which of an array, a Series or a table's columns, sorted, hold complex numbers.
    """

    kind: str
    labels: tuple[Any, ...] = ()
    parts: tuple[TreeSpec, ...] = ()
    order: tuple[Any, ...] = field(default=(), compare=False)
    complex_at: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return it as messages say it, without values."""
        text = self._text()
        return f"{text} with complex numbers" if self.complex_at else text

    def _text(self) -> str:
        if self.kind == "array":
            return f"an array of shape {self.labels}"
        if self.kind == "series":
            return f"a Series of {len(self.labels[0])} rows"
        if self.kind == "frame":
            columns = one_line_each(self.labels[1])
            return f"a table of {len(self.labels[0])} rows with the columns {columns}"
        if self.kind == "number":
            return "a number"
        inner = "; ".join(dict.fromkeys(map(str, self.parts[:5])))
        keys = f" with {one_line_each(self.labels)}" if self.kind == "dict" else ""
        return f"a {self.kind} of {len(self.parts)}{keys} ({inner})"


def flatten(value: Any) -> tuple[TreeSpec, list[Leaf]]:
    """Return the form of a value and its numbers and arrays, which are not copied.

    Raises
    ------
    TypeError
        Something in it is no number; the text names its type.
    """
    leaves: list[Leaf] = []
    try:
        spec = _flatten(value, leaves)
        if _depth(spec) > _DEEPEST:
            raise RecursionError
    except RecursionError:
        raise TypeError(f"is nested more than {_DEEPEST} levels deep") from None
    return spec, leaves


def unflatten(spec: TreeSpec, leaves: list[Any]) -> Any:
    """Return the value of this form with these numbers and arrays."""
    return _unflatten(spec, iter(leaves))


def names_of(spec: TreeSpec) -> list[str]:
    """Return the keys that lead to each of a form's numbers and arrays, with dots between."""
    return list(_names_of(spec, ""))


def look_up(value: Any, key: Key) -> Any:
    """Return what a value has at a key.

    Raises
    ------
    LookupError
        It has no such key.
    """
    if key is None:
        return value
    if callable(key):
        return key(value)
    # the whole key first: a name may have a dot itself
    if isinstance(value, Mapping) and key in value:
        return value[key]
    if isinstance(value, list | tuple) and isinstance(key, int):
        return value[key]
    head, dot, rest = key.partition(".") if isinstance(key, str) else ("", "", "")
    if not dot:
        raise KeyError(key)
    return look_up(look_up(value, head), rest)


def key_text(key: Key) -> str:
    """Return a key as messages name it."""
    if key is None:
        return "the whole value"
    return f"`{getattr(key, '__name__', key)}`"


def copy_arrays(value: Any) -> Any:
    """Return a copy whose arrays own their memory and are writable."""
    return copy.deepcopy(value)


def _names_of(spec: TreeSpec, name: str) -> Iterator[str]:
    if spec.kind == "frame":
        yield from (f"{name}.{column}".lstrip(".") for column in spec.labels[1])
    elif spec.kind in ("dict", "list", "tuple"):
        steps = spec.labels if spec.kind == "dict" else range(len(spec.parts))
        for step, part in zip(steps, spec.parts, strict=True):
            yield from _names_of(part, f"{name}.{step}".lstrip("."))
    else:
        yield name


def own_arrays(value: Any) -> Any:
    """Return a value whose arrays own their memory and are writable; those that do are not copied.

    Parameters
    ----------
    value : Any
        What cannot be copied in it stays as it is.
    """
    if isinstance(value, np.ndarray) and type(value) is np.ndarray and value.dtype != object:
        return value if value.flags.owndata and value.flags.writeable else value.copy("K")
    if type(value) is dict:
        parts = {key: own_arrays(part) for key, part in value.items()}
        return parts if any(parts[key] is not value[key] for key in value) else value
    if type(value) in (list, tuple):
        entries = [own_arrays(part) for part in value]
        changed = any(new is not old for new, old in zip(entries, value, strict=True))
        return type(value)(entries) if changed else value
    try:
        return copy_arrays(value)
    except Exception:
        return value


def _depth(spec: TreeSpec) -> int:
    return 1 + max(map(_depth, spec.parts), default=0)


def _flatten(value: Any, leaves: list[Leaf]) -> TreeSpec:
    if isinstance(value, bool | np.bool_):  # before the numbers: True is an int
        leaves.append(int(value))
        return TreeSpec("number")
    # Fractions, too, but not NumPy's numbers, which have a type of their own below.
    if isinstance(value, numbers.Real) and not hasattr(value, "dtype"):
        try:
            leaves.append(value if isinstance(value, int | float) else float(value))
        except OverflowError:
            raise TypeError("is a number that is too large for a float") from None
        return TreeSpec("number")
    if isinstance(value, np.integer | np.floating):
        leaves.append(int(value) if isinstance(value, np.integer) else float(value))
        return TreeSpec("number")
    if isinstance(value, Mapping):
        # sorted, so that nodes whose dicts differ in order have one form
        keys = sorted(value, key=lambda key: _rank(plain_label(key)))
        parts = tuple(_flatten(value[key], leaves) for key in keys)
        return TreeSpec("dict", tuple(map(plain_label, keys)), parts, tuple(value))
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return TreeSpec(kind, (), tuple(_flatten(part, leaves) for part in value))
    return _flatten_array(value, leaves)


def _unflatten(spec: TreeSpec, leaves: Iterator[Any]) -> Any:
    if spec.kind == "dict":
        parts = [_unflatten(part, leaves) for part in spec.parts]
        found = dict(zip(spec.labels, parts, strict=True))
        return {key: found[plain_label(key)] for key in spec.order}
    if spec.kind in ("list", "tuple"):
        parts = [_unflatten(part, leaves) for part in spec.parts]
        return parts if spec.kind == "list" else tuple(parts)
    if spec.kind == "frame":
        return _table(spec, leaves)
    leaf = next(leaves)
    if spec.kind == "series":
        import pandas as pd

        (index,) = spec.order
        return pd.Series(_put_back(leaf, index), index=index, name=spec.labels[1])
    return _shaped(leaf, spec.labels) if spec.kind == "array" else leaf


def _shaped(leaf: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return an array in a shape, itself where it owns its memory: a view would not."""
    if type(leaf) is not np.ndarray or not leaf.flags.owndata or not leaf.flags.c_contiguous:
        return leaf.reshape(shape)
    leaf.resize(shape, refcheck=False)  # in place: only the result has it
    return leaf


def _flatten_array(value: Any, leaves: list[Leaf]) -> TreeSpec:
    pandas = type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "index")
    if pandas and hasattr(value, "columns"):
        return _flatten_table(value, leaves)
    if not (pandas or type(value) is np.ndarray or isinstance(value, np.complexfloating)):
        raise TypeError(f"is of type {type(value).__name__}")
    array = _numeric(value.to_numpy() if pandas else np.asarray(value), "")
    if not pandas:
        leaves.append(array)
        return TreeSpec("array", array.shape, complex_at=_complex_at([array]))
    index, order = _sorted_labels(value.index)
    leaves.append(array if order is None else array[order])
    labels, shown = (index, plain_label(value.name)), (value.index.copy(deep=True),)
    return TreeSpec("series", labels, (), shown, _complex_at([array]))


def _flatten_table(table: Any, leaves: list[Leaf]) -> TreeSpec:
    """Take a table apart by columns: each keeps its own type."""
    index, rows = _sorted_labels(table.index)
    columns, places = _sorted_labels(table.columns)
    before = len(leaves)
    for place in range(table.shape[1]) if places is None else places:
        where = f"a column {one_line(table.columns[place], _LONGEST)} that "
        column = _numeric(table.iloc[:, place].to_numpy(), where)
        leaves.append(column if rows is None else column[rows])
    order = table.index.copy(deep=True), table.columns.copy(deep=True)
    return TreeSpec("frame", (index, columns), (), order, _complex_at(leaves[before:]))


def _complex_at(arrays: list[Any]) -> tuple[int, ...]:
    return tuple(place for place, array in enumerate(arrays) if array.dtype.kind == "c")


def _numeric(array: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    if array.dtype.kind not in "biufc":
        kind = one_line(array.dtype, _LONGEST)
        raise TypeError(f"has {where}holds {kind}" if where else f"holds {kind}")
    return array


def _table(spec: TreeSpec, leaves: Iterator[Any]) -> Any:
    import pandas as pd

    index, columns = spec.order
    _, places = _sorted_labels(columns)
    found = {
        place: _put_back(next(leaves), index)
        for place in (range(len(columns)) if places is None else places)
    }
    # by place, and named after that: two columns may have one name
    table = pd.DataFrame({place: found[place] for place in range(len(columns))}, index=index)
    table.columns = columns
    return table


def _put_back(leaf: npt.NDArray[Any], index: Any) -> npt.NDArray[Any]:
    """Return numbers, sorted by their labels, in the order of an index."""
    _, order = _sorted_labels(index)
    if order is None:
        return leaf
    found = np.empty_like(leaf)
    found[order] = leaf
    return found


def _sorted_labels(index: Any) -> tuple[tuple[Any, ...], list[int] | None]:
    """Return an index's labels, sorted, and where each is; ``None`` where they are so already.

    Labels of which some are alike cannot be found again by themselves: they stay as they are.
    """
    labels = [plain_label(label) for label in index]
    # of numbers that are in order already nothing has to be moved: the usual case, and a long one
    if index.dtype.kind in "iuf" and index.is_monotonic_increasing:
        return tuple(labels), None
    if len(set(labels)) < len(labels):
        return tuple(labels), None
    ranks = list(map(_rank, labels))
    order = sorted(range(len(labels)), key=ranks.__getitem__)
    return tuple(labels[place] for place in order), order


class _Nan:
    """The one that stands for every NaN: these do not equal each other."""

    def __repr__(self) -> str:
        return "nan"

    def __reduce__(self) -> str:
        return "_NAN"  # pickled by name: in another process it is that one's own, and equals itself


_NAN = _Nan()


def plain_label(label: Any) -> Any:
    """Return a key or label as one that equals itself: a mark in place of NaN."""
    if isinstance(label, tuple):
        return tuple(map(plain_label, label))
    return _NAN if isinstance(label, float | np.floating) and label != label else label


def _rank(label: Any) -> tuple[Any, ...]:
    """Return what labels of any types are sorted by; equal ones have one rank."""
    if isinstance(label, tuple):
        return 2, tuple(map(_rank, label))
    if isinstance(label, numbers.Real):
        return 0, label
    return 1, type(label).__name__, str(label)
