"""What an analysis expects of a node's data, and how far a node's own data is from it.

A model declares it (``StarModel(..., expects=[...])``); every node looks at its data before round
1 and answers with findings. A finding is made of what the analysis itself has declared: it holds
no value, no count and no name out of the data.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

from flame_flwr.data.arguments import (
    check_bool,
    check_bounds,
    check_count,
    check_number,
    check_text,
    check_values,
    wrong,
)
from flame_flwr.errors import ModelError

__all__ = ["Column", "Expectation", "Finding", "Resources", "Table", "findings"]

Kind = Literal["number", "whole", "date", "text"]
_KINDS = {
    "number": "numbers",
    "whole": "whole numbers",
    "date": "dates like 2026-11-21",
    "text": "texts",
}
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>"})
_IN_BRACKETS = re.compile(r"(.*?)\s*[\[(]\s*(.+?)\s*[\])]\s*")
_TYPE = re.compile(r"[A-Z][A-Za-z]*")
_LONGEST_CELL = 10_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as expected.

    Parameters
    ----------
    text : str
        What it is: free of the node's data.
    stops : bool
        Whether the node cannot take part because of it.
    """

    text: str
    stops: bool = True


@dataclass(frozen=True, slots=True)
class Column:
    """What the cells of a column are.

    Parameters
    ----------
    kind : {'number', 'whole', 'date', 'text'}
        ``date`` is ISO 8601.
    low, high : float, optional
        Bounds of a number, both allowed.
    values : sequence of str or float, optional
        The only ones that there may be: upper and lower case alike, and 1 is 1.0.
    unit : str
        What the numbers are in: named where they are out of bounds, and compared where a file has
        the unit in the column's name, as in ``weight [kg]``.
    required : bool
        Whether the column must be there.
    most_missing : float
        The share of cells that may be empty, from 0 to 1.
    stops : bool
        Whether values out of bounds, or too many empty cells, stop the run; ``False`` only tells.
    """

    kind: Kind = "text"
    low: float | None = None
    high: float | None = None
    values: Sequence[str | float] | None = None
    unit: str = ""
    required: bool = True
    most_missing: float = 1.0
    stops: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not isinstance(self.kind, str) or self.kind not in _KINDS:
            raise wrong("Column: kind", f"one of {', '.join(_KINDS)}", self.kind)
        check_bounds("Column", self.low, self.high)
        if (self.low is not None or self.high is not None) and self.kind not in ("number", "whole"):
            raise ModelError("Column: low and high are for columns of numbers")
        if self.values is not None:
            check_values("Column: values", self.values)
        check_text("Column: unit", self.unit, empty=True)
        check_bool("Column: required", self.required)
        check_number("Column: most_missing", self.most_missing)
        if not 0 <= self.most_missing <= 1:
            raise wrong("Column: most_missing", "a share, from 0 to 1", self.most_missing)
        check_bool("Column: stops", self.stops)


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file that the data must have.

    Parameters
    ----------
    file : str or sequence of str
        Its key, or how it ends (``*_labeled.csv``), upper and lower case alike; with several, any
        of them. Every file that fits is looked at.
    columns : dict of str to Column
        What it must hold.
    min_rows : int
        So many rows at least.
    separator, encoding : str
        Of the file.
    """

    file: str | Sequence[str]
    columns: Mapping[str, Column] = field(default_factory=dict)
    min_rows: int = 1
    separator: str = ","
    encoding: str = "utf-8-sig"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not isinstance(self.file, str | Sequence) or not self.file:
            raise wrong("Table: file", "a text or a list of texts", self.file)
        for pattern in self._patterns():
            check_text("Table: file", pattern)
        if not isinstance(self.columns, Mapping):
            raise wrong("Table: columns", "a dict of Column by name", self.columns)
        for name, column in self.columns.items():
            check_text("Table: a column's name", name)
            if not isinstance(column, Column):
                raise wrong(f"Table: column {name!r}", "a Column, such as Column('number')", column)
        check_count("Table: min_rows", self.min_rows)
        separator, encoding = self.separator, self.encoding
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise wrong("Table: separator", "one sign, such as ';'", separator)
        check_text("Table: encoding", encoding)
        try:
            io.TextIOWrapper(io.BytesIO(), encoding)
        except (LookupError, ValueError):
            raise wrong("Table: encoding", "one that Python has, such as utf-8", encoding) from None

    @property
    def called(self) -> str:
        """How findings call it: as it was declared."""
        return " or ".join(self._patterns())

    def look(self, data: Any) -> Iterator[Finding]:
        """Yield what is not as expected of a node's files, ``[{key: bytes, ...}, ...]``."""
        if not _is_dicts(data):
            yield Finding("the data is no list of files")
            return
        patterns = [pattern.lower() for pattern in self._patterns()]
        found = [
            content
            for files in data
            for key, content in files.items()
            if any(_fits(str(key).lower(), pattern) for pattern in patterns)
        ]
        if not found:
            yield Finding(f"no file {self.called}")
        for content in found:
            yield from self._look_into(content)

    def _patterns(self) -> list[str]:
        return [self.file] if isinstance(self.file, str) else list(self.file)

    def _look_into(self, content: Any) -> Iterator[Finding]:
        if not isinstance(content, bytes | bytearray | memoryview):
            yield Finding(f"{self.called} is no file")
            return
        csv.field_size_limit(_LONGEST_CELL)
        try:
            text = io.TextIOWrapper(io.BytesIO(content), self.encoding, newline="")
            lines = csv.reader(text, delimiter=self.separator)
            header = [name.strip() for name in next(lines, [])]
            if self._otherwise_separated(header):
                yield Finding(f"{self.called} is not separated by {self.separator!r}: save it so")
                return
            watched = {}
            for name, column in self.columns.items():
                if name in header:
                    watched[header.index(name)] = _Watch(column, f"{self.called}: column {name!r}")
                else:
                    yield from self._absent(name, column, header)
            rows = _count(lines, watched)
        except (csv.Error, UnicodeError):
            yield Finding(f"{self.called} is no table in {self.encoding}")
            return
        if rows < self.min_rows:
            yield Finding(f"{self.called} has fewer than {self.min_rows} rows")
        for watch in watched.values():
            yield from watch.findings(rows)

    def _otherwise_separated(self, header: Sequence[str]) -> bool:
        """Tell whether the expected columns are all in one cell, with another separator."""
        if len(header) != 1 or header[0] in self.columns:
            return False
        others = "".join({",", ";", "|", "\t"} - {self.separator})
        names = {name.strip(" \"'") for name in re.split(f"[{others}]", header[0])}
        required = {name for name, column in self.columns.items() if column.required}
        return len(names) > 1 and bool(names & required)

    def _absent(self, name: str, column: Column, header: Sequence[str]) -> Iterator[Finding]:
        for other in header:
            match = _IN_BRACKETS.fullmatch(other)
            if match and match[1] == name:
                same = match[2].lower() == column.unit.lower() != ""
                why = (
                    "has its unit in its name"
                    if same
                    else f"is not in {column.unit or 'that unit'}"
                )
                yield Finding(f"{self.called}: column {name!r} {why}")
                return
        if column.required:
            yield Finding(f"{self.called} has no column {name!r}")


