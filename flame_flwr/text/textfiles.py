"""Read text and TOML files that people write on any system, or refuse them with a reason.

A byte order mark and any line ends are fine, as Windows' editors write them; UTF-16 and other
encodings are refused by name. Not for tables and bundles, which are a node's data.
"""

from __future__ import annotations

import codecs
import json
import math
import re
import tomllib
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "decode_text",
    "flat",
    "has_mark",
    "read_settings",
    "read_text",
    "read_toml",
    "toml_key",
    "toml_value",
]

_MARK = codecs.BOM_UTF8
_ADVICE = "save it as UTF-8"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def read_text(path: Path) -> str:
    r"""Return a file's text, with ``\n`` at the end of its lines and without a byte order mark.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is in another encoding than UTF-8. The text says which line and what to do, and has
        neither the path nor anything of the content in it.
    """
    return decode_text(path.read_bytes())


def decode_text(content: bytes) -> str:
    r"""Return the text of a file's bytes, as :func:`read_text` does.

    Raises
    ------
    ValueError
        They are not UTF-8.

    Examples
    --------
    >>> decode_text(b"\xef\xbb\xbfname = 1\r\n")
    'name = 1\n'
    """
    # Without a mark, UTF-16 is known by its zero bytes: every letter of ASCII has one.
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        raise ValueError(f"it is UTF-16 (Notepad calls it Unicode) or no text at all: {_ADVICE}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not UTF-8: {_ADVICE}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is no TOML, or in another encoding than UTF-8; the text names the line.
    """
    return tomllib.loads(read_text(path))


def read_settings(path: Path, *, by_flower: bool = False) -> dict[str, Any]:
    """Return what a TOML file of somebody's settings holds.

    Parameters
    ----------
    path : Path
        The file.
    by_flower : bool
        Flower reads it too, and takes no byte order mark.

    Raises
    ------
    ConfigError
        It cannot be read; the message names the file and the line.
    """
    try:
        tables, marked = read_toml(path), by_flower and has_mark(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is no TOML file: {error}") from error
    if marked:
        raise ConfigError(
            f"{path} begins with a byte order mark, which Flower does not read: save it as UTF-8 "
            "without one (Notepad: UTF-8, not UTF-8 with BOM)"
        )
    return tables


def has_mark(path: Path) -> bool:
    """Tell whether a file begins with a byte order mark, which Flower does not read."""
    with path.open("rb") as file:
        return file.read(len(_MARK)) == _MARK


def flat(tables: dict[str, Any], within: str = "") -> dict[str, Any]:
    """Return nested tables as one, with dots between the names, as Flower does.

    Examples
    --------
    >>> flat({"results": "", "mine": {"alpha": 0.5}})
    {'results': '', 'mine.alpha': 0.5}
    """
    found: dict[str, Any] = {}
    for key, value in tables.items():
        name = f"{within}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found


def toml_key(key: str) -> str:
    """Write a key, with its dots in it, as it stands before ``=`` in TOML."""
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)


def toml_value(value: object) -> str:
    r"""Write a text, a boolean or a number as TOML.

    Raises
    ------
    ConfigError
        A text holds what is no character, such as half an emoji.

    Examples
    --------
    >>> print(toml_value('say "hi" 😀'))
    "say \"hi\" 😀"
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else f"{'-' if value < 0 else ''}inf"
    # A text of JSON is one of TOML, but for DEL below.
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            "a text holds what is no Unicode character, such as a file's name in another encoding",
            detail=ascii(value),
        ) from None
    # TOML takes no raw DEL, and JSON does; and whoever reads the file sees the text as it is.
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    number = ord(letter)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
