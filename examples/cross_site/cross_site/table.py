"""One hospital's ``train.csv`` and ``test.csv``: read and checked, or refused with a plain message.

A message holds nothing of the data, no value, no count and no name that the analysis did not give
itself; what was found stands in the error's detail, which stays at the hospital.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_numeric_dtype

from cross_site.naming import LABEL, TEST, TRAIN, as_named, names_in_messages
from flame_flwr.data.expect import Column, Mismatch, Table
from flame_flwr.errors import DataError

__all__ = ["LABEL", "TEST", "TRAIN", "HospitalTables", "Patients", "expected", "read"]
__all__ += ["read_both"]

MIN_ROWS = 10
TOO_LARGE = 1e150
"""The square of a larger number is infinite."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Patients:
    """The rows of one file.

    Attributes
    ----------
    x : ndarray of float64, shape (n_rows, n_measurements)
    y : ndarray of int64, shape (n_rows,)
        1 for ill, 0 for healthy.
    columns : tuple of str
        What the measurements are called.
    """

    x: Values
    y: npt.NDArray[np.int64]
    columns: tuple[str, ...]


class _Named(NamedTuple):
    """A table whose columns are those of a hospital, but whose cells nobody has looked at."""

    called: str
    """What messages call its file."""
    table: pd.DataFrame
    names: list[str]
    said: bool
    """Whether the analysis itself declares the names."""


@dataclass(frozen=True)
class HospitalTables(Table):
    """What a hospital's two files must be, looked at before round 1; each finding says what to do.

    A :class:`~flame_flwr.data.expect.Table` whose columns are the measurements, and whose two
    patterns are what messages call the files.

    Attributes
    ----------
    files : str
        How they are called in the data, for :func:`cross_site.naming.as_named`.
    """

    files: str = ""

    def look(self, data: Any) -> Iterator[Mismatch]:
        """Yield the first thing that is not as expected of each of a node's files, or of both."""
        tables: dict[str, _Named] = {}
        try:
            data = as_named(data, self.files)
        except DataError as error:
            yield Mismatch(error.message)
            return
        for file, called in zip((TRAIN, TEST), self.patterns, strict=True):
            try:
                tables[file] = _named(data, file, list(self.columns) or None, called)
            except DataError as error:
                yield Mismatch(error.message)
        try:
            _compare(tables)
        except DataError as error:
            yield Mismatch(error.message)
            return
        for table in tables.values():
            try:
                _patients(table)
            except DataError as error:
                yield Mismatch(error.message)


def expected(
    columns: Sequence[str] | None, files: str = "", *, renamed: bool = False
) -> list[HospitalTables]:
    """Return what every hospital's files must be, before the first round.

    Parameters
    ----------
    columns : sequence of str or None
        What the measurements are called; ``None``: hospitals say it in round 1.
    files : str
        How the files are called, where it is not ``train.csv`` and ``test.csv``.
    renamed : bool
        The data has come through :func:`cross_site.naming.as_named`: only messages call them so.
    """
    measured = {name: Column("number") for name in columns or ()}
    called = names_in_messages(files)
    return [HospitalTables(called, measured, files="" if renamed else files)]


def read_both(
    data: Iterable[Mapping[str, bytes]] | None,
    columns: Sequence[str] | None = None,
    files: str = "",
) -> tuple[Patients, Patients]:
    """Return the patients to train and to test with, their measurements in the same order.

    Parameters
    ----------
    data, columns
        As for :func:`read`.
    files : str
        How the files are called, for :func:`cross_site.naming.as_named`.

    Raises
    ------
    DataError
        As for :func:`read`, or the two files have different measurements.
    """
    data = as_named(data, files)
    tables = {
        file: _named(data, file, columns, called)
        for file, called in zip((TRAIN, TEST), names_in_messages(files), strict=True)
    }
    _compare(tables)  # before numbers are: a column too many may be text
    train, test = map(_patients, tables.values())
    order = [test.columns.index(name) for name in train.columns]
    return train, Patients(test.x[:, order], test.y, train.columns)


def read(
    data: Iterable[Mapping[str, bytes]] | None, file: str, columns: Sequence[str] | None = None
) -> Patients:
    """Find a file in a node's data, read it and check it.

    Parameters
    ----------
    data : iterable of dict of str to bytes
        What a STAR analyzer gets: one dict of files per data source.
    file : str
        ``train.csv`` or ``test.csv``.
    columns : sequence of str, optional
        What the measurements are called: taken in this order. Without it all columns but the
        label, as they stand.

    Raises
    ------
    DataError
        The file is missing or there twice, is no table, has too few rows, other columns, cells that
        are no number below 1e150, labels other than 0 and 1, or labels of one class only.
    """
    return _patients(_named(data, file, columns, file))


