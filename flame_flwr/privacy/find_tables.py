"""Tables in a value: rows of people, as far as can be told, wherever in it they are."""

from __future__ import annotations

import sys
from itertools import count, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flame_flwr.payload.opaque import Opaque
from flame_flwr.payload.user_types import is_registered, to_plain
from flame_flwr.privacy.value_places import WHOLE, Found, Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["FoundTable", "find_tables"]

_RECORDS = "list of records"


class FoundTable(NamedTuple):
    """A table's size.

    Attributes
    ----------
    rows, columns : int
        Its size.
    kind : str
        What it is, in words.
    """

    rows: int
    columns: int
    kind: str

    def __str__(self) -> str:
        """Return the size in words."""
        rows = "1 row" if self.rows == 1 else f"{self.rows} rows"
        return f"{rows} x {'1 column' if self.columns == 1 else f'{self.columns} columns'}"


def find_tables(value: object) -> Iterator[Found]:
    """Yield every table in a value: its size, as a :class:`FoundTable`, and where it is.

    These are: DataFrames, and Series and indexes, which are tables of one column; arrays with named
    fields; lists of records, each of which is a dict, list, tuple or Series; and dicts of two and
    more lists of one length, which are columns. Other arrays, lists of numbers and statistics are
    none: a model is of these.

    Parameters
    ----------
    value : object
        Dicts, lists, tuples, sets and registered types are looked into.

    Examples
    --------
    >>> records = [{"age": 61, "sex": "f"}, {"age": 47, "sex": "m"}]
    >>> [str(found.value) for found in find_tables({"n": 2, "patients": records})]
    ['2 rows x 2 columns']
    """
    levels = [iter([(value, WHOLE)])]  # no recursion: an app chooses how deep it would be
    while levels:
        for entry, place in levels[-1]:
            table = _form(entry)
            if table is not None:
                yield Found(FoundTable(*table), place)
            if table is None or table[2] == _RECORDS:  # a record may hold a table itself
                levels.append(iter(_inside(entry, place)))
                break
        else:
            levels.pop()


def _inside(value: object, place: Place) -> Iterable[tuple[object, Place]]:
    """Return what is looked into of what is no table itself."""
    if isinstance(value, dict):
        return zip(value.values(), zip(repeat(place), value, repeat("key")), strict=False)
    if isinstance(value, list | tuple | set | frozenset):
        if isinstance(value, set | frozenset) or _has_more(value):
            return zip(value, zip(repeat(place), count(), repeat("number")), strict=False)
    elif isinstance(value, Opaque):
        return [(value.plain, place)]
    elif is_registered(type(value)) and not _is_statistic(value):
        return [(to_plain(value), place)]
    return ()


def _form(value: object) -> tuple[int, int, str] | None:
    """Return rows, columns and kind of what is a table itself."""
    if isinstance(value, np.ndarray):
        names = value.dtype.names
        return None if names is None else (value.size, len(names), "array of records")
    if isinstance(value, list | tuple | set | frozenset):
        return _records(value)
    if isinstance(value, dict):
        return _columns(value)
    pandas = sys.modules.get("pandas")  # where nobody has imported it, nothing is of it
    if pandas is None:
        return None
    if isinstance(value, pandas.DataFrame):
        return (*value.shape, "table")
    if isinstance(value, pandas.Series | pandas.Index):
        return len(value), getattr(value, "nlevels", 1), type(value).__name__
    return None


def _records(value: Any) -> tuple[int, int, str] | None:
    """Return the form of a list whose entries are all records; ``None`` may be between."""
    entries = [entry for entry in value if entry is not None]
    # of one kind, as rows are; a NamedTuple of lists is a value of parts, and no list
    kinds = {_kind_of_record(entry) for entry in entries}
    if len(kinds) != 1 or None in kinds or hasattr(value, "_fields"):
        return None
    return len(value), max(map(len, entries)), _RECORDS


def _kind_of_record(entry: object) -> str | None:
    """Return whether an entry may be one row: by names, by places, or none."""
    if isinstance(entry, dict):
        return "dict" if not any(map(_is_no_cell, entry.values())) else None
    if isinstance(entry, list | tuple):
        nested = any(isinstance(part, _LARGER) or _is_no_cell(part) for part in entry)
        return "list" if not nested else None
    pandas = sys.modules.get("pandas")
    return "Series" if pandas is not None and isinstance(entry, pandas.Series) else None


def _is_no_cell(value: object) -> bool:
    """Tell whether a value is one that is looked at by itself: a list of models is no table."""
    if type(value) in _CELLS:
        return False
    pandas = sys.modules.get("pandas")
    frames = () if pandas is None else (pandas.DataFrame, pandas.Series, pandas.Index)
    return isinstance(value, (np.ndarray, *frames)) or _is_statistic(value)


def _columns(value: dict[Any, Any]) -> tuple[int, int, str] | None:
    """Return the form of a dict of columns."""
    lists = [entry for entry in value.values() if isinstance(entry, list | tuple)]
    if len(lists) < 2 or len(lists) < len(value):
        return None
    lengths = {len(entry) for entry in lists}
    if len(lengths) > 1 or any(isinstance(part, _LARGER) for entry in lists for part in entry):
        return None
    return lengths.pop(), len(value), "dict of columns"


_LARGER = (dict, list, tuple, set, frozenset, np.ndarray)
"""What holds several values: of rows by place, no cell."""


def _has_more(value: list[Any] | tuple[Any, ...]) -> bool:
    """Tell whether a list holds anything but numbers and texts: those are many, and no tables."""
    kinds = set(map(type, value))
    return any(kind not in _CELLS and not issubclass(kind, np.generic) for kind in kinds)


_CELLS = frozenset({bool, int, float, complex, str, bytes, type(None)})


def _is_statistic(value: object) -> bool:
    from flame_flwr.statistics.base import Statistic

    return isinstance(value, Statistic)
