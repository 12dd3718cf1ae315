"""What an analysis asks of tables, as ``StarModel(..., query=..., columns=...)`` declares it.

It names tables, columns and values for parameters that a hospital has declared. It holds no SQL:
what runs at a hospital is the hospital's own (:mod:`flame_flwr.data.sql_statements`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeVar

from flame_flwr.data.chosen_keys import select
from flame_flwr.errors import DataError, ModelError

__all__ = ["TableQuery", "Value"]

Value = str | bool | int | float
"""What a parameter may be given; a date is its ISO 8601 text."""

_T = TypeVar("_T")
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class TableQuery:
    """Tables, their columns, and values for a hospital's parameters.

    Where it names none, it means all that may be read.

    Parameters
    ----------
    tables : tuple of str
        Which tables; none for all that a source has.
    columns : tuple of str
        Which columns; none for all that may be read. ``"visits.start"`` is of one table, a name
        without a dot of each table.
    parameters : dict of str to str, bool, int or float
        Values by the names that the hospital has given them.
    subject : str
        The column that says whom a row is about: it comes along where columns are named and a
        table has it, so that rules can count people.

    Examples
    --------
    >>> asked = TableQuery.declared({"since": "2020-01-01"}, ["age"])
    >>> TableQuery.read(asked.keys()) == asked
    True
    >>> asked.columns_of("patients")
    ['age']
    >>> TableQuery(columns=("age",), subject="id").with_subject(["age"], ["id", "age", "sex"])
    ['age', 'id']
    """

    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    subject: str = ""

    @classmethod
    def declared(cls, query: Any, columns: Any, subject: str = "") -> TableQuery:
        """Check what a model declares.

        Parameters
        ----------
        query : str, sequence of str or mapping, optional
            Names of tables, or values by parameter.
        columns : sequence of str, optional
            Names of columns.
        subject : str
            The column that says whom a row is about.

        Raises
        ------
        ModelError
            The query or the columns are something else.
        """
        asked = _names("columns", columns)
        if not isinstance(query, Mapping):
            return cls(_names("query", query), asked, subject=subject)
        if not all(isinstance(name, str) for name in query):
            raise ModelError("query must hold values by the names of parameters, which are texts")
        values = {name: _value(name, value) for name, value in query.items()}
        return cls((), asked, values, subject)

    def keys(self) -> list[str]:
        """Return the query as a source's keys: a list of one text."""
        parameters = dict(sorted(self.parameters.items()))
        parts = [self.tables, self.columns, parameters, self.subject]
        return [json.dumps(parts)]

    @classmethod
    def read(cls, keys: Sequence[str]) -> TableQuery:
        """Read what :meth:`keys` has made; it may come from another process.

        Raises
        ------
        DataError
            The keys are something else.
        """
        if not keys:
            return cls()
        try:
            [text] = keys
            tables, columns, parameters, subject = json.loads(text)
            return cls(
                _names("query", tables),
                _names("columns", columns),
                {_name(name): _value(name, value) for name, value in parameters.items()},
                _name(subject),
            )
        # the last is json's, of brackets within brackets: what wrote this may be an analysis
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise DataError("a question for tables that cannot be read") from None

    def columns_of(self, table: str) -> list[str]:
        """Return the columns of a table that are asked for; none for all that may be read."""
        parts = [column.rpartition(".") for column in self.columns]
        return list(dict.fromkeys(name for of, _, name in parts if of in ("", table)))

    def with_subject(self, columns: list[str], there: Collection[str]) -> list[str]:
        """Return columns of a table, and the one that says whom a row is about, if there."""
        if not self.subject or not columns or self.subject in columns or self.subject not in there:
            return columns
        return [*columns, self.subject]

    def chosen(self, tables: Mapping[str, _T], called: str) -> dict[str, _T]:
        """Return the tables that are asked for, of those that there are.

        Raises
        ------
        DataError
            A table is not there.
        """
        named = [of for of, _, _ in (column.rpartition(".") for column in self.columns) if of]
        select(tables, named, called)
        return select(tables, list(self.tables), called)

    def frames(self, tables: Mapping[str, Any], called: str) -> dict[str, Any]:
        """Return the tables that are asked for, given as DataFrames, with those columns.

        Parameters have no meaning there.
        """
        found = {}
        for name, frame in self.chosen(tables, called).items():
            asked, there = self.columns_of(name), getattr(frame, "columns", ())
            columns = select(dict.fromkeys(there), asked, f"{called}, {name!r},")
            found[name] = frame[self.with_subject(list(columns), there)] if asked else frame
        return found


def _names(what: str, names: Any) -> tuple[str, ...]:
    """Return a list of names, each once; a text alone is one name."""
    listed = [] if names is None else [names] if isinstance(names, str) else names
    if not isinstance(listed, Sequence) or len(listed) > _MOST:
        raise ModelError(f"{what} must be a list of names, not {names!r:.100}")
    if not all(isinstance(name, str) and name and name.isprintable() for name in listed):
        raise ModelError(f"{what} must be a list of names, each a text, not {names!r:.100}")
    return tuple(dict.fromkeys(listed))


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError
    return name


def _value(name: str, value: Any) -> Value:
    """Return a parameter's value in the form in which it travels: a date as its text."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ModelError(
        f"query: the parameter {name!r} must be a text, a number, True, False or a date, "
        f"not {value!r:.100}"
    )
