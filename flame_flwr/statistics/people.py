"""Whom each row is about, while an analyzer runs: for rules that count people and not rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flame_flwr.statistics.values import numbers

if TYPE_CHECKING:
    from flame_flwr.statistics.values import Numbers

__all__ = ["People", "counting_people", "of_rows", "people_in", "present", "rows_about"]

People = npt.NDArray[np.uint64]
"""The people whom rows are about, one for each row: a hash of the id."""


@dataclass(frozen=True, slots=True)
class _Known:
    subject: str
    tables: tuple[Any, ...] = ()
    rows: People | None = None


_KNOWN: ContextVar[_Known | None] = ContextVar("whom rows are about", default=None)


@contextmanager
def counting_people(subject: str, data: Any) -> Iterator[None]:
    """Have statistics remember, in memory only, of which people they are made.

    Parameters
    ----------
    subject : str
        The column that says whom a row is about, or the level of an index; with '' nothing is
        remembered.
    data : Any
        What the analyzer gets: columns of its DataFrames are known again.
    """
    tables = tuple(table for table in _tables(data) if subject in table) if subject else ()
    token = _KNOWN.set(_Known(subject, tables) if subject else None)
    try:
        yield
    finally:
        _KNOWN.reset(token)


@contextmanager
def of_rows(frame: Any) -> Iterator[None]:
    """Have statistics of a table's columns remember whom its rows are about."""
    with rows_about(people_in(frame)):
        yield


@contextmanager
def rows_about(people: People | None) -> Iterator[None]:
    """Have statistics of as many values as these, in their order, remember whom they are about."""
    known = _KNOWN.get()
    if known is None or people is None:
        yield
        return
    token = _KNOWN.set(_Known(known.subject, known.tables, people))
    try:
        yield
    finally:
        _KNOWN.reset(token)


def people_in(values: Any, there: Any = None) -> People | None:
    """Return whom each row of a table or column is about; ``None`` where that is not known.

    With `there` only of those rows: the same array where it is all of them.
    """
    people = _of_all(values)
    return people if people is None or there is None or there.all() else people[there]


def present(values: Any) -> tuple[Numbers, People | None]:
    """Return the numbers of a column that are not missing, and whose they are."""
    column = numbers(values)
    there = ~np.isnan(column)
    return column[there], people_in(values, there)


def _of_all(values: Any) -> People | None:
    known = _KNOWN.get()
    if known is None:
        return None
    is_mapping = isinstance(values, Mapping)
    if (is_mapping or getattr(values, "ndim", 1) == 2) and known.subject in values:
        return _ids(values[known.subject])
    # an array has lost its index: in the block of a table it is known by its length
    if not is_mapping and known.rows is not None and len(known.rows) == len(values):
        return known.rows
    index = getattr(values, "index", None)
    if known.subject in (getattr(index, "names", None) or ()):
        return _ids(values.index.get_level_values(known.subject))
    return _from_tables(values, known)


def _from_tables(values: Any, known: _Known) -> People | None:
    """Find a Series among the columns that the analyzer got, by its name, index and values."""
    name = getattr(values, "name", None)
    for table in known.tables:
        if name is None or name not in table or not table.index.is_unique:
            continue
        # by its values, too: what was computed of a column keeps its name and index
        if values.index.isin(table.index).all() and table.loc[values.index, name].equals(values):
            return _ids(table.loc[values.index, known.subject])
    return None


def _tables(data: Any) -> Iterator[Any]:
    if type(data).__name__ == "DataFrame":
        yield data
    for each in data if isinstance(data, list) else ():
        if type(each).__name__ == "DataFrame":
            yield each
        for value in each.values() if isinstance(each, Mapping) else ():
            if type(value).__name__ == "DataFrame":
                yield value


def _ids(column: Any) -> People:
    """Return a hash of each id, the same for 7, 7.0 and "7"; rows without one share one."""
    import pandas as pd

    ids = pd.Series(np.asarray(column))
    if ids.dtype.kind == "f" and bool((ids.dropna() % 1 == 0).all()):
        ids = ids.astype("Int64")  # pandas makes floats of integers where some are missing
    texts = ids.astype(object).where(ids.notna(), "").astype(str)
    return pd.util.hash_array(np.asarray(texts, dtype=object))