@dataclass(frozen=True, slots=True)
class Resources:
    """Resources that the answers to the analysis's FHIR searches must have.

    Parameters
    ----------
    type : str
        Such as ``Patient``.
    at_least : int
        So many of them; a search with ``_summary=count`` counts by its total.
    code : str
        Only those with this code, such as LOINC's 29463-7, themselves or in a component.
    unit : str
        The unit of their ``valueQuantity``, or of their components'.
    low, high : float, optional
        Bounds of its value. With a unit or bounds, a resource must have a number, or say why it
        has none (``dataAbsentReason``).
    stops : bool
        Whether values that are missing or out of bounds stop the run; ``False`` only tells.
    """

    type: str
    at_least: int = 1
    code: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    stops: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not isinstance(self.type, str) or not _TYPE.fullmatch(self.type):
            raise wrong("Resources: type", "a FHIR resource's type, such as Patient", self.type)
        check_count("Resources: at_least", self.at_least)
        check_text("Resources: code", self.code, empty=True)
        check_text("Resources: unit", self.unit, empty=True)
        check_bounds("Resources", self.low, self.high)
        check_bool("Resources: stops", self.stops)

    @property
    def called(self) -> str:
        """How findings call them."""
        return f"{self.type} with the code {self.code}" if self.code else self.type

    def look(self, data: Any) -> Iterator[Finding]:
        """Yield what is not as expected of a node's bundles, ``[{query: bundle, ...}, ...]``."""
        from flame_flwr.data.bundles import read_entries
        from flame_flwr.errors import DataError

        if not _is_dicts(data):
            yield Finding("the data is no list of bundles")
            return
        number, odd = 0, set[Finding]()
        for bundles in data:
            for query, bundle in bundles.items():
                try:
                    entries = read_entries([bundle]).entries
                except DataError:
                    yield Finding("an answer to a search is no Bundle")
                    return
                found = [mine for entry in entries if (mine := self._mine(entry))]
                number += len(found) if entries or self.code else self._total(str(query), bundle)
                odd.update(oddity for mine in found for each in mine for oddity in self._odd(each))
        if number < self.at_least:
            yield Finding(f"fewer than {self.at_least} resources of the type {self.called}")
        yield from sorted(odd, key=lambda finding: finding.text)

    def _mine(self, entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the parts of an entry's resource that are meant; none of another resource."""
        from flame_flwr.data.quantities import parts

        resource = entry.get("resource")
        if not isinstance(resource, Mapping) or resource.get("resourceType") != self.type:
            return []
        return parts(resource, self.code)

    def _total(self, query: str, bundle: Mapping[str, Any]) -> int:
        total = bundle.get("total")
        return total if type(total) is int and query.partition("?")[0] == self.type else 0

    def _odd(self, part: Mapping[str, Any]) -> Iterator[Finding]:
        from flame_flwr.data.quantities import quantity_of, says_why_absent, value_of

        if not self.unit and self.low is None and self.high is None:
            return
        quantity = quantity_of(part)
        if quantity is None:
            if not says_why_absent(part):
                yield Finding(f"{self.called}: no valueQuantity in some of them", self.stops)
            return
        value = value_of(quantity)
        if value is None:
            yield Finding(f"{self.called}: values that are no numbers")
        elif not _between(value, self.low, self.high):
            yield Finding(f"{self.called}: values {_outside(self)}", self.stops)
        if self.unit and self.unit not in (quantity.get("code"), quantity.get("unit")):
            yield Finding(f"{self.called}: values in another unit than {self.unit}")


Expectation = Table | Resources


def findings(expectations: Iterable[Expectation], data: Any) -> list[Finding]:
    """Return what is not as expected, each finding once.

    Parameters
    ----------
    expectations : iterable of Table or Resources
        What the analysis declares.
    data : Any
        What its analyzer will get.
    """
    return list(dict.fromkeys(found for each in expectations for found in each.look(data)))


class _Watch:
    """Looks at the cells of one column as they go by."""

    def __init__(self, column: Column, called: str) -> None:
        self._column = column
        self._called = called
        self._allowed = None if column.values is None else {_plain(v) for v in column.values}
        self._missing = 0
        self._of_kind = self._in_bounds = self._known = True

    def see(self, cell: str) -> None:
        text = cell.strip()
        if text.lower() in _MISSING:
            self._missing += 1
            return
        if self._allowed is not None:
            self._known = self._known and _plain(text) in self._allowed
        if self._column.kind == "date":
            self._of_kind = self._of_kind and _is_date(text)
        elif self._column.kind != "text":
            value = _number(text)
            if value is None or (self._column.kind == "whole" and value != int(value)):
                self._of_kind = False
            else:
                inside = _between(value, self._column.low, self._column.high)
                self._in_bounds = self._in_bounds and inside

    def findings(self, rows: int) -> Iterator[Finding]:
        column = self._column
        if not self._of_kind:
            yield Finding(f"{self._called} holds other things than {_KINDS[column.kind]}")
        if not self._known:
            allowed = ", ".join(map(str, column.values or ()))
            yield Finding(f"{self._called} holds other texts than {allowed}", column.stops)
        if not self._in_bounds:
            yield Finding(f"{self._called} has values {_outside(column)}", column.stops)
        if self._missing > column.most_missing * rows:
            text = (
                f"{self._called} is empty in more than {float(column.most_missing):.0%} of the rows"
            )
            yield Finding(text, column.stops)


def _count(lines: Iterable[list[str]], watched: Mapping[int, _Watch]) -> int:
    rows = 0
    for line in lines:
        if line:
            rows += 1
            for place, watch in watched.items():
                watch.see(line[place] if place < len(line) else "")
    return rows


def _outside(bounds: Column | Resources) -> str:
    unit = f" {bounds.unit}" if bounds.unit else ""
    low, high = (f"{float(b):g}" if b is not None else "" for b in (bounds.low, bounds.high))
    if not low:
        return f"above {high}{unit}"
    return f"outside {low} to {high}{unit}" if high else f"below {low}{unit}"


def _between(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _plain(text: object) -> str | float:
    """Return a cell as it is compared: ``1`` and ``1.0`` are the same, and so are Yes and yes."""
    value = _number(str(text))
    return str(text).strip().lower() if value is None else value


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _fits(key: str, pattern: str) -> bool:
    return fnmatchcase(key, pattern) or fnmatchcase(key.rsplit("/", 1)[-1], pattern)


def _is_dicts(data: Any) -> bool:
    return isinstance(data, list) and all(isinstance(files, Mapping) for files in data)
