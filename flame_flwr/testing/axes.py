"""How many rows data has, and how long the axes of a value are, in whatever form they come."""

from __future__ import annotations

import csv
import io
import json
import pickle
import sys
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ValueAxis", "axes", "row_counts"]

_DEPTH = 8
_BY_PLACE = 100
"""Entries of a list or dict up to which each has a place of its own."""

_LARGEST = 50_000_000
"""Bytes that are read as a table."""


class ValueAxis(NamedTuple):
    """One axis of a value: where in it, how long, of what, and whether it is of a table's rows."""

    place: str
    length: int
    what: str
    rows: bool = False


def row_counts(data: Any) -> set[int]:
    """Return how many rows each table in a node's data has, for all that may be one.

    Parameters
    ----------
    data : Any
        What an analyzer gets: files by key, FHIR bundles by search, DataFrames, arrays, lists of
        records, dicts of columns, data sets; and lists and dicts of these.
    """
    return {count for count in _counts(data, 0) if count > 1}


def _counts(data: Any, depth: int) -> Iterator[int]:
    """Give the numbers of rows; of a table of lists, its columns are none."""
    if depth > _DEPTH or data is None:
        return
    shape = _shape(data)
    if isinstance(data, str | bytes | bytearray | memoryview):
        yield from _of_content(data, depth)
    elif shape is not None:
        yield from shape[:1]
    elif isinstance(data, dict):
        yield from _of_dict(data, depth)
    elif isinstance(data, list | tuple | set | frozenset):
        yield len(data)
        if len(data) <= _BY_PLACE and not all(isinstance(part, list | tuple) for part in data):
            for part in data:
                if not _is_scalar(part):
                    yield from _counts(part, depth + 1)
    elif hasattr(data, "__len__"):
        with suppress(Exception):
            yield len(data)


def _of_dict(data: dict[Any, Any], depth: int) -> Iterator[int]:
    if isinstance(data.get("entry"), list):  # a FHIR Bundle
        yield len(data["entry"])
        resources = [each.get("resource") for each in data["entry"] if isinstance(each, dict)]
        kinds = (each.get("resourceType") for each in resources if isinstance(each, dict))
        yield from Counter(kinds).values()
        return
    parts = list(data.values())
    # records, or single values, by a patient's id
    if all(isinstance(part, dict) or _is_scalar(part) for part in parts):
        yield len(parts)
    if len(parts) <= _BY_PLACE:
        for part in parts:
            if not isinstance(part, int | float | bool):
                yield from _counts(part, depth + 1)


def _of_content(content: Any, depth: int) -> Iterator[int]:
    """Give the rows of a file: of CSV with and without a first line of names."""
    opened = _opened(content)
    if opened is not None:
        yield from _counts(opened, depth + 1)
        return
    for lines in _lines(content):
        yield from (lines, lines - 1)


def axes(value: Any, most: int = 20_000) -> Iterator[ValueAxis]:
    """Give the axes of everything in a value that leaves a node, but for statistics.

    Statistics have disclosure rules of their own. Places in a list or dict of many entries are one.

    Parameters
    ----------
    value : Any
        What a node returns.
    most : int
        Parts of it that are looked at.

    Examples
    --------
    >>> [axis.length for axis in axes({"rows": [[61, 1], [47, 0], [52, 1]]})]
    [1, 3, 2, 2, 2]
    """
    yield from _axes(value, "$", 0, [most])


