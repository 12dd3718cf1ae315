"""Makes statements of a hospital's entry for what an analysis asks: names are chosen, values bound.

A name of the analysis's gets into a statement only where the entry lists it, or as the quoted name
of a column of the hospital's own query; its values never do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flame_flwr.data.chosen_keys import select as chosen_of
from flame_flwr.data.sql_entry import SqlEntry, read_sql
from flame_flwr.data.sql_parameters import Bound, bind
from flame_flwr.data.table_query import TableQuery
from flame_flwr.errors import ConfigError

if TYPE_CHECKING:
    import sqlalchemy

__all__ = ["Statements", "statements"]

Statements = dict[str, "sqlalchemy.Select[Any]"]
"""By the name of the table that each gives."""


def statements(
    entry: SqlEntry, asked: TableQuery | None, name: str
) -> tuple[Statements, dict[str, Bound]]:
    """Return the statements for a question, and the values that they bind.

    Parameters
    ----------
    entry : SqlEntry
        What may be read.
    asked : TableQuery, optional
        The question; without one, all tables, with values that the hospital would allow.
    name : str
        How messages call the source.

    Raises
    ------
    DataError
        The entry does not allow it.
    ConfigError
        The entry's query cannot be read, or takes other parameters than it declares.

    Examples
    --------
    >>> entry = SqlEntry.of({"tables": {"cdm.person": ["person_id", "sex"]}}, "dataset 1")
    >>> made, _ = statements(entry, TableQuery(columns=("sex",)), "data source 1")
    >>> " ".join(str(made["person"]).split())
    'SELECT cdm.person.sex AS sex FROM cdm.person'
    """
    question = asked or TableQuery()
    # the hospital's word goes first, and whatever an analysis leaves out
    question = replace(question, subject=entry.subject or question.subject)
    if entry.query is None:
        bind({}, question.parameters, name)
        tables = question.chosen(entry.tables, name)
        return {
            table: _of_table(full, _columns(columns, question, name, table))
            for table, (full, columns) in tables.items()
        }, {}
    text, table = read_sql(entry.query, name), entry.query.stem
    columns = question.with_subject(question.columns_of(table), [question.subject])
    statement, taken = _of_query(text, columns)
    if taken != entry.parameters.keys():
        raise ConfigError(
            f"{name}: `parameters` must declare those that the file of `query` takes, as :name, "
            "and no others",
            detail=", ".join(sorted(taken ^ entry.parameters.keys())),
        )
    question.chosen({table: text}, name)
    if asked is None:
        return {table: statement}, {key: each.example() for key, each in entry.parameters.items()}
    return {table: statement}, bind(entry.parameters, asked.parameters, name)


def _columns(allowed: Sequence[str], asked: TableQuery, name: str, table: str) -> list[str]:
    """Return the columns that are read, of those that may be."""
    named = asked.columns_of(table)
    chosen = chosen_of(dict.fromkeys(allowed), named, f"{name}, table {table!r},")
    return asked.with_subject(list(chosen), allowed)


def _of_table(full: str, columns: Sequence[str]) -> sqlalchemy.Select[Any]:
    """Return the statement that reads columns of a table, which may have a schema before it."""
    import sqlalchemy

    schema, _, table = full.rpartition(".")
    made = sqlalchemy.table(table, *map(sqlalchemy.column, columns), schema=schema or None)
    # by the name that was asked for: DuckDB gives that of the table, in capitals or not
    return sqlalchemy.select(*(column.label(column.name) for column in made.c))


def _of_query(text: str, columns: Sequence[str]) -> tuple[sqlalchemy.Select[Any], set[str]]:
    """Return the statement that reads columns of a query, or all; and the parameters it takes.

    In brackets, as a table, it can only be one SELECT.
    """
    import sqlalchemy

    query = sqlalchemy.text(f"{text}\n")  # a comment at its end must not go on
    taken = set(query.compile().params)
    inner = query.columns(*map(sqlalchemy.column, columns)).subquery("q")
    named = [inner.c[column].label(column) for column in columns]
    what = named or [sqlalchemy.literal_column("*")]
    return sqlalchemy.select(*what).select_from(inner), taken
