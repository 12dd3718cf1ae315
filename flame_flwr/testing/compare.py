"""Finds where two values differ: the results of two runs that should be the same.

A missing value equals one of its own kind, wherever it stands: NaN as a number, NaT as a time,
``pandas.NA``. ``None`` and NaN are not of one kind.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import re
import sys
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from flame_flwr.payload import user_types
from flame_flwr.text.foreign_json import json_or_none
from flame_flwr.text.shown_text import cut_off

__all__ = ["difference"]

_ABSOLUTE = 1e-12
"""How far numbers may be apart in any case: what is 0 but for rounding has no relative distance."""

_LONGEST = 60
_NAN = object()
_NODE = re.compile(r"node-\d+|aggregator")
_DECIMAL = re.compile(r"([-+]?\d+\.\d*(?:[eE][-+]?\d+)?)")


def difference(
    first: Any, second: Any, tolerance: float, order: Sequence[int] | None = None, path: str = "$"
) -> str:
    """Return the first place where two values differ, with both; ``''`` where they agree.

    Parameters
    ----------
    first, second : Any
        The values.
    tolerance : float
        How far numbers may be apart, relative to the larger one; in an array, to its largest.
    order : sequence of int, optional
        The values come of nodes in another order: `second` has the nodes ``order[0]``,
        ``order[1]``, .... Lists, arrays and lines of text with one entry per node then agree
        when they do entry by entry, and so do lists of nodes, by their places or their names;
        in a JSON text, too. Where a dict has a number for each node's place as key, such as
        ``site_1``, it is as a list.
    path : str
        What the values are called.

    Returns
    -------
    str
        Such as ``$.coef[2]: 1.5 and 2.5``.
    """
    return _Comparison(tolerance, order).difference(first, second, path)


@dataclasses.dataclass(frozen=True, slots=True)
class _Comparison:
    """Compares values, each of whose parts has a path."""

    tolerance: float
    order: Sequence[int] | None

    def difference(self, first: Any, second: Any, path: str = "$") -> str:
        found = self._compare(first, second, path)
        # one entry per node has moved with its node: that is no difference
        return "" if found and self._agree_by_node(first, second) else found

    def _compare(self, first: Any, second: Any, path: str) -> str:
        """Compare by kind: numbers, arrays, containers, pandas, objects."""
        if first is second:
            return ""
        if _is_number(first) and _is_number(second):
            return "" if _close(first, second, self.tolerance) else _both(path, first, second)
        if type(first) is not type(second):
            return f"{path}: {type(first).__name__} and {type(second).__name__}"
        if isinstance(first, np.ndarray):
            return self._arrays(first, second, path)
        if isinstance(first, Mapping):
            return self._mappings(first, second, path)
        if isinstance(first, str):
            same = _texts_agree(first, second, self.tolerance)
            return "" if same else _both(path, first, second)
        if isinstance(first, bytes | bytearray | type(None)):
            return "" if first == second else _both(path, first, second)
        if isinstance(first, Set):
            same = Counter(map(_key, first)) == Counter(map(_key, second))
            return "" if same else _both(path, first, second)
        if isinstance(first, Sequence):
            if len(first) != len(second):
                return f"{path}: {len(first)} and {len(second)} elements"
            pairs = enumerate(zip(first, second, strict=True))
            return _first(self.difference(a, b, f"{path}[{i}]") for i, (a, b) in pairs)
        return self._objects(first, second, path)

    def _mappings(self, first: Any, second: Any, path: str) -> str:
        ones, others = _by_key(first), _by_key(second)
        for key, shown in (ones | others).items():
            if (key in ones) != (key in others):
                return f"{path}: only one of them has {_shown(shown)}"
        return _first(
            self.difference(first[own], second[others[key]], _step(path, own))
            for key, own in ones.items()
        )

    def _objects(self, first: Any, second: Any, path: str) -> str:
        """Compare what an object consists of; where nothing is known of it, by ``==``."""
        pd: Any = sys.modules.get("pandas")
        if pd is not None and isinstance(first, pd.DataFrame | pd.Series | pd.Index):
            return self._compare(_of_pandas(first), _of_pandas(second), path)
        if user_types.is_registered(type(first)):
            return self._compare(user_types.to_plain(first), user_types.to_plain(second), path)
        if hasattr(first, "tocoo"):
            a, b = first.tocoo(), second.tocoo()
            parts = [(a.shape, b.shape), (a.row, b.row), (a.col, b.col), (a.data, b.data)]
            return _first(self._compare(x, y, path) for x, y in parts)
        if hasattr(first, "__array__") and hasattr(first, "shape") and first.shape:
            return self._arrays(np.asarray(first), np.asarray(second), path)
        if _is_nan(first) and _is_nan(second):
            return ""
        kind: Any = type(first)
        attributes = _attributes(first)
        try:
            if bool(first == second):
                return ""
        except Exception:  # such as an array in it, whose comparison is neither true nor false
            if not attributes:
                return ""
        if attributes or dataclasses.is_dataclass(first) or kind.__eq__ is object.__eq__:
            return self._compare(attributes, _attributes(second), path)
        return _both(path, first, second)

    def _arrays(self, first: Any, second: Any, path: str) -> str:
        if first.shape != second.shape:
            return f"{path}: arrays of shape {first.shape} and {second.shape}"
        kinds = {first.dtype.kind, second.dtype.kind}
        if "O" in kinds:
            places = np.ndindex(first.shape)
            return _first(self._compare(first[at], second[at], _place(path, at)) for at in places)
        if first.dtype.names and first.dtype.names == second.dtype.names:
            names = first.dtype.names
            one, two = ({name: each[name] for name in names} for each in (first, second))
            return self._mappings(one, two, path)
        if not kinds <= set("fciu"):
            # bytes first: NaT differs from itself
            same = len(kinds) == 1 and (
                first.tobytes() == second.tobytes() or bool(np.all(first == second))
            )
            return "" if same else f"{path}: {_shown(first)} and {_shown(second)}"
        finite = np.abs(first[np.isfinite(first)]) if first.size else first
        largest = float(finite.max()) if finite.size else 0.0
        far = self.tolerance * largest + _ABSOLUTE
        near = np.isclose(first, second, rtol=self.tolerance, atol=far, equal_nan=True)
        if bool(np.all(near)):
            return ""
        place = tuple(int(i) for i in np.argwhere(~near)[0])
        return _both(_place(path, place), first[place], second[place])

    def _agree_by_node(self, first: Any, second: Any) -> bool:
        """Tell whether two values are one entry per node, in the two orders."""
        if self.order is None or type(first) is not type(second):
            return False
        if isinstance(first, bytes):
            try:
                return self._agree_by_node(first.decode(), second.decode())
            except UnicodeDecodeError:
                return False
        if isinstance(first, str):
            # a line per node, in whatever order
            lines = ["\n".join(sorted(each.splitlines())) for each in (first, second)]
            if _texts_agree(lines[0], lines[1], self.tolerance):
                return True
            one, two = _of_json(first), _of_json(second)
            return None not in (one, two) and not self.difference(one, two)
        if isinstance(first, list | tuple) and _are_same_nodes(first, second, self.order):
            return True
        if isinstance(first, Mapping) and _numbers_places(first) and _numbers_places(second):
            first, second = list(first.values()), list(second.values())
        listed = isinstance(first, list | tuple) or (isinstance(first, np.ndarray) and first.ndim)
        if not listed or not len(first) == len(second) == len(self.order):
            return False
        pairs = enumerate(self.order)
        return not any(self.difference(first[node], second[place]) for place, node in pairs)


def _first(found: Iterable[str]) -> str:
    return next(filter(None, found), "")


def _are_same_nodes(first: Sequence[Any], second: Sequence[Any], order: Sequence[int]) -> bool:
    """Tell whether two lists say which nodes: by names, or by places in the two orders."""
    both = [*first, *second]
    if all(isinstance(each, str) and _NODE.fullmatch(each) for each in both):
        return sorted(first) == sorted(second)
    if not all(type(each) is int and 0 <= each < len(order) for each in both):
        return False
    return len(first) == len(second) and {order[place] for place in second} == set(first)


def _numbers_places(by_key: Mapping[Any, Any]) -> bool:
    """Tell whether the keys are alike but for the number of their place, from 0 or 1."""
    for begin in (0, 1):
        parts = [str(key).partition(str(i)) for i, key in enumerate(by_key, begin)]
        if all(number for _, number, _ in parts) and len({(a, b) for a, _, b in parts}) == 1:
            return True
    return False


def _of_json(text: str) -> Any:
    """Return what a JSON text holds; ``None`` where it is no list and no object."""
    value = json_or_none(text)
    return value if isinstance(value, dict | list) else None


def _of_pandas(value: Any) -> Any:
    if hasattr(value, "columns"):
        columns = [value.iloc[:, i].to_numpy() for i in range(value.shape[1])]
        return {"columns": list(value.columns), "index": value.index.tolist(), "values": columns}
    index = value.index.tolist() if hasattr(value, "index") else None
    return {"name": value.name, "index": index, "values": value.to_numpy()}


def _attributes(value: Any) -> dict[str, Any]:
    attributes = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        slots = getattr(cls, "__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            attributes[name] = getattr(value, name, None)
    return attributes


def _is_number(value: Any) -> bool:
    """Tell whether a value is a number; NumPy's time spans, which have units, are none."""
    not_one = bool | np.bool_ | np.timedelta64
    return isinstance(value, numbers.Number) and not isinstance(value, not_one)


