"""What a registry's dataset of the type ``sql`` says beside its URL, read into one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flame_flwr.config.config_key import ConfigKey
from flame_flwr.data.sql_parameters import SqlParameter, read_parameters
from flame_flwr.errors import ConfigError
from flame_flwr.files import os_errors_as
from flame_flwr.text.textfiles import decode_text

__all__ = ["SQL_KEYS", "ReadLimits", "SqlEntry", "read_sql"]

SQL_KEYS = {
    "query": ConfigKey(str, "", is_path=True),
    "tables": ConfigKey(dict, None),
    "parameters": ConfigKey(dict, None),
    "max-rows": ConfigKey(int, 10_000_000, is_positive=True),
    "max-mb": ConfigKey((int, float), 2000, is_positive=True),
    "timeout": ConfigKey((int, float), 600, is_positive=True),
    "tls": ConfigKey(str, "", choices=("verify", "encrypt", "off")),
    "user": ConfigKey(dict, None),
    "password": ConfigKey(dict, None),
}
"""The keys of such a dataset, besides those of all."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What one reading may take.

    Parameters
    ----------
    rows : int
        Of all its tables together.
    mb : float
        Megabytes of their cells.
    seconds : float
        The whole reading, and each statement of it.
    """

    rows: int
    mb: float
    seconds: float


@dataclass(frozen=True, slots=True)
class SqlEntry:
    """A dataset of the type ``sql``, checked.

    Parameters
    ----------
    query : Path, optional
        A file with one query of the hospital's.
    tables : dict of str to (str, list of str)
        Else tables by the name that analyses call them by: the name in the database, and the
        columns that may be read.
    parameters : dict of str to SqlParameter
        What the query takes.
    limits : ReadLimits
        What one reading may take.
    subject : str
        The column that says whom a row is about.

    Examples
    --------
    >>> entry = SqlEntry.of({"tables": {"cdm.person": ["person_id"]}}, "dataset 1")
    >>> entry.tables
    {'person': ('cdm.person', ['person_id'])}
    """

    query: Path | None = None
    tables: Mapping[str, tuple[str, list[str]]] = field(default_factory=dict)
    parameters: Mapping[str, SqlParameter] = field(default_factory=dict)
    limits: ReadLimits = ReadLimits(10_000_000, 2000, 600)
    subject: str = ""

    @classmethod
    def of(cls, options: Mapping[str, Any], what: str, subject: str = "") -> SqlEntry:
        """Read a dataset's options.

        Raises
        ------
        ConfigError
            An option is missing or wrong.
        """
        query, tables = options.get("query"), options.get("tables", {})
        if bool(query) == bool(tables):
            raise ConfigError(f"{what} must have either `query`, a file of SQL, or `tables`")
        parameters = read_parameters(options.get("parameters", {}), f"{what}: `parameters`")
        if parameters and not query:
            raise ConfigError(f"{what}: `parameters` are those of a `query`")
        limits = [
            options.get(key, SQL_KEYS[key].default) for key in ("max-rows", "max-mb", "timeout")
        ]
        path = Path(query) if query else None
        return cls(path, _tables(tables, what), parameters, ReadLimits(*limits), subject)


def read_sql(path: Path, name: str) -> str:
    """Return the query that a file holds, without a semicolon at its end.

    Raises
    ------
    ConfigError
        The file cannot be read, or is empty.
    """
    with os_errors_as(ConfigError, f"{name}: the file of `query` cannot be read"):
        content = path.read_bytes()
    try:
        text = decode_text(content).strip().rstrip(";").rstrip()
    except ValueError:
        raise ConfigError(f"{name}: the file of `query` is not text", detail=str(path)) from None
    if not text:
        raise ConfigError(f"{name}: the file of `query` is empty", detail=str(path))
    return text


def _tables(tables: Mapping[str, Any], what: str) -> dict[str, tuple[str, list[str]]]:
    """Return tables by their names without a schema, which differ from hospital to hospital."""
    found = {}
    for full, columns in tables.items():
        if not isinstance(columns, list) or not columns or not all(map(_is_name, columns)):
            raise ConfigError(f"{what}: `tables` must hold lists of columns that may be read")
        name = full.rpartition(".")[2]
        if not name or name in found:
            raise ConfigError(f"{what}: `tables` must have a name each, and each another")
        found[name] = full, columns
    return found


def _is_name(column: Any) -> bool:
    return isinstance(column, str) and bool(column)
