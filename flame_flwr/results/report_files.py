"""Result files as a report shows them: images, tables, text; bounded, and never executed."""

from __future__ import annotations

import base64
import csv
import io
import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.parsers import expat

from flame_flwr.sizes import shown_size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["ShownFile", "inline"]

_MOST_FILES = 40
_LARGEST_IMAGE = 3_000_000
_ALL_IMAGES = 12_000_000
_MOST_TEXT = 20_000
_MOST_ROWS, _MOST_COLUMNS, _LONGEST_CELL = 50, 20, 200
_LISTED_ONLY = ("history.csv", "run.json", "rescue.pkl", "report.html")

_IMAGES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
}


@dataclass(slots=True)
class ShownFile:
    """A file of a report.

    Attributes
    ----------
    name : str
        Relative to the run's folder.
    size : int
        Bytes.
    kind : {'image', 'table', 'text', 'none'}
        How it is shown.
    image : str
        A data URI.
    rows : list of list of str
        Of a table, the header first.
    text : str
        Of a text.
    note : str
        What of it is not shown, and why.
    """

    name: str
    size: int
    kind: str = "none"
    image: str = ""
    rows: list[list[str]] = field(default_factory=list)
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
    return name[0] not in (*_LISTED_ONLY, "tensorboard") and path.is_file()


def _shown(folder: Path, path: Path, images_left: int) -> ShownFile:
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    file = ShownFile(name, path.stat().st_size)
    with path.open("rb") as opened:
        start = opened.read(16)
        kind = _image_type(path, start)
        if kind:
            if file.size > min(_LARGEST_IMAGE, images_left):
                file.note = "This image is too large to be shown here."
                return file
            content = start + opened.read(_LARGEST_IMAGE)
            if not _is_whole(kind, content):
                file.note = "This image is broken, or not complete: it cannot be shown."
                return file
            file.kind = "image"
            file.image = f"data:{kind};base64,{base64.b64encode(content).decode()}"
            return file
        content = start + opened.read(4 * _MOST_TEXT)
    _show_text(file, path.suffix.lower(), content)
    return file


def _image_type(path: Path, start: bytes) -> str:
    for magic, kind in _IMAGES.items():
        if start.startswith(magic):
            return kind
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "image/webp"
    return "image/svg+xml" if path.suffix.lower() == ".svg" else ""


def _is_whole(kind: str, content: bytes) -> bool:
    """Tell whether an image is one that a browser shows, as far as its outer form tells."""
    if kind == "image/png":
        return _is_whole_png(content)
    if kind == "image/svg+xml":
        return _is_svg(content)
    if kind == "image/jpeg":
        return b"\xff\xd9" in content[-1000:]
    if kind == "image/gif":
        return content.rstrip(b"\0").endswith(b"\x3b")
    return len(content) >= 8 + int.from_bytes(content[4:8], "little")  # WebP


def _is_whole_png(content: bytes) -> bool:
    """Tell whether all chunks are there, up to the last, with their checksums."""
    at = 8
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if zlib.crc32(content[at + 4 : end - 4]) != int.from_bytes(content[end - 4 : end], "big"):
            return False
        if content[at + 4 : at + 8] == b"IEND":
            return end <= len(content)
        at = end
    return False


def _is_svg(content: bytes) -> bool:
    """Tell whether it is well-formed XML whose first element is SVG's; entities are refused."""
    parser = expat.ParserCreate(namespace_separator=" ")
    names: list[str] = []

    def refuse(*declared: object) -> None:
        raise ValueError("an entity is declared")

    parser.StartElementHandler = lambda name, attributes: names.append(name) if not names else None
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError):
        return False
    return names[:1] == ["http://www.w3.org/2000/svg svg"]


def _show_text(file: ShownFile, suffix: str, content: bytes) -> None:
    whole = len(content) >= file.size
    try:
        text = content.decode("utf-8-sig") if whole else _decoded_start(content)
    except UnicodeDecodeError:
        text = "\0"
    if any(letter < " " and letter not in "\t\r\n\f" for letter in text[:_MOST_TEXT]):
        file.note = f"This is no text, image or table ({shown_size(file.size)}): open it elsewhere."
        return
    if suffix in (".csv", ".tsv") and _show_table(file, suffix, text, whole):
        return
    if suffix == ".json" and whole:
        text = _pretty(text)
    file.kind, file.text = "text", text[:_MOST_TEXT]
    if len(text) > _MOST_TEXT or not whole:
        file.note = "This is its beginning; the file has the rest."


def _decoded_start(content: bytes) -> str:
    """Decode the beginning of a file, which may end within a letter."""
    return content.decode("utf-8-sig", "ignore") if _is_utf8(content) else "\0"


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(content) - 3
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
    file.kind = "table"
    wide = max(map(len, lines)) > _MOST_COLUMNS
    long = len(lines) > _MOST_ROWS + 1 or not whole
    file.rows = [
        [cell if len(cell) <= _LONGEST_CELL else f"{cell[:_LONGEST_CELL]}..." for cell in row]
        for row in (line[:_MOST_COLUMNS] for line in lines[: _MOST_ROWS + 1])
    ]
    if wide or long:
        file.note = (
            f"These are {len(file.rows) - 1} rows and at most {_MOST_COLUMNS} columns; the file "
            "has the rest."
        )
    return True


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
