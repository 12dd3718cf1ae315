"""The words for what a database refuses, or how it fails.

A database's own words hold values, names and SQL: they go to the node's own log, and nowhere else.
"""

from __future__ import annotations

from typing import Any

from flame_flwr.errors import DataError
from flame_flwr.log import logger

__all__ = ["SqlProblem", "duckdb_problem", "postgres_problem", "sqlite_problem", "words_for"]

SqlProblem = str
"""A key of :data:`_WORDS`."""

_WORDS = {
    "unreachable": "the database cannot be reached: is its address right, and is it running?",
    "password": "the database refuses this node's user or password: are they right and current?",
    "database": "the server has no such database, or it cannot be opened: check `url`",
    "gone": "the database went away while it was read: run it again when it is back",
    "absent": "a table or column that is read is not there, or this node's role may not see it",
    "denied": "this node's role may not read a table that is read",
    "timeout": "the database took longer than `timeout` allows, and was told to stop",
    "write": "the query, or a function that it calls, would write: it is read without writing",
    "outside": "the query would read something beside the database, such as a file",
    "syntax": "this is not a query that the database takes; it must be one SELECT",
    "value": "the query fails at a value, such as a text that is not a number",
    "memory": "the query needs more memory than the database gives it",
    "locked": "the database is locked by another process: run it again when that has ended",
    "form": "a file is not what its name says, a table as Parquet or CSV",
    "other": "the database does not run the query: this node's log has the database's own words",
}

_BY_STATE = {
    "28": "password",
    "3D": "database",
    "57P": "gone",
    "08": "gone",
    "42P01": "absent",
    "3F": "absent",
    "42703": "absent",
    "42501": "denied",
    "57014": "timeout",
    "25006": "write",
    "42": "syntax",
    "22": "value",
    "53": "memory",
    "55P03": "locked",
}
"""By how an SQLSTATE begins (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""

_BY_CODE = {
    "SQLITE_INTERRUPT": "timeout",
    "SQLITE_READONLY": "write",
    "SQLITE_CANTOPEN": "database",
    "SQLITE_NOTADB": "database",
    "SQLITE_CORRUPT": "database",
    "SQLITE_BUSY": "locked",
    "SQLITE_LOCKED": "locked",
    "SQLITE_NOMEM": "memory",
}

_BY_TEXT = {
    "no such table": "absent",
    "no such column": "absent",
    "not authorized": "outside",
}
"""SQLite's own words, which have one code for all of these."""

_BY_CLASS = {
    "InterruptException": "timeout",
    "CatalogException": "absent",
    "BinderException": "absent",
    "ParserException": "syntax",
    "ConversionException": "value",
    "OutOfRangeException": "value",
    "OutOfMemoryException": "memory",
    "PermissionException": "outside",
    "IOException": "database",
}


def words_for(problem: SqlProblem, name: str, where: str, error: object) -> DataError:
    """Return the error for a problem; what the database said goes to the log of this node.

    Parameters
    ----------
    problem : str
        As the functions below tell it.
    name : str
        How messages call the source.
    where : str
        Which database, for the detail.
    error : object
        What the driver raised.

    Examples
    --------
    >>> words_for("gone", "data source 1", "db/ward", "at 'Muster'").message
    'data source 1: the database went away while it was read: run it again when it is back'
    """
    logger.warning("%s: %s says: %s", name, where, " ".join(str(error).split())[:1000])
    return DataError(f"{name}: {_WORDS[problem]}", detail=where)


def postgres_problem(error: Any, *, connected: bool) -> SqlProblem:
    """Tell what an error of psycopg means.

    Parameters
    ----------
    error : psycopg.Error
        What was raised.
    connected : bool
        Whether it came after the connection was made.
    """
    state = error.sqlstate
    if state is None:
        if type(error).__name__ == "DataError":
            return "value"  # such as a date that Python has not
        if connected:
            return "gone"
        # of a refusal while connecting, libpq keeps no state: the server's words say it
        text = str(error)
        if "password" in text or "authentication" in text or "role " in text:
            return "password"
        return "database" if "database " in text and "does not exist" in text else "unreachable"
    # what one state means goes before its class, "42" for example
    begins = (_BY_STATE.get(state[:length]) for length in (5, 3, 2))
    return next(filter(None, begins), "other")


def sqlite_problem(error: Any) -> SqlProblem:
    """Tell what an error of sqlite3 means."""
    code = getattr(error, "sqlite_errorname", "") or ""
    known = [problem for begin, problem in _BY_CODE.items() if code.startswith(begin)]
    if known:
        return known[0]
    text = str(error)
    for beginning, problem in _BY_TEXT.items():
        if text.startswith(beginning):
            return problem
    return "syntax" if code == "SQLITE_ERROR" else "other"


def duckdb_problem(error: Any) -> SqlProblem:
    """Tell what an error of DuckDB means."""
    kind = type(error).__name__
    if kind == "InvalidInputException" and "read-only mode" in str(error):
        return "write"
    return _BY_CLASS.get(kind, "other")
