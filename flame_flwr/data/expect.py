"""What an analysis expects of a node's data, as ``StarModel(..., expects=[...])`` declares it.

Every node looks at its data before round 1 and answers with what is not as expected. How it looks
is in :mod:`flame_flwr.data.table_check` and :mod:`flame_flwr.data.resource_check`, what it may say
in :mod:`flame_flwr.data.mismatch`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flame_flwr.data.declaration_checks import (
    check_bool,
    check_bounds,
    check_count,
    check_number,
    check_text,
    check_values,
    wrong,
)
from flame_flwr.data.expectation_words import resources_in_words, table_in_words
from flame_flwr.data.mismatch import Mismatch
from flame_flwr.data.resource_check import look_at_bundles
from flame_flwr.data.table_check import look_at_files, rows_by
from flame_flwr.errors import ModelError

__all__ = ["Column", "Expectation", "Mismatch", "Resources", "Table", "mismatches"]

Kind = Literal["number", "whole", "date", "text"]
_KINDS = ("number", "whole", "date", "text")
_TYPE = re.compile(r"[A-Z][A-Za-z]*")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, and what its cells must be.

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

    Examples
    --------
    >>> age = Column("number", low=0, high=120, unit="years")
    >>> sex = Column(values=["m", "f"], most_missing=0.1)
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
        """Check the arguments."""
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
    r"""A CSV file that the data must have.

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
        The separator and the encoding of the file.
    decimal : {'.', ','}
        The sign before the decimals of its numbers.
    subject : str
        The column that says whom a row is about: where `MinCount` holds, the node's gate is told
        how many different people there are, and never who.

    Examples
    --------
    >>> table = Table("patients.csv", {"age": Column("number"), "sex": Column()})
    >>> [mismatch.text for mismatch in table.look([{"patients.csv": b"age\n54\n"}])]
    ["patients.csv has no column 'sex'"]
    """

    file: str | Sequence[str]
    columns: Mapping[str, Column] = field(default_factory=dict)
    min_rows: int = 1
    separator: str = ","
    encoding: str = "utf-8-sig"
    decimal: str = "."
    subject: str = ""

    def __post_init__(self) -> None:
        """Check the arguments."""
        if not isinstance(self.file, str | Sequence) or not self.file:
            raise wrong("Table: file", "a text or a list of texts", self.file)
        for pattern in self.patterns:
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
        check_text("Table: subject", self.subject, empty=True)
        check_text("Table: encoding", encoding)
        try:
            io.TextIOWrapper(io.BytesIO(), encoding)
        except (LookupError, ValueError):
            raise wrong("Table: encoding", "one that Python has, such as utf-8", encoding) from None

    @property
    def called(self) -> str:
        """What messages call it: as it was declared."""
        return " or ".join(self.patterns)

    def in_words(self) -> str:
        """Return what it must be, for readers who write no Python."""
        return table_in_words(self)

    def look(self, data: Any) -> Iterator[Mismatch]:
        """Yield what is not as expected of a node's files, ``[{key: bytes, ...}, ...]``."""
        yield from look_at_files(self, data)

    @property
    def patterns(self) -> list[str]:
        """The names or endings of its file, any of which will do."""
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

    Examples
    --------
    >>> patients = Resources("Patient", at_least=2)
    >>> one = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient"}}]}
    >>> [mismatch.text for mismatch in patients.look([{"Patient": one}])]
    ['fewer than 2 resources of the type Patient']
    """

    type: str
    at_least: int = 1
    code: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    stops: bool = True

    def __post_init__(self) -> None:
        """Check the arguments."""
        if not isinstance(self.type, str) or not _TYPE.fullmatch(self.type):
            raise wrong("Resources: type", "a FHIR resource's type, such as Patient", self.type)
        check_count("Resources: at_least", self.at_least)
        check_text("Resources: code", self.code, empty=True)
        check_text("Resources: unit", self.unit, empty=True)
        check_bounds("Resources", self.low, self.high)
        check_bool("Resources: stops", self.stops)

    @property
    def called(self) -> str:
        """What messages call them."""
        return f"{self.type} with the code {self.code}" if self.code else self.type

    def in_words(self) -> str:
        """Return what they must be, for readers who write no Python."""
        return resources_in_words(self)

    def look(self, data: Any) -> Iterator[Mismatch]:
        """Yield what is not as expected of a node's bundles, ``[{query: bundle, ...}, ...]``."""
        yield from look_at_bundles(self, data)


Expectation = Table | Resources


def mismatches(expectations: Iterable[Expectation], data: Any, subject: str = "") -> list[Mismatch]:
    r"""Return what is not as expected, each mismatch once.

    Parameters
    ----------
    expectations : iterable of Table or Resources
        What the analysis declares.
    data : Any
        What its analyzer will get.
    subject : str
        The column that says whom a row is about, where the node knows one; else each table's own.

    Examples
    --------
    >>> table = Table("patients.csv", {"age": Column("number", low=0, high=120)})
    >>> [found.text for found in mismatches([table], [{"patients.csv": b"age\n54\n610\n"}])]
    ["patients.csv: column 'age' has values outside 0 to 120"]
    """
    with rows_by(subject):
        return list(dict.fromkeys(found for each in expectations for found in each.look(data)))
