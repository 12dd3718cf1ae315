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
    values : sequence of str, optional
        The only texts that there may be, upper and lower case alike.
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
    values: Sequence[str] | None = None
    unit: str = ""
    required: bool = True
    most_missing: float = 1.0
    stops: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.kind not in _KINDS:
            raise ModelError(f"a column's kind is one of {', '.join(_KINDS)}, not {self.kind!r}")
        if isinstance(self.values, str):
            raise ModelError("a column's values are a list of texts, not one text")
        if (self.low is not None or self.high is not None) and self.kind not in ("number", "whole"):
            raise ModelError("low and high are for columns of numbers")


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
        except (csv.Error, UnicodeError, TypeError):
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
        Only those with this code, such as LOINC's 29463-7.
    unit : str
        The unit of their ``valueQuantity``.
    low, high : float, optional
        Bounds of its value.
    stops : bool
        Whether values out of bounds stop the run; ``False`` only tells.
    """

    type: str
    at_least: int = 1
    code: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    stops: bool = True

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
        number, units, bounds = 0, True, True
        for bundles in data:
            for query, bundle in bundles.items():
                try:
                    entries = read_entries([bundle]).entries
                except DataError:
                    yield Finding("an answer to a search is no Bundle")
                    return
                found = [each for entry in entries if (each := self._mine(entry)) is not None]
                number += len(found) if entries or self.code else self._total(str(query), bundle)
                units = units and all(map(self._in_unit, found))
                bounds = bounds and all(map(self._in_bounds, found))
        if number < self.at_least:
            yield Finding(f"fewer than {self.at_least} resources of the type {self.called}")
        if not units:
            yield Finding(f"{self.called}: values in another unit than {self.unit}")
        if not bounds:
            yield Finding(f"{self.called}: values {_outside(self)}", self.stops)

    def _mine(self, entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
        resource = entry.get("resource")
        if not isinstance(resource, Mapping) or resource.get("resourceType") != self.type:
            return None
        code = resource.get("code")
        codings = code.get("coding") if isinstance(code, Mapping) else None
        codes = [coding.get("code") for coding in codings or () if isinstance(coding, Mapping)]
        return resource if not self.code or self.code in codes else None

    def _total(self, query: str, bundle: Mapping[str, Any]) -> int:
        total = bundle.get("total")
        return total if isinstance(total, int) and query.partition("?")[0] == self.type else 0

    def _in_unit(self, resource: Mapping[str, Any]) -> bool:
        quantity = resource.get("valueQuantity")
        if not self.unit or not isinstance(quantity, Mapping):
            return True
        return self.unit in (quantity.get("code"), quantity.get("unit"))

    def _in_bounds(self, resource: Mapping[str, Any]) -> bool:
        quantity = resource.get("valueQuantity")
        value = quantity.get("value") if isinstance(quantity, Mapping) else None
        return not isinstance(value, int | float) or _between(value, self.low, self.high)


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
            allowed = ", ".join(column.values or ())
            yield Finding(f"{self._called} holds other texts than {allowed}", column.stops)
        if not self._in_bounds:
            yield Finding(f"{self._called} has values {_outside(column)}", column.stops)
        if self._missing > column.most_missing * rows:
            text = f"{self._called} is empty in more than {column.most_missing:.0%} of the rows"
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
    if bounds.low is None:
        return f"above {bounds.high:g}{unit}"
    if bounds.high is None:
        return f"below {bounds.low:g}{unit}"
    return f"outside {bounds.low:g} to {bounds.high:g}{unit}"


def _between(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _plain(text: str) -> str | float:
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
