"""Looking into a CSV file for what an analysis expects of it: read with pandas, as it will be.

Findings hold nothing of the file. It is read in pieces, so that a large one takes little memory.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from flame_flwr.data.bounds import outside
from flame_flwr.data.finding import Finding
from flame_flwr.labels import DeclaredLabels

if TYPE_CHECKING:
    import pandas as pd

    from flame_flwr.data.expect import Column, Table

__all__ = ["look_into"]

_ROWS = 50_000
"""So many are looked at together."""
_IN_BRACKETS = re.compile(r"(.*?)\s*[\[(]\s*(.+?)\s*[\])]\s*")
_CALLED = {
    "number": "numbers",
    "whole": "whole numbers",
    "date": "dates like 2026-11-21",
}


def look_into(table: Table, content: Any) -> Iterator[Finding]:
    """Yield what is not as expected of a file.

    Parameters
    ----------
    table : Table
        What is expected.
    content : Any
        The file: bytes, or what is in its place.
    """
    if not isinstance(content, bytes | bytearray | memoryview):
        yield Finding(f"{table.called} is no file")
        return
    watched: dict[str, _Watch] = {}
    rows, shifted = 0, False
    try:
        header = _header(table, content)
        if _otherwise_separated(table, header):
            yield Finding(f"{table.called} is not separated by {table.separator!r}: save it so")
            return
        for name, column in table.columns.items():
            if name in header:
                watched[name] = _Watch(column, f"{table.called}: column {name!r}")
            else:
                yield from _absent(table, name, column, header)
        for piece in _pieces(table, content) if header else ():
            shifted = shifted or list(piece.index) != list(range(rows, rows + len(piece)))
            rows += len(piece)
            for name, watch in watched.items():
                watch.see(piece[name])
    except (ValueError, OverflowError):  # also pandas' own errors, and wrong encodings
        yield Finding(f"{table.called} is no table in {table.encoding}")
        return
    if shifted:  # pandas takes the first cells of all rows for an index then
        yield Finding(f"{table.called} has more cells in its rows than names in its first line")
    if rows < table.min_rows:
        yield Finding(f"{table.called} has fewer than {table.min_rows} rows")
    for watch in watched.values():
        yield from watch.findings(rows)


def _header(table: Table, content: Any) -> list[str]:
    import pandas as pd

    try:
        return list(pd.read_csv(io.BytesIO(content), nrows=0, **_reading(table)).columns)
    except pd.errors.EmptyDataError:
        return []


def _pieces(table: Table, content: Any) -> Iterator[pd.DataFrame]:
    import pandas as pd

    with pd.read_csv(io.BytesIO(content), chunksize=_ROWS, **_reading(table)) as reader:
        yield from reader


def _reading(table: Table) -> dict[str, Any]:
    """Return pandas' arguments; its fast engine takes only ASCII separators."""
    fast = table.separator.isascii()
    return {
        "sep": table.separator,
        "encoding": table.encoding,
        "decimal": table.decimal,
        "engine": "c" if fast else "python",
        **({"low_memory": False} if fast else {}),
    }


def _otherwise_separated(table: Table, header: Sequence[str]) -> bool:
    """Tell whether the expected columns are all in one cell, with another separator."""
    if len(header) != 1 or header[0] in table.columns:
        return False
    others = "".join({",", ";", "|", "\t"} - {table.separator})
    names = {name.strip(" \"'") for name in re.split(f"[{others}]", header[0])}
    required = {name for name, column in table.columns.items() if column.required}
    return len(names) > 1 and bool(names & required)


def _absent(table: Table, name: str, column: Column, header: Sequence[str]) -> Iterator[Finding]:
    for other in header:
        if other.strip() == name:
            yield Finding(f"{table.called}: column {name!r} has spaces around its name")
            return
        match = _IN_BRACKETS.fullmatch(other)
        if match and match[1] == name:
            same = match[2].lower() == column.unit.lower() != ""
            why = "has its unit in its name" if same else f"is not in {column.unit or 'that unit'}"
            yield Finding(f"{table.called}: column {name!r} {why}")
            return
    if column.required:
        yield Finding(f"{table.called} has no column {name!r}")


class _Watch:
    """Looks at the cells of one column, piece by piece."""

    def __init__(self, column: Column, called: str) -> None:
        self._column = column
        self._called = called
        self._allowed = None if column.values is None else DeclaredLabels(column.values)
        self._missing = 0
        self._of_kind = self._in_bounds = self._known = True

    def see(self, cells: pd.Series[Any]) -> None:
        """Look at some cells, as pandas has read them."""
        present = cells.dropna()
        self._missing += len(cells) - len(present)
        if self._allowed is not None and self._known:
            self._known = all(self._allowed.find(cell) is not None for cell in present.unique())
        if self._column.kind == "date":
            self._of_kind = self._of_kind and _are_dates(present)
        elif self._column.kind != "text" and len(present):
            self._see_numbers(present)

    def _see_numbers(self, present: pd.Series[Any]) -> None:
        import numpy as np

        if not _are_numbers(present):
            self._of_kind = False
            return
        values = present.to_numpy(dtype=np.float64)
        finite = np.isfinite(values)
        whole = self._column.kind != "whole" or bool((values[finite] % 1 == 0).all())
        self._of_kind = self._of_kind and bool(finite.all()) and whole
        low, high = self._column.low, self._column.high
        if low is not None:
            self._in_bounds = self._in_bounds and not (values[finite] < low).any()
        if high is not None:
            self._in_bounds = self._in_bounds and not (values[finite] > high).any()

    def findings(self, rows: int) -> Iterator[Finding]:
        """Yield what was found in so many rows."""
        column = self._column
        if not self._of_kind:
            yield Finding(f"{self._called} holds other things than {_CALLED[column.kind]}")
        if not self._known:
            allowed = ", ".join(map(str, column.values or ()))
            yield Finding(f"{self._called} holds other texts than {allowed}", column.stops)
        if not self._in_bounds:
            yield Finding(f"{self._called} has values {outside(column)}", column.stops)
        # as the decimal number that it is written as: 29 of 100 are not more than 0.29
        if self._missing > Fraction(str(float(column.most_missing))) * rows:
            share = f"{100 * float(column.most_missing):g}%"
            yield Finding(f"{self._called} is empty in more than {share} of the rows", column.stops)


def _are_numbers(present: pd.Series[Any]) -> bool:
    """Tell whether pandas has read numbers; integers beyond 64 bits it keeps as Python's."""
    if present.dtype.kind != "O":
        return present.dtype.kind in "iuf"
    return all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in present)


def _are_dates(present: pd.Series[Any]) -> bool:
    """Tell whether they are texts that pandas reads as dates; a number is none."""
    import pandas as pd

    if not all(isinstance(cell, str) and cell.strip()[:1].isdigit() for cell in present):
        return False
    read = pd.to_datetime(present, format="ISO8601", errors="coerce", utc=True)
    return not bool(read.isna().any())
