"""Result files as a report shows them: images, tables, text; bounded, and never executed."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flame_flwr.results.report_images import NotShownError, image_uri
from flame_flwr.results.report_literals import literal_table, series_table
from flame_flwr.results.report_tables import ReportTable
from flame_flwr.text.python_words import result_in_words
from flame_flwr.text.shown_text import cut_off
from flame_flwr.text.sizes import shown_size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["ShownFile", "inline"]

_MOST_FILES = 40
_ALL_IMAGES = 12_000_000
_MOST_TEXT = 20_000
_MOST_ROWS, _MOST_COLUMNS, _LONGEST_CELL = 50, 20, 200
_LONG_NUMBER = re.compile(r"\A[-+]?\d{1,15}\.\d{7,40}(?:e[-+]?\d{1,3})?\Z", re.IGNORECASE)
"""More digits than anybody reads, which also have no room on a page."""
_LISTED_ONLY = ("history.csv", "run.json", "rescue.pkl", "report.html", "report.pdf")


@dataclass(slots=True)
class ShownFile:
    """A file of a report: an image, a table or a text; none of them where it cannot be shown.

    Attributes
    ----------
    name : str
        Relative to the run's folder.
    size : int
        Bytes.
    image : str
        A ``data:`` URI.
    table : ReportTable or None
        The content of a CSV or TSV file.
    text : str
        The content of a text file.
    note : str
        What of it is not shown, and why.
    """

    name: str
    size: int
    image: str = ""
    table: ReportTable | None = None
    text: str = ""
    note: str = ""


def inline(folder: Path, paths: Sequence[Path]) -> list[ShownFile]:
    """Return files as they are shown, in this order.

    Parameters
    ----------
    folder : Path
        The run's.
    paths : sequence of Path
        Files; those that are the framework's own are left out.
    """
    chosen = [path for path in paths if _is_result(folder, path)]
    shown, images = [], 0
    for path in chosen[:_MOST_FILES]:
        file = _shown(folder, path, _ALL_IMAGES - images)
        images += len(file.image)
        shown.append(file)
    if len(chosen) > _MOST_FILES:
        hidden = len(chosen) - _MOST_FILES
        shown.append(ShownFile("", 0, note=f"{hidden} more files are in the run's folder."))
    return shown


def _is_result(folder: Path, path: Path) -> bool:
    name = path.relative_to(folder).parts if path.is_relative_to(folder) else (path.name,)
    # `Path.is_file` raises for a name that is too long; a record from elsewhere may have one.
    return name[0] not in (*_LISTED_ONLY, "tensorboard") and os.path.isfile(path)


def _shown(folder: Path, path: Path, room: int) -> ShownFile:
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    file = ShownFile(name, path.stat().st_size)
    try:
        file.image = image_uri(path, room)
    except NotShownError as error:
        file.note = str(error)
        return file
    if not file.image:
        with path.open("rb") as opened:
            # A letter has four bytes at most.
            _show_text(file, path.suffix.lower(), opened.read(4 * _MOST_TEXT))
    return file


def _show_text(file: ShownFile, suffix: str, content: bytes) -> None:
    whole = len(content) >= file.size
    try:
        text = content.decode("utf-8-sig") if whole else _decoded_start(content)
    except UnicodeDecodeError:
        text = "\0"  # as other bytes that are no text
    if any(letter < " " and letter not in "\t\r\n\f" for letter in text[:_MOST_TEXT]):
        file.note = f"This is no text, image or table ({shown_size(file.size)}): open it elsewhere."
        return
    if suffix in (".csv", ".tsv") and _show_table(file, suffix, text, whole):
        return
    if suffix == ".json" and whole and (pretty := _pretty(text)) is not None:
        text = pretty
    elif whole and (table := literal_table(text) or series_table(text)) is not None:
        file.table = table
        return
    file.text = text[:_MOST_TEXT] if suffix == ".json" else result_in_words(text[:_MOST_TEXT])
    if len(text) > _MOST_TEXT or not whole:
        file.note = "This is its beginning; the file has the rest."


def _decoded_start(content: bytes) -> str:
    """Decode the beginning of a file, which may end within a letter."""
    return content.decode("utf-8-sig", "ignore") if _is_utf8(content) else "\0"


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(content) - 3  # the last letter was cut through
    return True


def _show_table(file: ShownFile, suffix: str, text: str, whole: bool) -> bool:
    """Show a table; tell whether it is one."""
    delimiter = "\t" if suffix == ".tsv" else ","
    try:
        lines = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error:
        return False
    # The last line of a beginning may end within a cell: half a number is a wrong one.
    lines = [row for row in (lines if whole else lines[:-1]) if row]
    if len(lines) < 2 or len(lines[0]) < 2:
        return False
    header, *rows = [
        [cut_off(cell, _LONGEST_CELL) for cell in line[:_MOST_COLUMNS]]
        for line in lines[: _MOST_ROWS + 1]
    ]
    rounded = [[_LONG_NUMBER.sub(_six_digits, cell) for cell in row] for row in rows]
    if rounded != rows:
        file.note = "Numbers are rounded to six digits; the file has all of them."
    file.table = ReportTable(header, rounded)
    if max(map(len, lines)) > _MOST_COLUMNS or len(lines) > _MOST_ROWS + 1 or not whole:
        more = f"These are {len(rows)} rows and at most {_MOST_COLUMNS} columns; the file "
        file.note = f"{file.note} {more}has the rest.".strip()
    return True


def _six_digits(number: re.Match[str]) -> str:
    return f"{float(number[0]):.6g}"


def _pretty(text: str) -> str | None:
    """Return JSON as it is read; ``None`` of what is none, whatever its file is called."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
