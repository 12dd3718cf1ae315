"""One hospital's labeled CSV file: found, read and checked, or refused with a plain message.

A message never holds a patient's value or a file's name; those go into the error's detail,
which stays at the hospital.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pandas as pd

from flame_flwr.errors import DataError

__all__ = ["LABEL", "Cohort", "labeled_file", "load_cohort", "numbers", "read_table", "sexes"]

LABEL = "pasc"

_LABELED = re.compile(r"(?:^|[^a-z0-9])labell?ed\.csv$")
_NEGATED = re.compile(r"(?:^|[^a-z0-9])(?:un|non|not)[^a-z0-9]labell?ed\.csv$")
_WORDS = {"yes": "1", "true": "1", "no": "0", "false": "0"}
# ISO 5218 codes beside the words; 0 is left out, as many files mean "female" or "male" by it.
_SEXES = {
    **dict.fromkeys(("female", "f", "woman", "2"), "female"),
    **dict.fromkeys(("male", "m", "man", "1"), "male"),
    **dict.fromkeys(("other", "diverse", "d", "x", "unknown", "u", "9"), "other"),
}


@dataclass(frozen=True)
class Cohort:
    """One hospital's patients.

    Attributes
    ----------
    table : pandas.DataFrame
        Every row and column of the file, unchanged.
    labels : ndarray of float64, shape (n_rows,)
        1 for Long COVID, 0 for none, NaN where nobody said.
    """

    table: pd.DataFrame
    labels: npt.NDArray[np.float64]

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which rows have a label; only those train or test the model."""
        return ~np.isnan(self.labels)


def load_cohort(data: Iterable[Mapping[str, bytes]] | None) -> Cohort:
    """Find the labeled file in a node's data, read it and check its label column.

    Parameters
    ----------
    data : iterable of dict of str to bytes
        What a STAR analyzer gets: one dict of files per data source.

    Raises
    ------
    DataError
        If there is not exactly one labeled file, or it is empty, not a table, has no ``pasc``
        column, labels other than 0 and 1, or labels of one class only.
    """
    table = read_table(labeled_file(data))
    if LABEL not in table.columns:
        raise DataError(
            f"There is no '{LABEL}' column among the {table.shape[1]} columns of the labeled "
            "file. Is the file separated by commas, and is its first line the column names?",
            detail=f"columns: {list(table.columns)}",
        )
    labels = numbers(table, LABEL)
    wrong = ~np.isnan(labels) & (labels != 0) & (labels != 1)
    if wrong.any():
        raise DataError(
            f"Column '{LABEL}' holds {_cells(wrong.sum())} other than 0 and 1. "
            "Write 1 for Long COVID, 0 for none, and leave the cell empty if it is not known.",
            detail=f"found: {np.unique(labels[wrong])[:5].tolist()}",
        )
    classes = np.unique(labels[~np.isnan(labels)])
    if len(classes) < 2:
        known = "no label at all" if len(classes) == 0 else f"only the label {int(classes[0])}"
        raise DataError(
            f"Column '{LABEL}' holds {known}: a classifier needs patients with and without "
            "Long COVID at every hospital."
        )
    return Cohort(table, labels)


def labeled_file(data: Iterable[Mapping[str, bytes]] | None) -> bytes:
    """Return the one file called ``labeled.csv`` or ``<anything>_labeled.csv``.

    The word must stand by itself: ``unlabeled.csv`` and ``not_labeled.csv`` are left alone.
    Upper and lower case, ``-`` or ``.`` for ``_`` and the spelling "labelled" do not matter.

    Raises
    ------
    DataError
        If no file has such a name, or more than one.
    """
    files = [item for source in data or () for item in source.items()]
    found = [(key, content) for key, content in files if _is_labeled(key)]
    if len(found) == 1:
        return found[0][1]
    names = f"files: {sorted(key for key, _ in found or files)}"
    if not found:
        raise DataError(
            "There is no labeled file: one file must be called labeled.csv or end in "
            f"_labeled.csv, and none of the {len(files)} here is.",
            detail=names,
        )
    raise DataError(
        f"There are {len(found)} labeled files, and it must be one: join them into one CSV file, "
        "or leave only one in this hospital's data.",
        detail=names,
    )


def read_table(content: bytes) -> pd.DataFrame:
    """Read a CSV file with a line of column names.

    Raises
    ------
    DataError
        If the bytes are empty, without patients, not UTF-8 text or not a table.
    """
    try:
        table = pd.read_csv(BytesIO(content), encoding="utf-8-sig", low_memory=False)
    except pd.errors.EmptyDataError:
        raise DataError("The labeled file is empty.") from None
    except UnicodeDecodeError as error:
        raise DataError(
            "The labeled file is not UTF-8 text. Save it as a CSV file in UTF-8.",
            detail=str(error),
        ) from None
    except pd.errors.ParserError as error:
        raise DataError(
            "The labeled file is not a table: its lines have different numbers of cells.",
            detail=str(error),
        ) from None
    if table.empty:
        raise DataError("The labeled file has column names but not one patient.")
    return table.rename(columns=lambda name: str(name).strip())


def numbers(table: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    """Return one column as float64, NaN where a cell is empty.

    ``yes``, ``no``, ``true`` and ``false`` count as 1 and 0.

    Returns
    -------
    ndarray of float64, shape (n_rows,)

    Raises
    ------
    DataError
        If a cell holds other text or an infinite number; the message names column and count.
    """
    column = table[name]
    if column.dtype.kind in "biuf":
        values = column.to_numpy(dtype=np.float64)
        wrong = np.isinf(values)
    else:
        text = column.astype("string").str.strip().str.lower()
        text = text.mask(text == "")
        converted = pd.to_numeric(text.replace(_WORDS), errors="coerce")
        values = converted.to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = (np.isnan(values) & text.notna().to_numpy()) | np.isinf(values)
    if wrong.any():
        raise DataError(
            f"Column '{name}' holds {_cells(wrong.sum())} of text where a number is expected. "
            "Write numbers with a point, and leave a cell empty if nothing is known.",
            detail=f"for example {column[wrong].iloc[0]!r}",
        )
    return values


def sexes(table: pd.DataFrame) -> npt.NDArray[np.object_] | None:
    """Return each patient's sex from the ``sex`` or ``gender`` column.

    Returns
    -------
    ndarray of object, shape (n_rows,), or None
        ``"female"``, ``"male"``, ``"other"``, or None where the cell is empty; None in place of
        the array if there is no such column.

    Raises
    ------
    DataError
        If a cell holds something else, such as the code 0, which means different things in
        different files.
    """
    name = next((name for name in ("sex", "gender") if name in table.columns), None)
    if name is None:
        return None
    text = table[name].astype("string").str.strip().str.lower().str.removesuffix(".0")
    text = text.mask(text == "")
    known = text.map(_SEXES)
    wrong = (known.isna() & text.notna()).to_numpy()
    if wrong.any():
        raise DataError(
            f"Column '{name}' holds {_cells(wrong.sum())} with something other than a sex. "
            "Write female, male or other (or 2, 1 and 9, the codes of ISO 5218).",
            detail=f"for example {table[name][wrong].iloc[0]!r}",
        )
    return known.astype(object).where(known.notna(), None).to_numpy()


def _is_labeled(key: str) -> bool:
    name = key.replace("\\", "/").rsplit("/", 1)[-1].lower()
    return bool(_LABELED.search(name)) and not _NEGATED.search(name)


def _cells(count: int) -> str:
    return f"{count} cell" if count == 1 else f"{count} cells"
