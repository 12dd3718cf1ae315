"""A file of SQLite's, opened for reading alone."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

from flame_flwr.data.sql_errors import sqlite_problem, words_for
from flame_flwr.data.sql_session import Read, pieces_of, rendered, stopped_after
from flame_flwr.data.table_pieces import cells_of
from flame_flwr.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import sqlalchemy

    from flame_flwr.data.sql_parameters import Bound
    from flame_flwr.data.table_pieces import Piece

__all__ = ["FILE_ADVICE", "Sqlite"]

FILE_ADVICE = "this node's user may write to its file: let the file be for reading only"


class Sqlite:
    """A file of SQLite's. Each cell has a type of its own there, and dates are texts.

    Parameters
    ----------
    path : Path
        Absolute.
    name : str
        How messages call the source.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.where = f"sqlite:///{path}"
        self._path = path
        self._name = name

    @contextmanager
    def session(self, seconds: float) -> Iterator[Read]:
        """Read in one transaction; see ``Database``."""
        from sqlalchemy.dialects.sqlite import dialect

        def read(statement: sqlalchemy.Select[Any], values: Mapping[str, Bound]) -> Iterator[Piece]:
            text, bound = rendered(statement, _texts(values), dialect(paramstyle="named"))
            cursor = connection.execute(text, bound)
            columns = {each[0]: cells_of for each in cursor.description}
            if len(columns) < len(cursor.description):
                raise DataError(f"{self._name}: two columns of what is read have one name")
            yield from pieces_of(cursor, columns, self._name, check)

        try:
            # a file that is not there is not made
            # BEGIN is said below: without an isolation level, sqlite3 adds none of its own
            connection = sqlite3.connect(
                f"{self._path.as_uri()}?mode=ro", uri=True, isolation_level=None
            )
            with (
                closing(connection),
                stopped_after(seconds, connection.interrupt, self._name, self.where) as check,
            ):
                connection.execute("PRAGMA query_only = ON")
                connection.execute("BEGIN")
                yield read
        except sqlite3.Error as error:
            raise words_for(sqlite_problem(error), self._name, self.where, error) from None

    def advice(self) -> str:
        """Look whether this node's user may write to the file."""
        return FILE_ADVICE if os.access(self._path, os.W_OK) else ""


def _texts(values: Mapping[str, Bound]) -> dict[str, Bound]:
    """Return values as SQLite compares them: dates are texts there."""
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in values.items()
    }
