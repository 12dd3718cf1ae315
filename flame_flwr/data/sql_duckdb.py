"""A file of DuckDB's, opened for reading alone and with no way to other files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.data.sql_errors import duckdb_problem, words_for
from flame_flwr.data.sql_session import Read, driver, kinds_of, next_size, rendered, stopped_after
from flame_flwr.data.sql_sqlite import FILE_ADVICE
from flame_flwr.data.table_pieces import DTYPES, Cells, Kind

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import sqlalchemy

    from flame_flwr.data.sql_parameters import Bound
    from flame_flwr.data.table_pieces import Piece

__all__ = ["DuckDB"]

_KIND_BY_TYPE: Mapping[str, Kind] = {
    "BOOLEAN": "bool",
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT"), "whole"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER"), "whole"),
    # unsigned and wider ones may be beyond int64
    **dict.fromkeys(("UBIGINT", "HUGEINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL"), "number"),
    **dict.fromkeys(("VARCHAR", "UUID", "ENUM"), "text"),
    **dict.fromkeys(("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "time"),
    "TIMESTAMP WITH TIME ZONE": "utc",
}
_VECTORS = 25
"""Of 2,048 rows each: so many are a piece at most."""

_CONFIG = {"enable_external_access": False, "autoinstall_known_extensions": False}


class DuckDB:
    """A file of DuckDB's.

    Parameters
    ----------
    path : Path
        Absolute.
    name : str
        How messages call the source.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.where = f"duckdb:///{path}"
        self._path = path
        self._name = name
        self._driver = driver("duckdb", name)

    @contextmanager
    def session(self, seconds: float) -> Iterator[Read]:
        """Read in one transaction; see ``Database``."""
        # SQLAlchemy has no dialect of DuckDB's, which takes PostgreSQL's names and brackets
        from sqlalchemy.dialects.postgresql import dialect

        def read(statement: sqlalchemy.Select[Any], values: Mapping[str, Bound]) -> Iterator[Piece]:
            text, bound = rendered(statement, values, dialect(paramstyle="numeric_dollar"))
            if len(connection.extract_statements(text)) != 1:  # DuckDB would run them all
                raise self._driver.ParserException("more than one statement")
            connection.execute(text, bound)
            described = [(each[0], str(each[1])) for each in connection.description]
            columns = kinds_of(described, _kind_of, self._name)
            frame, vectors = connection.fetch_df_chunk(1), 1
            while True:
                check()
                yield (piece := _piece(frame, columns))
                vectors = next_size(vectors, piece, _VECTORS)
                frame = connection.fetch_df_chunk(vectors)
                if frame.empty:
                    return

        try:
            with (
                self._connect() as connection,
                stopped_after(seconds, connection.interrupt, self._name, self.where) as check,
            ):
                # also for folders of tables: a database in memory cannot be opened read-only
                connection.execute("BEGIN TRANSACTION READ ONLY")
                yield read
        except self._driver.Error as error:
            raise words_for(duckdb_problem(error), self._name, self.where, error) from None

    def advice(self) -> str:
        """Look whether this node's user may write to the file."""
        return FILE_ADVICE if os.access(self._path, os.W_OK) else ""

    def _connect(self) -> Any:
        return self._driver.connect(str(self._path), read_only=True, config=_CONFIG)


def _kind_of(described: str) -> Kind | None:
    """Return the kind of a type, such as ``DECIMAL(18,3)``; of a list of it, there is none."""
    # "INTEGER[]" and "INTEGER[3]" are lists
    return None if described.endswith("]") else _KIND_BY_TYPE.get(described.partition("(")[0])


def _piece(frame: pd.DataFrame, columns: Mapping[str, Kind | None]) -> Piece:
    kinds = enumerate(columns.items())
    return {column: _cells(frame.iloc[:, number], kind) for number, (column, kind) in kinds}


def _cells(column: pd.Series[Any], kind: Kind | None) -> Cells:
    """Return cells as pandas has them: it gives whole numbers with NULL a type of its own."""
    missing = column.isna().to_numpy()
    if kind == "text" or (kind == "bool" and missing.any()):
        return Cells(kind, column.astype(object).mask(missing, None).tolist())
    if kind == "whole" and missing.any():
        kind = "number"
    if kind == "utc":
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    gap: Any = np.datetime64("NaT") if kind in ("time", "utc") else np.nan
    assert kind is not None
    # pandas 2.2 puts what stands for a gap also into whole numbers without any.
    filled = {"na_value": gap} if missing.any() else {}
    return Cells(kind, column.to_numpy(DTYPES[kind], **filled))
