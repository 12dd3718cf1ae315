"""The parameters that a hospital declares for its SQL, and the values that it lets analyses give.

A value is checked here and bound by the database's driver: it never becomes a part of SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from flame_flwr.data.table_query import Value
from flame_flwr.errors import ConfigError, DataError
from flame_flwr.text.suggestions import what_there_is

__all__ = ["Bound", "SqlParameter", "bind", "read_parameters"]

Bound = str | bool | int | float | date
"""A value as the driver gets it."""

_KINDS: Mapping[str, Any] = {"date": date, "whole": int, "number": (int, float), "text": str}
_CALLED = {"date": "a date like 2026-11-21", "whole": "a whole number", "number": "a number"}
_KEYS = {"type", "low", "high", "values", "default"}


@dataclass(frozen=True, slots=True)
class SqlParameter:
    """A parameter of a hospital's SQL.

    Parameters
    ----------
    type : {'date', 'whole', 'number', 'text'}
        What a value must be.
    low, high : date or number, optional
        Bounds, both allowed.
    values : tuple
        The only ones that there may be; a text must have some.
    default : date, number or str, optional
        What is bound where an analysis gives none; without one, it must give one.

    Examples
    --------
    >>> since = SqlParameter("date", low=date(2015, 1, 1))
    >>> since.read("since", "2020-06-30")
    datetime.date(2020, 6, 30)
    """

    type: str
    low: Any = None
    high: Any = None
    values: tuple[Any, ...] = ()
    default: Any = None

    def read(self, name: str, value: Value) -> Bound:
        """Return a value as it is bound.

        Raises
        ------
        DataError
            It is not what the hospital allows; the message says what would be, and not the value.
        """
        found = _as_date(value) if self.type == "date" else value
        if not _is_kind(self.type, found) or not self._allows(found):
            raise DataError(
                f"the query's parameter {name!r} must be {self._words()}: this node allows nothing "
                "else"
            )
        assert found is not None
        return found

    def example(self) -> Bound:
        """Return some value that may be bound, to try a statement with."""
        given = (self.default, *self.values, self.low, self.high)
        fallback = date(2000, 1, 1) if self.type == "date" else 0
        found: Bound = next((value for value in given if value is not None), fallback)
        return found

    def _allows(self, value: Any) -> bool:
        if self.values:
            return value in self.values
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def _words(self) -> str:
        if self.values:
            return f"one of {', '.join(map(str, self.values))}"
        bounds = (("from", self.low), ("to", self.high))
        said = [f"{word} {bound}" for word, bound in bounds if bound is not None]
        return " ".join([_CALLED[self.type], *said])


def read_parameters(declared: Any, what: str) -> dict[str, SqlParameter]:
    """Read the parameters of a registry's entry.

    Parameters
    ----------
    declared : dict
        A table by parameter, as TOML has it.
    what : str
        What it is, for messages.

    Raises
    ------
    ConfigError
        A parameter's declaration is wrong.

    Examples
    --------
    >>> read_parameters({"sex": {"type": "text", "values": ["f", "m"]}}, "parameters")["sex"].values
    ('f', 'm')
    """
    return {name: _parameter(table, f"{what}, {name!r}") for name, table in declared.items()}


def bind(
    parameters: Mapping[str, SqlParameter], given: Mapping[str, Value], called: str
) -> dict[str, Bound]:
    """Return the values that are bound, by parameter.

    Raises
    ------
    DataError
        A value for no parameter, one that is not allowed, or none where there must be one.
    """
    unknown = [name for name in given if name not in parameters]
    if unknown:
        raise DataError(
            f"{called} has no parameter {', '.join(map(repr, unknown))}, which the query names",
            detail=what_there_is(unknown, parameters),
        )
    bound = {}
    for name, parameter in parameters.items():
        if name in given:
            bound[name] = parameter.read(name, given[name])
        elif parameter.default is None:
            raise DataError(
                f"{called} needs a value for the parameter {name!r}: query={{{name!r}: ...}} must "
                f"be {parameter._words()}"
            )
        else:
            bound[name] = parameter.default
    return bound


def _parameter(table: Any, what: str) -> SqlParameter:
    """Read one parameter; its bounds, values and default must be of its own type."""
    if not isinstance(table, Mapping) or table.get("type") not in _KINDS or table.keys() - _KEYS:
        raise ConfigError(
            f'{what} must be a table with `type` ("date", "whole", "number" or "text") and, where '
            "they are meant, `low`, `high`, `values` and `default`"
        )
    kind, values = table["type"], table.get("values", [])
    held = [table[key] for key in ("low", "high", "default") if key in table]
    if not isinstance(values, list) or not all(_is_kind(kind, each) for each in held + values):
        raise ConfigError(f"{what}: its bounds, values and default must be of its type, {kind}")
    if kind == "text" and (not values or {"low", "high"} & table.keys()):
        raise ConfigError(f"{what}: a text has `values`, those that an analysis may give")
    if {"low", "high"} <= table.keys() and table["low"] > table["high"]:
        raise ConfigError(f"{what}: its `low` must not be above its `high`")
    made = SqlParameter(
        kind, table.get("low"), table.get("high"), tuple(values), table.get("default")
    )
    if made.default is not None and not made._allows(made.default):
        raise ConfigError(f"{what}: its default must be one that it allows itself")
    return made


def _is_kind(kind: str, value: object) -> bool:
    """Tell whether a value is of a type: to Python, True is a number and a time is a date."""
    if isinstance(value, bool | datetime) or not isinstance(value, _KINDS[kind]):
        return False
    # more than 64 bits sqlite3 refuses with an OverflowError, which is not one of its own errors
    return abs(value) < 2**63 if isinstance(value, int) else value == value  # and no NaN


def _as_date(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None
