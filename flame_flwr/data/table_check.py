"""Looking at CSV files for the table that an analysis expects: read with pandas, as it will be.

A file is read in pieces, so that a large one takes little memory. A table of a database is there as
the DataFrame that the analysis gets.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from flame_flwr.data.mismatch import Mismatch, Tally, outside
from flame_flwr.labels import DeclaredLabels

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from flame_flwr.data.expect import Column, Table

__all__ = ["as_texts", "look_at_files", "rows_by", "subjects"]

_ROWS = 50_000
"""So many are looked at together."""
_IN_BRACKETS = re.compile(r"(.*?)\s*[\[(]\s*(.+?)\s*[\])]\s*")
_CALLED = {
    "number": "numbers",
    "whole": "whole numbers",
    "date": "dates like 2026-11-21",
}


_SUBJECT: ContextVar[str] = ContextVar("the column that says whom a row is about", default="")


@contextmanager
def rows_by(subject: str) -> Iterator[None]:
    """Count people by this column in the block, whatever column the tables themselves name."""
    token = _SUBJECT.set(subject)
    try:
        yield
    finally:
        _SUBJECT.reset(token)


def look_at_files(table: Table, data: Any) -> Iterator[Mismatch]:
    """Yield what is not as expected of a node's files, ``[{key: bytes, ...}, ...]``."""
    if not isinstance(data, list) or not all(isinstance(each, Mapping) for each in data):
        yield Mismatch("the data is not a list of files")
        return
    meant = _meant(table, data)
    if not meant:
        yield Mismatch(f"no file {table.called}")
    for content in meant:
        yield from _look_at(table, content, [_SUBJECT.get(), table.subject])


def subjects(table: Table, data: Any) -> list[Any]:
    """Return whom each row of a table is about; nothing where its files cannot be read."""
    import pandas as pd

    found: list[Any] = []
    try:
        for content in _meant(table, data):
            if _is_frame(content):
                found += as_texts(content[table.subject])
                continue
            reading = {**_reading(table), "usecols": [table.subject], "dtype": str}
            found += pd.read_csv(io.BytesIO(content), **reading)[table.subject].tolist()
    except (ValueError, OverflowError, TypeError, AttributeError, LookupError):
        return []  # it is for hello to say why
    return found


def as_texts(column: pd.Series[Any]) -> list[Any]:
    """Return a column's cells as texts; what is missing is none."""
    # pandas 2 makes the text "nan" of an empty cell, which would be a person
    return list(column.astype(str).where(column.notna(), None))


def _meant(table: Table, data: Any) -> list[Any]:
    """Return the contents of a table's files."""
    files = [(str(key).lower(), content) for each in data for key, content in each.items()]
    meant = {
        place
        for pattern in table.patterns
        for place in _places([key for key, _ in files], pattern.lower())
    }
    return [files[place][1] for place in sorted(meant)]


def _places(keys: Sequence[str], pattern: str) -> list[int]:
    """Return which files are meant: brackets are first taken as they stand, then as a pattern."""
    names = [(key, key.rsplit("/", 1)[-1]) for key in keys]
    for each in (pattern.replace("[", "[[]"), pattern):
        found = [i for i, both in enumerate(names) if any(fnmatchcase(name, each) for name in both)]
        if found:
            return found
    return []


def _look_at(table: Table, content: Any, subjects: Sequence[str]) -> Iterator[Mismatch]:
    """Look at a file, which must be bytes, or a table, which must be a DataFrame."""
    if not isinstance(content, bytes | bytearray | memoryview) and not _is_frame(content):
        yield Mismatch(f"{table.called} is not a file")
        return
    checks: dict[str, _ColumnCheck] = {}
    everybody, shifted = Tally(), False
    try:
        header = _header(table, content)
        if _otherwise_separated(table, header):
            yield Mismatch(f"{table.called} is not separated by {table.separator!r}: save it so")
            return
        for name, column in table.columns.items():
            if name in header:
                checks[name] = _ColumnCheck(column, f"{table.called}: column {name!r}")
            else:
                yield from _absent(table, name, column, header)
        if table.subject and header and table.subject not in {*header, *table.columns}:
            yield Mismatch(f"{table.called} has no column {table.subject!r}")
        for piece in _pieces(table, content) if header else ():
            rows = everybody.rows
            shifted = shifted or list(piece.index) != list(range(rows, rows + len(piece)))
            people = next((piece[name] for name in subjects if name and name in piece), None)
            everybody.add(piece.index == piece.index, people)
            for name, check in checks.items():
                check.see(piece[name], people)
    except (ValueError, OverflowError):  # also pandas' own errors, and wrong encodings
        yield Mismatch(f"{table.called} is not a table in {table.encoding}")
        return
    if shifted:  # pandas takes the first cells of all rows for an index then
        yield Mismatch(f"{table.called} has more cells in its rows than names in its first line")
    if everybody.rows < table.min_rows:
        # none at all may be said; else it is of as many as there may be
        few = everybody.at_most(min(everybody.rows, 1) * (table.min_rows - 1))
        yield Mismatch(f"{table.called} has fewer than {table.min_rows} rows", rows=few)
    for check in checks.values():
        yield from check.mismatches(everybody.rows)