def _is_nan(value: Any) -> bool:
    """Tell whether a value differs from itself, as NaN and NaT do."""
    try:
        return bool(value != value)
    except Exception:  # pandas.NA, or an array
        return False


def _by_key(keys: Iterable[Hashable]) -> dict[Hashable, Hashable]:
    """Return a mapping's keys under what they are compared by; of NaN there may be several."""
    counts: Counter[Hashable] = Counter()
    found: dict[Hashable, Hashable] = {}
    for key in keys:
        same = _key(key)
        counts[same] += 1
        found[same, counts[same]] = key
    return found


def _key(value: Any) -> Hashable:
    """Return what a value is compared by, so that NaN equals NaN."""
    if isinstance(value, tuple):
        return tuple(map(_key, value))
    if isinstance(value, frozenset):
        return frozenset(Counter(map(_key, value)).items())
    if _is_nan(value):
        return _NAN, "number" if _is_number(value) else type(value)
    return value  # type: ignore[no-any-return]


def _close(first: Any, second: Any, tolerance: float) -> bool:
    if first == second or (first != first and second != second):
        return True
    if isinstance(first, numbers.Complex) and isinstance(second, numbers.Complex):
        a, b = complex(first), complex(second)
        # infinity is within a relative tolerance of anything
        if any(math.isinf(part) for part in (a.real, a.imag, b.real, b.imag)):
            return False
        return abs(a - b) <= tolerance * max(abs(a), abs(b)) + _ABSOLUTE
    return False


def _texts_agree(first: str, second: str, tolerance: float) -> bool:
    """Tell whether texts agree; decimal numbers in them as numbers do."""
    if first == second:
        return True
    a, b = _DECIMAL.split(first), _DECIMAL.split(second)
    numbers_agree = zip(a[1::2], b[1::2], strict=False)
    return (
        len(a) == len(b)
        and a[::2] == b[::2]
        and all(_close(float(x), float(y), tolerance) for x, y in numbers_agree)
    )


def _both(path: str, first: Any, second: Any) -> str:
    return f"{path}: {_shown(first)} and {_shown(second)}"


def _shown(value: Any) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return cut_off(text, _LONGEST)


def _place(path: str, place: tuple[int, ...]) -> str:
    return f"{path}[{', '.join(map(str, place))}]" if place else path


def _step(path: str, key: Any) -> str:
    return f"{path}.{key}" if isinstance(key, str) and key.isidentifier() else f"{path}[{key!r}]"
