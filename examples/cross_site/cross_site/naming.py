"""Files that are called otherwise, or have no headers, as the ``train.csv`` and ``test.csv`` here.

One text says how they are called: ``"Xtrain.csv + ytrain.csv, Xtest.csv + ytest.csv"`` for
measurements and labels in files of their own, ``"site-*.csv, site-*_test.csv"`` for tables. Cells
are copied as they are written; whether they are numbers is looked at afterwards.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from flame_flwr.errors import ConfigError, DataError

__all__ = ["LABEL", "TEST", "TRAIN", "as_named", "check_files", "names_in_messages"]

TRAIN, TEST, LABEL = "train.csv", "test.csv", "label"

Lines = list[list[str]]


def check_files(files: str) -> list[list[str]]:
    """Return what a text says: of the files to train and to test with, one name each or two.

    Raises
    ------
    ConfigError
        It says something else.

    Examples
    --------
    >>> check_files("Xtrain.csv + ytrain.csv, Xtest.csv + ytest.csv")
    [['Xtrain.csv', 'ytrain.csv'], ['Xtest.csv', 'ytest.csv']]
    """
    parts = [[name.strip() for name in part.split("+")] for part in files.split(",")]
    if len(parts) != 2 or any(len(part) > 2 or not all(part) for part in parts):
        raise ConfigError(
            "files must name what to train and what to test with, separated by a comma: "
            "'site-*.csv, site-*_test.csv', or with labels in files of their own "
            "'Xtrain.csv + ytrain.csv, Xtest.csv + ytest.csv'"
        )
    return parts


def names_in_messages(files: str = "") -> tuple[str, str]:
    """Return what messages call the file to train and the one to test with: as the text does.

    Examples
    --------
    >>> names_in_messages("site-*.csv, site-*_test.csv")
    ('site-*.csv', 'site-*_test.csv')
    >>> names_in_messages()
    ('train.csv', 'test.csv')
    """
    if not files:
        return TRAIN, TEST
    train, test = map(" + ".join, check_files(files))
    return train, test


def as_named(data: Iterable[Mapping[str, bytes]] | None, files: str = "") -> Any:
    """Return a node's data as if its files were ``train.csv`` and ``test.csv`` with headers.

    A table without column names has the label first, as in the demo of the slides; then the
    measurements are called ``x1``, ``x2`` and so on.

    Parameters
    ----------
    data : iterable of dict of str to bytes
        What a STAR analyzer gets.
    files : str
        How its files are called; empty: as here, and nothing is changed.

    Raises
    ------
    DataError
        A file is not there, or more than one is called so; or there are not as many labels as rows.
    """
    if not files:
        return data
    sources = list(data or ())
    names = sorted({name for source in sources for name in source})
    train, test = check_files(files)
    taken = {name for name in names if any(fnmatchcase(name, pattern) for pattern in test)}
    rest = [name for name in names if name not in taken and not name.endswith("_header.csv")]
    return [
        {
            TRAIN: _written(*(_lines(sources, rest, pattern) for pattern in train)),
            TEST: _written(*(_lines(sources, sorted(taken), pattern) for pattern in test)),
        }
    ]


def _lines(sources: list[Mapping[str, bytes]], names: list[str], pattern: str) -> Lines:
    found = [name for name in names if fnmatchcase(name, pattern)]
    contents = [source[name] for name in found for source in sources if name in source]
    if len(contents) != 1:
        raise DataError(
            f"{'No file' if not contents else 'More than one file'} at this node is called "
            f"{pattern}, and it must be one: say in `files` what they are called here.",
            detail=f"files: {names[:20]}",
        )
    try:
        text = contents[0].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{pattern} is no text in UTF-8.", detail=str(error)) from None
    lines = [[cell.strip() for cell in line] for line in csv.reader(io.StringIO(text)) if line]
    if not lines:
        raise DataError(f"{pattern} is empty.")
    return lines


def _written(table: Lines, labels: Lines | None = None) -> bytes:
    """Return one CSV file with column names and a label."""
    names, rows = (table[0], table[1:]) if _are_names(table[0]) else (None, table)
    if labels is not None:
        # words may be labels, too: a first line is a name where there is a line more than rows
        own = labels[1:] if _are_names(labels[0]) and len(labels) > len(rows) else labels
        if len(own) != len(rows) or any(len(line) != 1 for line in own):
            raise DataError("A file of labels must have one label per row of the measurements.")
        names = names or _numbered(len(rows[0]) if rows else 0)
        names, rows = [LABEL, *names], [[*y, *x] for x, y in zip(rows, own, strict=True)]
    text = io.StringIO()
    names = names or [LABEL, *_numbered(len(rows[0]) - 1)]
    csv.writer(text, lineterminator="\n").writerows([names, *rows])
    return text.getvalue().encode()


def _numbered(count: int) -> list[str]:
    return [f"x{number}" for number in range(1, count + 1)]


def _are_names(line: list[str]) -> bool:
    """Tell whether a first line has column names: no cell of it is a number, or empty."""
    return all(cell and not _is_number(cell) for cell in line)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
