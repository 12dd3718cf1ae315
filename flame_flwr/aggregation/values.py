"""Values as arithmetic sees them: a form, such as a dict of lists of arrays, and its numbers.

It also finds values by key: ``"loss"``, ``"model.coef"`` or a function.
"""

from __future__ import annotations

import copy
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Form", "Key", "Leaf", "apart", "key_text", "look_up", "own", "together"]

Key = str | int | Callable[[Any], Any] | None
"""Where in a value something is: a key, keys with dots between, a position, or a function."""

Leaf = npt.NDArray[Any] | int | float


@dataclass(frozen=True, slots=True)
class Form:
    """What a value is made of, without its numbers.

    Attributes
    ----------
    kind : str
        ``number``, ``array``, ``series``, ``frame``, ``list``, ``tuple`` or ``dict``.
    labels : tuple
        Shape, index and columns, or keys, sorted.
    parts : tuple of Form
        Of what it contains.
    order : tuple
        A dict's keys as the node had them; forms that differ in nothing else are equal.
    """

    kind: str
    labels: tuple[Any, ...] = ()
    parts: tuple[Form, ...] = ()
    order: tuple[Any, ...] = field(default=(), compare=False)

    def kinds(self) -> list[str]:
        """Return the kind of every number and array in it, in order."""
        if self.kind in ("dict", "list", "tuple"):
            return [kind for part in self.parts for kind in part.kinds()]
        return [self.kind]

    def __str__(self) -> str:
        """Return it as messages say it, without values."""
        if self.kind == "array":
            return f"an array of shape {self.labels}"
        if self.kind == "series":
            return f"a Series of {len(self.labels[0])} rows"
        if self.kind == "frame":
            columns = ", ".join(map(str, self.labels[1][:10]))
            more = ", ..." if len(self.labels[1]) > 10 else ""
            return f"a table of {len(self.labels[0])} rows with the columns {columns}{more}"
        if self.kind == "number":
            return "a number"
        inner = "; ".join(dict.fromkeys(map(str, self.parts[:5])))
        keys = f" with {', '.join(map(str, self.labels[:10]))}" if self.kind == "dict" else ""
        return f"a {self.kind} of {len(self.parts)}{keys} ({inner})"


def apart(value: Any) -> tuple[Form, list[Leaf]]:
    """Return the form of a value and its numbers and arrays, which are not copied.

    Raises
    ------
    TypeError
        Something in it is no number; the text names its type.
    """
    leaves: list[Leaf] = []
    return _apart(value, leaves), leaves


def together(form: Form, leaves: list[Any]) -> Any:
    """Return the value of this form with these numbers and arrays."""
    return _together(form, iter(leaves))


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


def own(value: Any) -> Any:
    """Return a copy whose arrays own their memory and are writable."""
    return copy.deepcopy(value)


def _apart(value: Any, leaves: list[Leaf]) -> Form:
    if isinstance(value, bool | np.bool_):
        leaves.append(int(value))
        return Form("number")
    if isinstance(value, numbers.Real) and not hasattr(value, "dtype"):
        leaves.append(value if isinstance(value, int | float) else float(value))
        return Form("number")
    if isinstance(value, np.integer | np.floating):
        leaves.append(int(value) if isinstance(value, np.integer) else float(value))
        return Form("number")
    if isinstance(value, Mapping):
        keys = tuple(sorted(value, key=lambda key: (type(key).__name__, str(key))))
        parts = tuple(_apart(value[key], leaves) for key in keys)
        return Form("dict", keys, parts, tuple(value))
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return Form(kind, (), tuple(_apart(part, leaves) for part in value))
    return _apart_array(value, leaves)


def _together(form: Form, leaves: Iterator[Any]) -> Any:
    if form.kind == "dict":
        parts = [_together(part, leaves) for part in form.parts]
        found = dict(zip(form.labels, parts, strict=True))
        return {key: found[key] for key in form.order}
    if form.kind in ("list", "tuple"):
        parts = [_together(part, leaves) for part in form.parts]
        return parts if form.kind == "list" else tuple(parts)
    leaf = next(leaves)
    if form.kind in ("series", "frame"):
        return _labelled(form, leaf)
    return leaf.reshape(form.labels) if form.kind == "array" else leaf


def _apart_array(value: Any, leaves: list[Leaf]) -> Form:
    pandas = type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "index")
    if not (pandas or type(value) is np.ndarray or isinstance(value, np.complexfloating)):
        raise TypeError(f"is of type {type(value).__name__}")
    array = value.to_numpy() if pandas else np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"holds {array.dtype}")
    leaves.append(array)
    if not pandas:
        return Form("array", array.shape)
    if array.ndim == 1:
        return Form("series", (tuple(value.index), value.name))
    return Form("frame", (tuple(value.index), tuple(value.columns)))


def _labelled(form: Form, values: npt.NDArray[Any]) -> Any:
    import pandas as pd

    if form.kind == "series":
        return pd.Series(values, index=_index(form.labels[0]), name=form.labels[1])
    index, columns = form.labels
    shaped = values.reshape(len(index), len(columns))
    return pd.DataFrame(shaped, index=_index(index), columns=_index(columns))


def _index(labels: Sequence[Any]) -> Any:
    import pandas as pd

    multi = bool(labels) and all(isinstance(label, tuple) for label in labels)
    return pd.MultiIndex.from_tuples(labels) if multi else pd.Index(labels)
