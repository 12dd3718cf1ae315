"""Why a value could not be encoded, and where in it: the slow walk, after a failure.

Paths read like Python: ``$.rows[2]["a b"]``. In messages, which may leave the node, the
keys of dicts and the labels of frames are left out, as they may name patients:
``$.*[2].*``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from flame_flwr.errors import PayloadError
from flame_flwr.payload import user_types
from flame_flwr.payload.encoder import Encoder
from flame_flwr.payload.wire_format import MAX_DEPTH, RefusedError, TooDeepError, type_name

__all__ = ["explain"]


def explain(value: object, error: Exception, allow_pickle: bool) -> PayloadError:
    """Turn a failure to encode into an error that says what stands where.

    Parameters
    ----------
    value : object
        What was to be encoded.
    error : Exception
        What came of it.
    allow_pickle : bool
        As it was then.

    Returns
    -------
    PayloadError
        ``message`` has the path without keys, ``detail`` the path itself.
    """
    place = _locate(value, lambda child: _fails(child, allow_pickle))
    if isinstance(error, RefusedError):
        return PayloadError(
            f"A value of type {type_name(type(error.value))} at {place.keyless} cannot travel "
            f"between nodes. {error.ways_out}.",
            detail=place.path,
        )
    if isinstance(error, TooDeepError | RecursionError) or "recursion" in str(error):
        return PayloadError(
            f"The value at {place.keyless} contains itself, or is nested deeper than "
            f"{MAX_DEPTH} levels: it cannot travel between nodes. Return a flat dict of arrays "
            "instead.",
            detail=place.path,
        )
    return PayloadError(
        f"A value of type {type_name(type(place.value))} at {place.keyless} cannot travel "
        f"between nodes: packing it raised {type(error).__name__}. "
        "Return a dict of arrays instead.",
        detail=f"{place.path}: {error}",
    )


class _Place(NamedTuple):
    value: object
    path: str
    keyless: str


class _Child(NamedTuple):
    value: object
    step: str
    keyless: str


def _locate(value: object, fails: Callable[[object], bool]) -> _Place:
    """Descend into the first part that fails, as long as there is one, but not for ever."""
    path = keyless = "$"
    ancestors = {id(value)}
    # Each part is packed anew to see whether it fails: slow, and done once, after a failure.
    while True:
        child = next((child for child in _children(value) if fails(child.value)), None)
        if child is None:
            break
        value, path, keyless = child.value, path + child.step, keyless + child.keyless
        if id(value) in ancestors or len(ancestors) > _STEPS:
            break
        ancestors.add(id(value))
    return _Place(value, _short(path), _short(keyless))


def _fails(value: object, allow_pickle: bool) -> bool:
    if type(value) in _ALWAYS_FINE:
        return False
    try:
        Encoder(allow_pickle).header(value)
    except Exception:
        return True
    return False


def _children(value: Any) -> Iterator[_Child]:
    """Yield the parts of a value that could be what fails."""
    pd: Any = sys.modules.get("pandas")
    if isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield _Child(item, f"[{place}]", f"[{place}]")
    elif isinstance(value, set | frozenset):
        for item in value:
            yield _Child(item, "{}", "{}")
    elif isinstance(value, dict):
        for place, (key, item) in enumerate(value.items()):
            yield _Child(key, f".keys()[{place}]", f".keys()[{place}]")
            yield _Child(item, _key(key), ".*")
    elif user_types.is_registered(type(value)):
        yield from _plain_form(value)
    elif pd is not None and isinstance(value, pd.DataFrame):
        yield _Child(value.index, ".index", ".index")
        yield _Child(value.columns, ".columns", ".columns")
        for place, label in enumerate(value.columns):
            yield _Child(value.iloc[:, place], _key(label), ".*")
    elif pd is not None and isinstance(value, pd.Series | pd.Index):
        if isinstance(value, pd.Series):
            yield _Child(value.index, ".index", ".index")
        yield _Child(value.name, ".name", ".name")
        if value.dtype == object:
            yield from _children(value.tolist())


def _plain_form(value: object) -> Iterator[_Child]:
    try:
        plain = user_types.to_plain(value)
    except Exception:
        return
    yield _Child(plain, "", "")


def _key(key: object) -> str:
    if isinstance(key, str):
        return f".{key}" if key.isidentifier() else f"[{json.dumps(key)}]"
    return f"[{key!r}]"


def _short(path: str) -> str:
    return path if len(path) <= _LONGEST else f"{path[:_LONGEST]}..."


_ALWAYS_FINE = {type(None), bool, int, float, str, bytes}
_LONGEST = 300
_STEPS = 100
