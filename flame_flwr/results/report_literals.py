"""A result that was written as Python has it, ``{'age': {'n': 3}}``, as a table for readers."""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from flame_flwr.results.report_tables import ReportTable
from flame_flwr.text.python_words import NO_VALUE, without_python
from flame_flwr.text.words import value_in_words

__all__ = ["literal_table", "series_table"]

_LONGEST = 20_000
_MOST, _LONGEST_TEXT = 100, 200
_DEEPEST = 8
_BEGINS = re.compile(r"\s*(?:[{\[(]|[A-Za-z_][\w.]*\()")
_END_OF_SERIES = re.compile(
    r"(?:Freq: \S+, )?(?:Name: (?P<name>.*), )?(?:Length: \d+, )?dtype: [\w\[\], .]+"
)
"""The last line that pandas writes of a Series."""
_GAP = re.compile(" {2,}")
_PLAIN = (bool, int, float, str)


def literal_table(text: str) -> ReportTable | None:
    """Return the values of a dict, a list or an object of Python's, each with what leads to it.

    It is read, and never run. ``None``: the text is none of these, or too much for a table.

    Examples
    --------
    >>> literal_table("{'age': {'n': 3, 'mean': 61.5}, 'sites': ['a', 'b']}").rows
    [['age, n', '3'], ['age, mean', '61.5'], ['sites', 'a, b']]
    """
    if len(text) > _LONGEST:
        return None
    text = without_python(text, repr)
    if not _BEGINS.match(text):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = _value(ast.parse(text.strip(), mode="eval").body)
        rows = list(_rows((), value))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, OverflowError):
        return None
    fits = isinstance(value, dict | list) and 0 < len(rows) <= _MOST
    return ReportTable(["", "value"], rows) if fits else None


def series_table(text: str) -> ReportTable | None:
    r"""Return a Series of pandas, as its text shows it; ``None`` where it is none, or a longer one.

    Examples
    --------
    >>> series_table("age\n54    1\n61    2\nName: stays, dtype: int64")
    ReportTable(header=['age', 'stays'], rows=[['54', '1'], ['61', '2']], cut='')
    """
    *lines, last = text.rstrip().split("\n")
    end = _END_OF_SERIES.fullmatch(last)
    if end is None or not 0 < len(lines) <= _MOST + 1:
        return None
    # The name of the index has a line of its own, which is shorter: pandas pads the others.
    index = lines.pop(0).strip() if len(lines[0]) < len(lines[-1]) else ""
    rows = [_GAP.split(line.strip()) for line in lines]
    # An index of several levels and a text with gaps cannot be taken apart.
    fits = all(len(row) == 2 for row in rows)
    return ReportTable([index, end["name"] or "value"], rows) if fits else None


def _value(node: ast.expr) -> Any:
    """Return what is written: literals, and of NumPy's what is written around them."""
    match node:
        case ast.Dict(keys, values) if None not in keys:  # which `{**other}` has
            pairs = zip(keys, values, strict=True)
            return {_value(key): _value(value) for key, value in pairs if key is not None}
        case ast.List(parts) | ast.Tuple(parts) | ast.Set(parts):
            return [_value(part) for part in parts]
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as number)):
            return -number
        # Python writes these two so, although it does not read them.
        case ast.UnaryOp(ast.USub(), ast.Name("inf")):
            return -math.inf
        case ast.Name("nan" | "inf" as name):
            return float(name)
        case ast.Constant(bool() | int() | float() | str() | None as value):
            return value
        case ast.Call(ast.Name("array"), [inner]) | ast.Call(
            ast.Attribute(ast.Name("np"), str()), [inner]
        ):
            return _value(inner)
        case ast.Call(ast.Attribute(ast.Name("datetime"), "date" | "datetime"), parts, []):
            return _moment([_value(part) for part in parts])
        case ast.Call(
            ast.Name("Timestamp" | "Timedelta" | "Decimal" | "UUID"),
            [ast.Constant(str() as said)],
            [],
        ):
            return said
        case ast.Attribute(ast.Name("np"), "True_" | "False_" as name):
            return name == "True_"
        case ast.Call(ast.Name("set" | "frozenset"), [], []):
            return []
        case ast.Call(ast.Name("frozenset"), [ast.Set() as inner], []):
            return _value(inner)
        case ast.Call(ast.Name() | ast.Attribute(), [], keywords) if (
            keywords
        ):  # a statistic says its figures so
            return {str(each.arg): _value(each.value) for each in keywords}
    raise ValueError("no literal")


def _moment(parts: list[Any]) -> str:
    """Return a date, or a time, as it is read: 2026-12-01, 2026-12-01 14:05."""
    if len(parts) == 3:
        return date(*parts).isoformat()
    return datetime(*parts).isoformat(" ", "auto" if len(parts) > 5 else "minutes")


def _rows(path: tuple[str, ...], value: Any) -> Iterator[list[str]]:
    if len(path) > _DEEPEST:
        raise ValueError("too deep for a table")
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _rows((*path, _said(key)), part)
    elif isinstance(value, list) and not all(isinstance(part, _PLAIN) for part in value):
        for number, part in enumerate(value, 1):
            yield from _rows((*path, str(number)), part)
    elif isinstance(value, list) and not path:
        yield from ([str(number), _said(part)] for number, part in enumerate(value, 1))
    else:
        yield [", ".join(path), _said(value)]


def _said(value: Any) -> str:
    """Return a value with all its digits: it is the result itself."""
    if value is None:
        return NO_VALUE
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise ValueError("a text, and no figure of a table")
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        return ", ".join(map(_said, value)) or "empty"
    return value_in_words(value)
