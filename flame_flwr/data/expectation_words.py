"""What an analysis expects of a node's data, in words: for the report of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flame_flwr.text.words import counted, value_in_words

if TYPE_CHECKING:
    from flame_flwr.data.expect import Column, Resources, Table

__all__ = ["resources_in_words", "table_in_words"]

_MOST = 30
_KINDS = {"number": "numbers", "whole": "whole numbers", "date": "dates", "text": "text"}


def table_in_words(table: Table) -> str:
    """Return what a table must be.

    Examples
    --------
    >>> from flame_flwr.data.expect import Column, Table
    >>> age = Column("number", low=0, high=120, unit="years")
    >>> table_in_words(Table("patients.csv", {"age": age, "sex": Column(values=["f", "m"])}))
    'patients.csv of 1 row or more: age (numbers from 0 to 120 years), sex (f, m)'
    """
    rows = f"{counted(table.min_rows, 'row')} or more"
    columns = [f"{name} ({_column(each)})" for name, each in list(table.columns.items())[:_MOST]]
    hidden = len(table.columns) - len(columns)
    columns += [f"and {hidden} more columns"] if hidden > 0 else []
    people = f"; people by {table.subject}" if table.subject else ""
    said = f"{value_in_words(table.called)} of {rows}"
    return f"{said}: {', '.join(columns)}{people}" if columns else f"{said}{people}"


def resources_in_words(resources: Resources) -> str:
    """Return what FHIR resources must be.

    Examples
    --------
    >>> from flame_flwr.data.expect import Resources
    >>> resources_in_words(Resources("Observation", 20, "29463-7", "kg", low=20))
    '20 or more resources Observation with the code 29463-7 (from 20 kg)'
    """
    said = f"{resources.at_least} or more resources {value_in_words(resources.called)}"
    bounds = _bounds(resources.low, resources.high, resources.unit)
    return f"{said} ({bounds})" if bounds else said


def _column(column: Column) -> str:
    """Return what the cells of a column must be."""
    bounds = _bounds(column.low, column.high, column.unit)
    said = [f"{_KINDS[column.kind]} {bounds}".rstrip()]
    if column.values is not None:
        said = [value_in_words(list(column.values))]
    if not column.required:
        said.append("need not be there")
    if column.most_missing < 1:
        said.append(f"at most {100 * column.most_missing:g} % of the cells empty")
    return "; ".join(said)


def _bounds(low: float | None, high: float | None, unit: str) -> str:
    shown = f" {value_in_words(unit)}" if unit else ""
    if low is None and high is None:
        return f"in{shown}" if unit else ""
    if high is None:
        return f"from {low:g}{shown}"
    return f"up to {high:g}{shown}" if low is None else f"from {low:g} to {high:g}{shown}"