def _named(
    data: Iterable[Mapping[str, bytes]] | None,
    file: str,
    columns: Sequence[str] | None,
    called: str,
) -> _Named:
    table = _parsed(_content(data, file), called)
    return _Named(called, table, _measurements(table, called, columns), columns is not None)


def _compare(tables: Mapping[str, _Named]) -> None:
    """Refuse two files that do not have the same measurements."""
    found = [set(table.names) for table in tables.values()]
    odd = found[0].union(*found) - found[0].intersection(*found) if found else None
    if odd:
        raise DataError(
            f"{' and '.join(table.called for table in tables.values())} have different "
            "measurements: give both the same columns.",
            detail=f"only in one of them: {sorted(odd)[:5]}",
        )


def _patients(named: _Named) -> Patients:
    file, table, names, said = named
    x = _numbers(table[names], file, said=said)
    label = pd.to_numeric(table[LABEL], errors="coerce").to_numpy(dtype=np.float64)
    if not np.isin(label, (0, 1)).all():
        raise DataError(
            f"{file}: column {LABEL!r} must be 1 (ill) or 0 (healthy) in every row.",
            detail=f"found: {sorted(map(str, set(table[LABEL])))[:5]}",
        )
    if label.min() == label.max():
        raise DataError(
            f"{file}: all rows have the same label, and a classifier is trained and tested with "
            "patients of both classes. Add patients of the other class, or leave this hospital out."
        )
    return Patients(x, label.astype(np.int64), tuple(names))


def _content(data: Iterable[Mapping[str, bytes]] | None, file: str) -> bytes:
    found = [files[file] for files in data or () if file in files]
    if len(found) != 1:
        raise DataError(
            f"{'There is no' if not found else 'There is more than one'} {file} among this node's "
            f"files: its folder must hold one {TRAIN} and one {TEST}."
        )
    return found[0]


def _parsed(content: bytes, file: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(BytesIO(content), encoding="utf-8-sig")
    except (ValueError, pd.errors.ParserError) as error:  # pandas' EmptyDataError is a ValueError
        raise DataError(
            f"{file} is no table in UTF-8, separated by commas, with column names in its first "
            "line.",
            detail=str(error),
        ) from None
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(
            f"{file}: its lines have more cells than there are column names. Is it separated by "
            "commas, and are its numbers written with a point?"
        )
    table.columns = pd.Index([str(name).strip() for name in table.columns])
    if len(table) < MIN_ROWS:
        raise DataError(
            f"{file} has fewer than {MIN_ROWS} rows: add patients, or leave this hospital out."
        )
    return table


def _measurements(table: pd.DataFrame, file: str, columns: Sequence[str] | None) -> list[str]:
    found = list(table.columns)
    if found.count(LABEL) != 1:
        raise DataError(
            f"{file} must have one column {LABEL!r}, with 1 (ill) or 0 (healthy). Is it separated "
            "by commas, with column names in its first line?",
            detail=f"columns: {found}",
        )
    names = [name for name in found if name != LABEL]
    if columns is None:
        if not names or len(set(names)) < len(names):
            raise DataError(f"{file} must have measurements beside {LABEL!r}, each called its own")
        return names
    missing = [name for name in columns if name not in names]
    if len(missing) == len(columns):
        raise DataError(
            f"{file} has none of the {len(columns)} measurements of this analysis. If they are "
            "called otherwise at all hospitals, COLUMNS in cross_site/app.py must say how."
        )
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise DataError(
            f"{file} has no column {', '.join(map(repr, missing[:3]))}{more}: add it, or take it "
            "out at every hospital and of the analysis."
        )
    if len(names) > len(columns):
        raise DataError(
            f"{file} has other columns than the label and the {len(columns)} measurements of this "
            "analysis: take them out, or add them at every hospital and to the analysis.",
            detail=f"columns: {sorted(set(names) - set(columns))}",
        )
    return list(columns)


def _numbers(table: pd.DataFrame, file: str, *, said: bool) -> Values:
    """Return the measurements; what they are called is told where the analysis has `said` it."""
    text = table.columns[[not is_numeric_dtype(dtype) for dtype in table.dtypes]]
    numbers = table.assign(**{name: pd.to_numeric(table[name], errors="coerce") for name in text})
    values: Values = numbers.to_numpy(dtype=np.float64)
    fine = np.abs(values) < TOO_LARGE
    if not fine.all():
        bad = [name for name, good in zip(table.columns, fine.T, strict=True) if not good.all()]
        which = f"column {bad[0]!r}" if said else "every measurement"
        raise DataError(
            f"{file}: {which} must be a finite number below 1e150 in every row, and there are "
            "cells that are empty, text, NaN, infinite or larger. Nothing is guessed: fill them "
            "in, or leave these patients out.",
            detail=f"columns: {bad[:5]}",
        )
    return values