def _is_frame(content: Any) -> bool:
    import pandas as pd

    return isinstance(content, pd.DataFrame)


def _header(table: Table, content: Any) -> list[str]:
    import pandas as pd

    if _is_frame(content):
        return list(map(str, content.columns))
    try:
        return list(pd.read_csv(io.BytesIO(content), nrows=0, **_reading(table)).columns)
    except pd.errors.EmptyDataError:
        return []


def _pieces(table: Table, content: Any) -> Iterator[pd.DataFrame]:
    import pandas as pd

    if _is_frame(content):
        yield content.reset_index(drop=True)
        return
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
        # else pandas would guess a column's type anew for each of its own small pieces
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


def _absent(table: Table, name: str, column: Column, header: Sequence[str]) -> Iterator[Mismatch]:
    for other in header:
        if other.strip() == name:
            yield Mismatch(f"{table.called}: column {name!r} has spaces around its name")
            return
        match = _IN_BRACKETS.fullmatch(other)
        if match and match[1] == name:
            same = match[2].lower() == column.unit.lower() != ""
            why = "has its unit in its name" if same else f"is not in {column.unit or 'that unit'}"
            yield Mismatch(f"{table.called}: column {name!r} {why}")
            return
    if column.required:
        yield Mismatch(f"{table.called} has no column {name!r}")


class _ColumnCheck:
    """Looks at the cells of one column, piece by piece."""

    def __init__(self, column: Column, called: str) -> None:
        self._column = column
        self._called = called
        self._allowed = None if column.values is None else DeclaredLabels(column.values)
        self._missing, self._odd, self._outside, self._unknown = (Tally() for _ in range(4))

    def see(self, cells: pd.Series[Any], people: pd.Series[Any] | None) -> None:
        """Look at some cells, as pandas has read them, and at whose they are."""
        there = cells.notna().to_numpy()
        self._missing.add(~there, people)
        present, whose = cells[there], None if people is None else people[there]
        if self._allowed is not None:
            find = {cell: self._allowed.find(cell) is None for cell in present.unique()}
            self._unknown.add(present.map(find).to_numpy(dtype=bool), whose)
        if self._column.kind == "date":
            self._odd.add(_no_dates(present), whose)
        elif self._column.kind != "text" and len(present):
            self._see_numbers(present, whose)

    def _see_numbers(self, present: pd.Series[Any], people: pd.Series[Any] | None) -> None:
        import numpy as np

        if not _are_numbers(present):
            self._odd.add(_no_numbers(present), people)
            return
        values = present.to_numpy(dtype=np.float64)
        finite = np.isfinite(values)
        odd = ~finite
        if self._column.kind == "whole":
            odd |= np.where(finite, values, 0) % 1 != 0
        self._odd.add(odd, people)
        low, high = self._column.low, self._column.high
        below = values < low if low is not None else ~finite
        above = values > high if high is not None else ~finite
        self._outside.add(finite & (below | above), people)

    def mismatches(self, rows: int) -> Iterator[Mismatch]:
        """Yield what was found; `rows` is how many rows there were in all."""
        column, called = self._column, self._called
        if self._odd.rows:
            kind = _CALLED[column.kind]
            yield Mismatch(f"{called} holds other things than {kind}", rows=self._odd.size)
        if self._unknown.rows:
            allowed = ", ".join(map(str, column.values or ()))
            text = f"{called} holds other texts than {allowed}"
            yield Mismatch(text, column.stops, self._unknown.size)
        if self._outside.rows:
            where = outside(column.low, column.high, column.unit)
            yield Mismatch(f"{called} has values {where}", column.stops, self._outside.size)
        # as the decimal number that it is written as: 29 of 100 are not more than 0.29
        if self._missing.rows > Fraction(str(float(column.most_missing))) * rows:
            share = f"{100 * float(column.most_missing):g}%"
            text = f"{called} is empty in more than {share} of the rows"
            yield Mismatch(text, column.stops, self._missing.size)


def _are_numbers(present: pd.Series[Any]) -> bool:
    """Tell whether pandas has read numbers; integers beyond 64 bits it keeps as Python's."""
    if present.dtype.kind != "O":
        return present.dtype.kind in "iuf"
    return all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in present)


def _no_numbers(present: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """Return which texts are not numbers, in a column that pandas has not read as numbers."""
    import pandas as pd

    odd: npt.NDArray[np.bool_] = pd.to_numeric(present, errors="coerce").isna().to_numpy()
    # each by itself may read as a number, as in a DataFrame of texts: then none alone is to blame
    return odd if odd.any() else ~odd


def _no_dates(present: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """Return which cells are neither dates nor texts that pandas reads as dates."""
    import datetime

    import numpy as np
    import pandas as pd

    odd = np.array([not isinstance(cell, datetime.date) for cell in present], dtype=bool)
    texts = [isinstance(cell, str) and cell.strip()[:1].isdigit() for cell in present]
    read = pd.to_datetime(present[texts], format="ISO8601", errors="coerce", utc=True)
    odd[np.flatnonzero(texts)[read.notna().to_numpy()]] = False
    return odd
