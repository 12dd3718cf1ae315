"""What an analysis expects of a node's data, and how far a node's own data is from it.

A model declares it (``StarModel(..., expects=[...])``); every node looks at its data before round
1 and answers with findings. A finding is made of what the analysis itself has declared: it holds
no value, no count and no name out of the data.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
from flame_flwr.data.bounds import between, outside
from flame_flwr.data.expect_tables import look_into
from flame_flwr.data.finding import Finding
from flame_flwr.errors import ModelError

__all__ = ["Column", "Expectation", "Finding", "Resources", "Table", "findings"]

Kind = Literal["number", "whole", "date", "text"]
_KINDS = ("number", "whole", "date", "text")
_TYPE = re.compile(r"[A-Z][A-Za-z]*")


@dataclass(frozen=True, slots=True)
class Column:
    """What the cells of a column are.

    Parameters
    ----------
    kind : {'number', 'whole', 'date', 'text'}
        What pandas must read them as; ``date`` is a text in the form of ISO 8601.
    low, high : float, optional
        Bounds of a number, both allowed.
    values : sequence of str, float or bool, optional
        The only ones that there may be, by the rule of :mod:`flame_flwr.labels`: upper and lower
        case alike, and ``1`` is ``1.0``. With the same labels a statistic counts what is accepted.
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
    values: Sequence[str | float | bool] | None = None
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

    It is read with pandas, as ``pandas.read_csv(file, sep=separator, encoding=encoding,
    decimal=decimal)`` reads it in the analysis.

    Parameters
    ----------
    file : str or sequence of str
        Its key, or how it ends (``*_labeled.csv``, ``*[-_]labeled.csv``), upper and lower case
        alike; with several, any of them. Every file that fits is looked at; where there are files
        with the very name, brackets too, these alone.
    columns : dict of str to Column
        What it must hold.
    min_rows : int
        So many rows at least.
    separator, encoding : str
        Of the file.
    decimal : {'.', ','}
        The sign before the decimals of its numbers.
    """

    file: str | Sequence[str]
    columns: Mapping[str, Column] = field(default_factory=dict)
    min_rows: int = 1
    separator: str = ","
    encoding: str = "utf-8-sig"
    decimal: str = "."

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
        if self.decimal not in (".", ",") or self.decimal == separator:
            raise wrong("Table: decimal", "'.' or ',', and not the separator", self.decimal)
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
        files = [(str(key).lower(), content) for each in data for key, content in each.items()]
        meant = {
            place
            for pattern in self._patterns()
            for place in _places([key for key, _ in files], pattern.lower())
        }
        found = [content for place, (_, content) in enumerate(files) if place in meant]
        if not found:
            yield Finding(f"no file {self.called}")
        for content in found:
            yield from look_into(self, content)

    def _patterns(self) -> list[str]:
        return [self.file] if isinstance(self.file, str) else list(self.file)


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
        elif not between(value, self.low, self.high):
            yield Finding(f"{self.called}: values {outside(self)}", self.stops)
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


def _places(keys: Sequence[str], pattern: str) -> list[int]:
    """Return which files are meant: those with the brackets of the pattern, or what these mean."""
    names = [(key, key.rsplit("/", 1)[-1]) for key in keys]
    for own in (pattern.replace("[", "[[]"), pattern):
        found = [i for i, both in enumerate(names) if any(fnmatchcase(name, own) for name in both)]
        if found:
            return found
    return []


def _is_dicts(data: Any) -> bool:
    return isinstance(data, list) and all(isinstance(files, Mapping) for files in data)
