"""The columns of a node's data as it was read, by which computed columns are told from those.

A column is one of them where its values are among those of one, each as often at most: so are the
ages of some of the rows. It says nothing of a column that was made to look so.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from flame_flwr.statistics.values import Numbers

__all__ = ["COMPUTED", "ReadColumns", "looking_up", "source_of"]

COMPUTED = "="
"""The source of a column that was not read as it is."""

_MOST_BYTES, _MOST_CELLS = 16e6, 5e6
"""Of larger files and tables nothing is known: it would take too long to look."""


class ReadColumns:
    r"""The tables among a node's data, before an analyzer gets it.

    Parameters
    ----------
    data : Any
        A DataFrame; or sources by number, each of DataFrames, or bytes of CSV files, by key.

    Examples
    --------
    >>> read = ReadColumns([{"ages.csv": b"age\n52\n61\n61\n"}])
    >>> ages = np.array([61.0, 52])
    >>> read.source_of(ages) == read.source_of(ages[:1]), read.source_of(ages**2)
    (True, '=')
    """

    def __init__(self, data: Any) -> None:
        frames = [data] if _is_frame(data) else []
        files: list[bytes] = []
        for source in data if isinstance(data, list) else ():
            for key, value in source.items() if isinstance(source, Mapping) else ():
                if _is_frame(value):
                    frames.append(value)
                elif isinstance(value, bytes) and str(key).lower().endswith(".csv"):
                    files.append(value)
        # without what an analyzer adds to them later
        self._frames = [frame.copy(deep=False) for frame in frames]
        self._files = files
        self._is_large = sum(map(len, files)) > _MOST_BYTES or any(
            len(frame) * len(frame.columns) > _MOST_CELLS for frame in frames
        )

    def source_of(self, column: Numbers) -> str:
        """Return which column it is of, as a digest; ``"="`` of none, '' where none is known."""
        if not self._columns:
            return ""
        values, counts = np.unique(column.astype(np.float32), return_counts=True)
        for name, (known, times) in self._columns:
            places = np.minimum(np.searchsorted(known, values), len(known) - 1)
            if (known[places] == values).all() and (times[places] >= counts).all():
                return name
        return COMPUTED

    @cached_property
    def _columns(self) -> list[tuple[str, tuple[Any, Any]]]:
        found: list[tuple[str, tuple[Any, Any]]] = []
        if self._is_large:
            return found
        tables = [*self._frames, *(table for file in self._files for table in _read(file))]
        for number, table in enumerate(tables):
            for place, name in enumerate(table.columns):
                values = _numbers(table.iloc[:, place])
                if len(values):
                    told = hashlib.blake2b(f"{number} {name}".encode(), digest_size=8).hexdigest()
                    found.append((told, np.unique(values, return_counts=True)))
        return found


_READ: ContextVar[ReadColumns | None] = ContextVar("the columns that were read", default=None)


@contextmanager
def looking_up(columns: ReadColumns | None) -> Iterator[None]:
    """Have what is told of statistics in the block say which columns they are of."""
    token = _READ.set(columns)
    try:
        yield
    finally:
        _READ.reset(token)


def source_of(column: Numbers) -> str:
    """Return which column that was read it is of: see :meth:`ReadColumns.source_of`."""
    known = _READ.get()
    return "" if known is None else known.source_of(column)


def _is_frame(value: Any) -> bool:
    return type(value).__name__ == "DataFrame"


def _read(content: bytes) -> Iterator[Any]:
    """Read a CSV file; what is none has no columns."""
    import pandas as pd

    try:
        first = content[:4096].decode("utf-8-sig", "replace").splitlines()[:1]
        mark = csv.Sniffer().sniff(first[0], ",;\t|").delimiter if first else ","
    except csv.Error:
        mark = ","
    decimal = "," if mark == ";" else "."  # as Excel writes it where the comma is the decimal mark
    try:
        yield pd.read_csv(io.BytesIO(content), sep=mark, decimal=decimal, low_memory=False)
    except (ValueError, OverflowError):  # also pandas' own errors, and wrong encodings
        return


def _numbers(column: Any) -> Any:
    """Return a column's numbers, without gaps; texts that are numbers, too."""
    import pandas as pd

    found = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float32, na_value=np.nan)
    return found[~np.isnan(found)]
