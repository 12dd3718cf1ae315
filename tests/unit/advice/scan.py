"""Where messages give advice in code: every string of the sources that tells somebody to do it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import flame_flwr.clients
import flame_flwr.strategies

FOLDERS = [
    Path(module.__file__ or "").parent
    for module in (flame_flwr, flame_flwr.clients, flame_flwr.strategies)
]

_VERBS = re.compile(
    r"\b(declare|say|set|use|return|give|write|call|take|turn|make|convert|begin with|for example|"
    r"such as|install|raise|run|put|name|choose|is written as|needs|one of)\b",
    re.IGNORECASE,
)
"""Which sentences with a name in backticks are advice; code is, whatever stands around it."""

_FORMS = {
    "pip": r"pip install ['\"][^'\"]*['\"]",
    "command": (
        r"(?:(?<=`)|^|(?<=\brun ))flame-flwr (?!is |has )[a-z]+(?: [a-z]+\b)?(?: --[a-z-]+)*"
    ),
    "flwr": r"(?<=`)flwr [^`]*",
    "option": r"(?<![\w-])--[a-z][a-z-]+",
    "keyword": r"\b[a-z_]+=(?:\"[^\"]*\"|'[^']*'|True|False|\[|[A-Z]\w*\()",
    "setting": r"\b[a-z][a-z-]* = (?:\"[^\"]*\"|true|false|[\d\[])",
    "call": r"(?:(?<![\w{])\.?[A-Za-z_][\w.]*|\{\}(?!\(\{\}|\(\?))\([^)]*\)",
    "list": r"(?<=such as )\[[^\]]*\]",
    "name": r"`[a-z_]+(?:-[a-z]+)*`",
}
_OPEN, _CLOSE = "\u27e6", "\u27e7"
_FILLED_IN = re.compile(f"{_OPEN}[^{_CLOSE}]*{_CLOSE}")
"""An expression in the place of a text, of which nothing is written here."""

_NO_MESSAGE = re.compile(r"^[#\[]|\{[^{}]*: [^{}]*;[^{}]*\}")
"""Comments, tables of TOML, and style sheets."""

_FORM = re.compile("|".join(f"(?P<{kind}>{form})" for kind, form in _FORMS.items()))


@dataclass(frozen=True)
class Advice:
    """A piece of code in a message that tells somebody to write it.

    Attributes
    ----------
    where : str
        File and line.
    message : str
        The whole, in one line; what is filled in stands as ``{...}``.
    kind : str
        One of ``_FORMS``.
    code : str
        The code.
    """

    where: str
    message: str
    kind: str
    code: str


def advice() -> Iterator[Advice]:
    """Give all advice in the messages of the sources, with a form for each."""
    for where, marked in _marked():
        message = _plain(marked)
        for sentence in re.split(r"(?<=[.;])\s", _FILLED_IN.sub("{}", marked)):
            for found in _FORM.finditer(sentence):
                kind = str(found.lastgroup)
                if kind != "name" or _VERBS.search(sentence):
                    yield Advice(where, message, kind, found[0])


def messages() -> Iterator[tuple[str, str]]:
    """Give every string of some words that is no docstring, with its place."""
    for where, marked in _marked():
        yield where, _plain(marked)


def _plain(marked: str) -> str:
    return marked.replace(_OPEN, "{").replace(_CLOSE, "}")


@cache
def _marked() -> list[tuple[str, str]]:
    """Give the strings, with marks around what is filled in; the sources are parsed once."""
    return list(_strings())


def _strings() -> Iterator[tuple[str, str]]:
    for folder in FOLDERS:
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder).parts
            if "app-templates" in inside or (folder.name == "flame_flwr" and inside[0] in _LINKED):
                continue
            for node in _walk(ast.parse(path.read_text())):
                text = _text(node)
                if text and len(text.split()) > 2 and not _NO_MESSAGE.search(text):
                    yield f"{folder.name}/{'/'.join(inside)}:{node.lineno}", " ".join(text.split())


_LINKED = ("clients", "strategies")


def _walk(tree: ast.AST) -> Iterator[Any]:
    """Give all of a tree but strings that stand alone, as docstrings do, and parts of f-strings."""
    left: list[Any] = [tree]
    while left:
        node = left.pop()
        yield node
        alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not (alone or isinstance(node, ast.JoinedStr)):
            left.extend(ast.iter_child_nodes(node))


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return None
    return "".join(
        f"{_OPEN}{ast.unparse(part.value)}{_CLOSE}"
        if isinstance(part, ast.FormattedValue)
        else str(part.value)  # type: ignore[attr-defined]
        for part in node.values
    )