def _axes(value: Any, place: str, depth: int, budget: list[int]) -> Iterator[ValueAxis]:
    budget[0] -= 1
    if depth > _DEPTH or budget[0] < 0 or value is None or _is_statistic(value):
        return
    shape, kind = _shape(value), type(value).__name__
    if isinstance(value, str | bytes | bytearray | memoryview):
        yield from _axes_of_content(value, place, depth, budget)
    elif shape is not None:
        for number, length in enumerate(shape):
            at = f"{place} axis {number}" if len(shape) > 1 else place
            rows = kind == "DataFrame" and number == 0
            yield ValueAxis(at, length, f"{kind} {tuple(shape)}", rows)
    elif isinstance(value, dict | list | tuple | set | frozenset):
        yield ValueAxis(place, len(value), f"{kind} of {len(value)}", _are_records(value))
        parts = list(value.items() if isinstance(value, dict) else enumerate(value))
        # of a hundred thousand keys each would be a place of its own, seen once
        alone = len(parts) <= _BY_PLACE
        for key, part in parts:
            inside = f"{place}[{key!r}]" if alone else f"{place}[]"
            yield from _axes(part, inside, depth + 1, budget)
    else:
        for name, part in _attributes(value).items():
            yield from _axes(part, f"{place}.{name}", depth + 1, budget)


def _axes_of_content(value: Any, place: str, depth: int, budget: list[int]) -> Iterator[ValueAxis]:
    """Give the axes of text and bytes: of what they hold, of lines, and of raw bytes."""
    opened = _opened(value)
    if opened is not None:
        yield from _axes(opened, place, depth + 1, budget)
        return
    kind = type(value).__name__
    for lines in _lines(value):
        yield ValueAxis(f"{place} lines but the first", lines - 1, f"{kind} of {lines} lines")
        yield ValueAxis(f"{place} lines", lines, f"{kind} of {lines} lines")
    if not isinstance(value, str):
        yield ValueAxis(place, len(value), f"{kind} of {len(value)}")


def _opened(content: Any) -> Any:
    """Return what text or bytes hold, where that is a known form; ``None`` otherwise."""
    if len(content) > _LARGEST:
        return None
    with suppress(Exception):
        if isinstance(content, str):
            return _json(content)
        raw = bytes(content)
        if raw.startswith(b"\x93NUMPY"):
            import numpy as np

            return np.load(io.BytesIO(raw), allow_pickle=False)
        if raw.startswith(b"\x80"):  # of code that runs in this process all the same
            return pickle.loads(raw)  # noqa: S301
        return _json(raw.decode())
    return None


def _json(text: str) -> Any:
    return json.loads(text) if text.lstrip()[:1] in ("{", "[") else None


def _lines(content: Any) -> Iterator[int]:
    """Give how many records a text has, as CSV reads it; nothing for what is no text."""
    with suppress(UnicodeDecodeError, csv.Error, ValueError):
        text = content if isinstance(content, str) else bytes(content).decode("utf-8-sig")
        if "\0" in text:
            return
        if len(text) > _LARGEST:
            yield text.count("\n")
            return
        try:
            yield sum(1 for row in csv.reader(io.StringIO(text, newline="")) if row)
        except csv.Error:
            yield sum(1 for line in text.splitlines() if line)


def _shape(value: Any) -> tuple[int, ...] | None:
    """Return the shape of an array, table, Series or tensor; ``None`` of anything else."""
    if isinstance(value, type):
        return None
    shape: Any = getattr(value, "shape", None)
    try:
        return tuple(int(length) for length in shape) if shape is not None else None
    except (TypeError, ValueError):
        return None


def _are_records(value: Any) -> bool:
    """Tell whether a list is one of records: each by names or by places."""
    records = not isinstance(value, dict) and all(isinstance(part, _RECORDS) for part in value)
    return bool(value) and records and len(set(map(len, value))) == 1


_RECORDS = (dict, list, tuple)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool | complex)


def _is_statistic(value: Any) -> bool:
    base = sys.modules.get("flame_flwr.statistics.base")
    return base is not None and isinstance(value, base.Statistic)


def _attributes(value: Any) -> dict[str, Any]:
    """Return what an object holds, such as a fitted estimator; nothing of classes and modules."""
    if _is_scalar(value) or isinstance(value, type) or callable(value):
        return {}
    slots = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
    held = {name: getattr(value, name) for name in sorted(slots) if hasattr(value, name)}
    return {**held, **getattr(value, "__dict__", {})}
