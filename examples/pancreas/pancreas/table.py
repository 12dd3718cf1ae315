"""One hospital's ``pancreasData.csv``: read and checked, or refused with a plain message.

A message tells numbers of columns, rows and cells, never a value; what was found stands in the
error's detail, which stays at the hospital.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pandas as pd

from flame_flwr.errors import DataError
from pancreas.scaling import Values

__all__ = ["FILE", "Patients", "held_out", "load_table"]

FILE = "pancreasData.csv"

Patients = tuple[Values, Values]
"""Measurements, shape (n_rows, n_measurements), and labels: 1 for ill, 0 for healthy."""


def load_table(
    data: Iterable[Mapping[str, bytes]] | None, columns: Sequence[str] | None = None
) -> Patients:
    """Find the file in a node's data, read it and check it.

    Parameters
    ----------
    data : iterable of dict of str to bytes
        What a STAR analyzer gets: one dict of files per data source.
    columns : sequence of str, optional
        What the measurements must be called, in this order. A model's coefficients are averaged
        by position, so hospitals whose columns differ must not train together.

    Raises
    ------
    DataError
        The file is missing or there twice, is no table, has other columns, cells that are no
        finite number, labels other than 0 and 1, or labels of one class only.
    """
    frame = _read(_file(data))
    _check_columns(frame, columns)
    values = np.column_stack(
        [
            pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
            for _, column in frame.items()
        ]
    )
    _check_numbers(frame, values)
    labels = values[:, -1]
    wrong = (labels != 0) & (labels != 1)
    if wrong.any():
        raise DataError(
            f"The last column of {FILE} is the label, and {_count(int(wrong.sum()), 'cell')} of it "
            f"{'is' if wrong.sum() == 1 else 'are'} neither 0 nor 1.",
            detail=f"found: {np.unique(labels[wrong])[:5].tolist()}",
        )
    if labels.min() == labels.max():
        raise DataError(
            f"Every row of {FILE} has the label {int(labels[0])}: a classifier needs patients "
            "with and without the disease at every hospital. Leave this hospital out."
        )
    return values[:, :-1], labels


def held_out(labels: Values, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Choose the rows that are kept for the test: the same share of each class, rounded down.

    Parameters
    ----------
    labels : ndarray of float64, shape (n_rows,)
    share : float
        From 0, nothing is kept, to below 1.
    seed : int
        The same rows are chosen for the same labels and seed.

    Returns
    -------
    ndarray of bool, shape (n_rows,)
    """
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for label in (0, 1):
        rows = rng.permutation(np.flatnonzero(labels == label))
        chosen[rows[: int(len(rows) * share)]] = True
    return chosen


def _file(data: Iterable[Mapping[str, bytes]] | None) -> bytes:
    sources = list(data or ())
    found = [files[FILE] for files in sources if FILE in files]
    if len(found) == 1:
        return found[0]
    names = [name for files in sources for name in files]
    if not found:
        raise DataError(
            f"There is no {FILE} among this node's {len(names)} files. The name must be exactly "
            "this one, and the file must not lie in a subfolder.",
            detail=f"files: {sorted(names)}",
        )
    raise DataError(f"{len(found)} of this node's data sources have a {FILE}, and it must be one.")


def _read(content: bytes) -> pd.DataFrame:
    try:
        frame = pd.read_csv(BytesIO(content), encoding="utf-8-sig", low_memory=False)
    except pd.errors.EmptyDataError:
        raise DataError(f"{FILE} is empty.") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{FILE} is not UTF-8 text. Save it as a CSV file in UTF-8.", detail=str(error)
        ) from None
    except pd.errors.ParserError as error:
        raise DataError(
            f"{FILE} is not a table: its lines have different numbers of cells.",
            detail=str(error),
        ) from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(f"{FILE} is not a table: its lines have more cells than column names.")
    if frame.empty:
        raise DataError(f"{FILE} has column names but not one patient.")
    return frame


def _check_columns(frame: pd.DataFrame, columns: Sequence[str] | None) -> None:
    found = [str(name).strip() for name in frame.columns]
    detail = f"columns: {found}"
    separator = "Is the file separated by commas, and is its first line the column names?"
    if columns is None:
        if len(found) < 2:
            raise DataError(
                f"{FILE} has 1 column, and at least 2 are needed: measurements, and the label "
                f"last. {separator}",
                detail=detail,
            )
        return
    if len(found) != len(columns) + 1:
        raise DataError(
            f"{FILE} has {_count(len(found), 'column')}, and {len(columns) + 1} are "
            f"expected: {len(columns)} measurements, and the label last. {separator}",
            detail=detail,
        )
    others = [i for i, name in enumerate(columns) if found[i] != name]
    if others:
        raise DataError(
            f"{len(others)} of the {len(columns)} measurements in {FILE} are not called as "
            f"expected, or not in the expected order; the first is column {others[0] + 1}, where "
            f"'{columns[others[0]]}' is expected.",
            detail=detail,
        )


def _check_numbers(frame: pd.DataFrame, values: Values) -> None:
    bad = ~np.isfinite(values)
    empty = frame.isna().to_numpy()
    for cells, what in (
        (bad & ~empty, "no finite number"),
        (bad & empty, "no value; nothing is guessed: fill them in or leave the patients out"),
    ):
        if cells.any():
            first = int(np.flatnonzero(cells.any(axis=0))[0])
            number = _count(int(cells.sum()), "cell")
            raise DataError(
                f"{number} of {FILE}, the first of them in column {first + 1}, "
                f"{'holds' if cells.sum() == 1 else 'hold'} {what}.",
                detail=f"column {frame.columns[first]!r}: "
                f"{frame.iloc[:, first][cells[:, first]].head(3).tolist()}",
            )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
