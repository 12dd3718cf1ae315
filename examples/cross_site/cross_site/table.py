"""One hospital's ``train.csv`` and ``test.csv``: read and checked, or refused with a plain message.

A message holds nothing of the data, no value, no count and no name that the analysis did not give
itself; what was found stands in the error's detail, which stays at the hospital.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from flame_flwr.data.expect import Column, Finding, Table
from flame_flwr.errors import DataError

__all__ = ["LABEL", "TEST", "TRAIN", "HospitalTable", "Patients", "expected", "read"]

TRAIN, TEST, LABEL = "train.csv", "test.csv", "label"
MIN_ROWS = 10

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


class HospitalTable(Table):
    """What a hospital's file must be, looked at before round 1.

    A :class:`~flame_flwr.data.expect.Table` that also tells columns too many and a class too few.
    """

    def look(self, data: Any) -> Iterator[Finding]:
        """Yield what is not as expected of a node's files."""
        found = list(super().look(data))
        yield from found
        if not found:
            names = [name for name in self.columns if name != LABEL]
            try:
                read(data, self.called, names or None)
            except DataError as error:
                yield Finding(error.message)


def expected(columns: Sequence[str] | None) -> list[HospitalTable]:
    """Return what every hospital's files must be, before the first round.

    Parameters
    ----------
    columns : sequence of str or None
        What the measurements are called; ``None``: hospitals say it in round 1.
    """
    known = {name: Column("number", most_missing=0) for name in columns or ()}
    known[LABEL] = Column(values=["0", "1"], most_missing=0)
    return [HospitalTable(name, known, min_rows=MIN_ROWS) for name in (TRAIN, TEST)]


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
        The file is missing or there twice, is no table, has other columns, cells that are no
        finite number, labels other than 0 and 1, or labels of one class only.
    """
    table = _parsed(_content(data, file), file)
    names = _measurements(table, file, columns)
    x = _numbers(table[names], file)
    label = pd.to_numeric(table[LABEL], errors="coerce").to_numpy(dtype=np.float64)
    if not np.isin(label, (0, 1)).all():
        raise DataError(
            f"{file}: the column {LABEL!r} must be 1 (ill) or 0 (healthy) in every row.",
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
        raise DataError(f"{file}: its lines have more cells than there are column names.")
    table.columns = pd.Index([str(name).strip() for name in table.columns])
    if table.empty:
        raise DataError(f"{file} has no rows: leave this hospital out, or give it its patients.")
    return table


def _measurements(table: pd.DataFrame, file: str, columns: Sequence[str] | None) -> list[str]:
    found = list(table.columns)
    if found.count(LABEL) != 1:
        raise DataError(
            f"{file} must have one column {LABEL!r}, with 1 (ill) or 0 (healthy). Is it separated "
            "by commas?",
            detail=f"columns: {found}",
        )
    names = [name for name in found if name != LABEL]
    if columns is None:
        if not names or len(set(names)) < len(names):
            raise DataError(f"{file} must have measurements beside {LABEL!r}, each called its own")
        return names
    for name in columns:
        if names.count(name) != 1:
            raise DataError(f"{file}: the measurement {name!r} must be there, once.")
    if len(names) > len(columns):
        raise DataError(
            f"{file} has other columns than the label and the {len(columns)} measurements of this "
            "analysis: take them out, or add them at every hospital and to the analysis.",
            detail=f"columns: {sorted(set(names) - set(columns))}",
        )
    return list(columns)


def _numbers(table: pd.DataFrame, file: str) -> Values:
    values: Values = table.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        columns = zip(table.columns, values.T, strict=True)
        bad = [name for name, column in columns if not np.isfinite(column).all()]
        raise DataError(
            f"{file}: every measurement must be a finite number in every row, and there are cells "
            "that are empty, text, NaN or infinite. Nothing is guessed: fill them in, or leave the "
            "patients out.",
            detail=f"columns: {bad[:5]}",
        )
    return values
