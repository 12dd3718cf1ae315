"""Which words of a failure may leave: those that the hospital's process finds in known text.

The process of an analysis makes its failures, and could write patients' rows into them. So a text
is cut into the longest pieces that stand, word for word, in the framework's own messages, in the
code of the app's archive or in its run config; of these a few leave, and nothing else. Which
pieces they are, an app still chooses: it can say a dozen words of its own code.
"""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

from flame_flwr.user_code.paths import FRAMEWORK_CODE

__all__ = ["MARK", "KnownWords"]

MARK = "…"
"""Stands where something else did."""

_TOKEN = re.compile(r"\w+|\n|[^\S\n]+|[^\w\s]")
_GAP = re.compile(r"[^\S\n]+")
_WORD = re.compile(r"\w+")
_DIGIT = re.compile("[0-9]", re.ASCII)
_MARKS = re.compile(rf"{MARK}(?:[^\w{MARK}]*{MARK})+")
_PLACE = re.compile(r"([^/:\n]{1,100}):(\d{1,7}) in ([\w<>]{1,100})")
_BETWEEN = frozenset(" .,:;'\"`()[]{}$*=-")
_MOST_BETWEEN = 6
_MOST_PLACES = 5000
_MOST_SAID = 40
_MOST_SOURCE = 1_000_000
_IN_NO_DEF = frozenset(
    {"<module>", "<lambda>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}
)
_OF_NODES = frozenset({"crash", "timeout", "unreadable"})
_OF_PACKAGES = frozenset(
    {
        *("DateParseError", "EmptyDataError", "IntCastingNaNError", "InvalidIndexError"),
        *("MergeError", "OutOfBoundsDatetime", "ParserError", "UndefinedVariableError"),
        *("ConvergenceError", "LinAlgError", "NotFittedError", "OutOfMemoryError"),
        *("BinderException", "CatalogException", "ConversionException", "SchemaError"),
    }
)
"""Exceptions of packages that analyses use, and the node's own process does not."""


@dataclass(frozen=True)
class KnownWords:
    """The text that a failure's words are looked up in.

    Parameters
    ----------
    files : mapping of str to bytes
        The app's, by path, as its archive has them.
    more : sequence of str
        What else the node itself knows: the run config, its own name.

    Examples
    --------
    >>> known = KnownWords({"app.py": b'Table("visits.csv", {"age": Column()})'})
    >>> known.text("visits.csv has no column 'age': Zacharias, 1961-03-04")
    "visits.csv has no column 'age': …"
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    more: Sequence[str] = ()

    def type(self, name: str) -> str:
        """Return an exception's type, ``Exception`` where it is no known one."""
        if name in _OF_NODES or name in _OF_PACKAGES or name in _loaded_exceptions():
            return name
        # Of a class that the code has, and not of any word: that could spell out a value.
        own = _WORD.fullmatch(name) and re.compile(rf"^\s*class {name}\b", re.MULTILINE)
        return name if own and any(map(own.search, self._code().values())) else "Exception"

    def place(self, place: str) -> str:
        """Return a place in code that there is, in the app, the framework or a loaded module."""
        found = _PLACE.fullmatch(place)
        if found is None:
            return ""
        file, line, function = found.groups()
        code = (text for path, text in self._code().items() if path.rpartition("/")[2] == file)
        is_there = any(_stands(text, int(line), function) for text in (*code, *_sources(file)))
        return f"{file}:{int(line)} in {function}" if is_there else ""

    def text(self, text: str, most: int = 12) -> str:
        """Return a text, with :data:`MARK` in place of what is not known."""
        return self.texts([text], most)[0]

    def texts(self, texts: Sequence[str], most: int) -> list[str]:
        """Return several texts, of which so many pieces leave together."""
        tokens = [_TOKEN.findall(" ".join(text.split())) for text in texts]
        # Of the app's code only these are looked for: a megabyte of it is read for every failure.
        wanted = {token for each in tokens for token in each if _WORD.match(token)}
        known = (_framework(), _Known.of(self._lines(), wanted))
        allowed = []
        for each in tokens:
            pieces = _pieces(each, known, most)
            most -= sum(piece.is_known for piece in pieces)
            allowed.append(_joined(pieces))
        return allowed

    def said(self, said: Any) -> Any:
        """Return JSON values with their texts as they may leave, and without unknown keys."""
        texts = list(dict.fromkeys(_texts(said)))
        return _with_texts(said, dict(zip(texts, self.texts(texts, _MOST_SAID), strict=True)))

    def _code(self) -> dict[str, str]:
        """Return the app's Python files, up to so many bytes of them."""
        found, left = {}, _MOST_SOURCE
        for path, content in self.files.items():
            left -= len(content) if path.endswith(".py") else 0
            if path.endswith(".py") and left >= 0:
                found[path] = content.decode(errors="replace")
        return found

    def _lines(self) -> Iterator[str]:
        yield from self._code().values()
        yield from self.more


class _Piece(NamedTuple):
    """A part of a text.

    Attributes
    ----------
    text : str
        As it may leave.
    is_known : bool
        Whether it is of known text, and not what stands between that.
    """

    text: str
    is_known: bool


class _Known(NamedTuple):
    """Known text, and where in it the words are that are asked for."""

    tokens: list[str]
    places: dict[str, list[int]]

    @classmethod
    def of(cls, texts: Iterable[str], wanted: set[str] | None = None) -> _Known:
        """Look for words in texts, or for all; no piece goes over the end of a line."""
        tokens: list[str] = []
        places: dict[str, list[int]] = {}
        for text in texts:
            for token in _TOKEN.findall(text):
                if token in wanted if wanted is not None else _WORD.match(token):
                    found = places.setdefault(token, [])
                    if len(found) < _MOST_PLACES:  # an app could have one word a million times
                        found.append(len(tokens))
                tokens.append(" " if _GAP.fullmatch(token) else token)
            tokens.append("\n")
        return cls(tokens, places)

    def longest(self, tokens: Sequence[str], start: int) -> int:
        """Return how many tokens of a text, from there on, stand here in this order."""
        places = self.places.get(tokens[start], ())
        return max((self._alike(tokens, start, place) for place in places), default=0)

    def _alike(self, tokens: Sequence[str], start: int, place: int) -> int:
        length = 1
        while (
            start + length < len(tokens)
            and place + length < len(self.tokens)
            and tokens[start + length] == self.tokens[place + length]
        ):
            length += 1
        return length


def _pieces(tokens: Sequence[str], known: Sequence[_Known], most: int) -> list[_Piece]:
    """Cut a text into its longest known pieces, of which so many may leave."""
    found: list[_Piece] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        length = _length(tokens, place, known)
        if not _WORD.match(token):
            found.append(_Piece(token, False))
        # Unknown, or one piece too many: a mark says that something is left out.
        elif not length or not most:
            found.append(_Piece(MARK, False))
        else:
            most -= 1
            found.append(_Piece("".join(tokens[place : place + length]), True))
        place += max(length, 1)
    return found


def _length(tokens: Sequence[str], start: int, known: Sequence[_Known]) -> int:
    """Return how many tokens the longest known piece has; nothing is spelled letter by letter."""
    length = max(each.longest(tokens, start) for each in known)
    # Every letter is somewhere in the code as a word. One by one they would spell a name.
    letters = "".join(_WORD.findall("".join(tokens[start : start + length])))
    return length if len(letters) > 1 else int(_DIGIT.fullmatch(tokens[start]) is not None)


def _joined(pieces: Sequence[_Piece]) -> str:
    """Return pieces as one text; between two stand a few signs at most."""
    said, between = [], ""
    for piece in (*pieces, _Piece("", True)):
        if piece.is_known or piece.text == MARK:
            said += [between[:_MOST_BETWEEN], piece.text]
            between = ""
        elif piece.text in _BETWEEN:  # few of them, and few kinds: what is between could be a code
            between += piece.text
    return _MARKS.sub(MARK, "".join(said))


def _texts(said: Any) -> Iterator[str]:
    if isinstance(said, str):
        yield said
    elif isinstance(said, Mapping):
        for pair in said.items():
            yield from _texts(pair)
    elif isinstance(said, list | tuple):
        for item in said:
            yield from _texts(item)


def _with_texts(said: Any, allowed: Mapping[str, str]) -> Any:
    if isinstance(said, str):
        return allowed[said]
    if isinstance(said, Mapping):
        known = [(key, value) for key, value in said.items() if allowed[key] == key]
        return {key: _with_texts(value, allowed) for key, value in known}
    return [_with_texts(item, allowed) for item in said] if isinstance(said, list | tuple) else said


# ---- what is known without the app -----------------------------------------------------------


@cache
def _framework() -> _Known:
    """Return what the framework's messages are made of, a part a line: texts of its code."""
    found: dict[str, None] = {}
    for path in _framework_files().values():
        waiting: list[CodeType | None] = [SourceFileLoader("code", str(path)).get_code("code")]
        while waiting:
            code = waiting.pop()
            if code is None:
                continue
            found[code.co_name] = None
            # A function's code is a constant of the code around it, as its texts are.
            for constant in code.co_consts:
                each = constant if isinstance(constant, tuple | frozenset) else (constant,)
                waiting += [part for part in each if isinstance(part, CodeType)]
                found.update(dict.fromkeys(part for part in each if isinstance(part, str)))
    # Docstrings have numbers in their examples; no message has several lines.
    texts = [part for part in found if "\n" not in part]
    return _Known.of([*texts, *dir(builtins), *(str(each.value) for each in HTTPStatus)])


@cache
def _framework_files() -> dict[str, Path]:
    """Return the framework's files, by path."""
    return {str(path): path for folder in FRAMEWORK_CODE for path in Path(folder).rglob("*.py")}


def _loaded_exceptions() -> set[str]:
    """Return the names of all exceptions that this process has: it imports no app."""
    found: set[type[BaseException]] = set()
    waiting: list[type[BaseException]] = [BaseException]
    while waiting:
        kind = waiting.pop()
        if kind not in found:
            found.add(kind)
            waiting += type.__subclasses__(kind)
    return {kind.__name__ for kind in found}


def _sources(file: str) -> Iterator[str]:
    """Yield the text of every file of a name that the framework has, or this process has loaded."""
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    for path in {*_framework_files(), *(path for path in loaded if isinstance(path, str))}:
        if path.endswith(".py") and Path(path).name == file:
            try:
                yield Path(path).read_text(errors="replace")
            except OSError:
                continue


def _stands(text: str, line: int, function: str) -> bool:
    """Tell whether a function can be running at a line of a file."""
    # Any line below the `def` will do: where a function ends, this does not look.
    lines = text.splitlines()[:line]
    if not 0 < line == len(lines):
        return False
    if function in _IN_NO_DEF:
        return True
    start = re.compile(rf"\s*(async\s+)?def {re.escape(function)}\b")
    return any(map(start.match, lines))
