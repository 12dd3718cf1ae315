"""A database as a node's data: tables or a query of the hospital's, as DataFrames by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from flame_flwr.data.sql_entry import ReadLimits, SqlEntry
from flame_flwr.data.sql_session import no_type_for
from flame_flwr.data.sql_statements import statements
from flame_flwr.data.table_pieces import Piece, as_frame, merged, pack, rows_of
from flame_flwr.data.table_query import TableQuery
from flame_flwr.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import sqlalchemy

    from flame_flwr.data.source import DataKind
    from flame_flwr.data.sql_parameters import Bound
    from flame_flwr.data.sql_session import Database
    from flame_flwr.data.table_pieces import Kind

__all__ = ["SqlSource"]

_T = TypeVar("_T")


class SqlSource:
    """What a registry's entry lets analyses read of a database.

    Parameters
    ----------
    database : Database
        Where it is read.
    entry : SqlEntry
        What of it, and how much.
    name : str
        How messages call the source.
    """

    type = "sql"

    def __init__(self, database: Database, entry: SqlEntry, name: str) -> None:
        self.name = name
        self._database = database
        self._entry = entry

    @property
    def where(self) -> str:
        """The database, and what is read of it; for the detail of errors."""
        return f"{self._database.where} {self._entry.query or ', '.join(self._entry.tables)}"

    def check(self, kind: DataKind = "sql", keys: Sequence[str] = ()) -> None:
        """Raise :class:`DataError` unless every table can be read; it is asked for without rows."""
        wanted, values = self._asked(kind, keys)
        with self._database.session(self._entry.limits.seconds) as read:
            for statement in wanted.values():
                next(read(statement.limit(0), values))

    def advice(self) -> str:
        """Return what the hospital had better change, in words; '' for nothing."""
        return self._database.advice()

    def read(self, kind: DataKind, keys: list[str]) -> dict[str, pd.DataFrame]:
        """Read tables.

        Parameters
        ----------
        kind : str
            ``'sql'``.
        keys : list of str
            What a :class:`~flame_flwr.data.table_query.TableQuery` says.

        Returns
        -------
        dict
            DataFrames by the name of their table.

        Raises
        ------
        DataError
            The entry does not allow it, the database refuses it, or it is beyond the limits.
        """
        found = self._read_each(kind, keys, lambda piece: piece)
        return {name: as_frame(pieces) for name, pieces in found.items()}

    def fetch(
        self, kind: DataKind, keys: list[str], write: Callable[[bytes], _T]
    ) -> dict[str, list[_T]]:
        """Read tables as :meth:`read` does, and write down their pieces as they come.

        See :class:`~flame_flwr.data.source.RemoteSource`.
        """
        return self._read_each(kind, keys, lambda piece: write(pack(piece)))

    def _read_each(
        self, kind: DataKind, keys: list[str], take: Callable[[Piece], _T]
    ) -> dict[str, list[_T]]:
        """Return what `take` makes of each piece of each table as it arrives."""
        wanted, values = self._asked(kind, keys)
        limit = _Limit(self._entry.limits, self.name)
        with self._database.session(self._entry.limits.seconds) as read:
            return {
                name: [take(piece) for piece in limit.kept(read(statement, values))]
                for name, statement in wanted.items()
            }

    def _asked(
        self, kind: DataKind, keys: Sequence[str]
    ) -> tuple[dict[str, sqlalchemy.Select[Any]], dict[str, Bound]]:
        if kind != "sql":
            raise DataError(f"{self.name} is a database and has no files or bundles")
        asked = TableQuery.read(keys) if keys else None
        return statements(self._entry, asked, self.name)


class _Limit:
    """What one reading may still take."""

    def __init__(self, limits: ReadLimits, name: str) -> None:
        self._limits = limits
        self._name = name
        self._rows = self._bytes = 0

    def kept(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Yield the pieces of a table while they are within the limits and their types match."""
        kinds: dict[str, Kind] = {}
        for piece in pieces:
            self._rows += rows_of(piece)
            self._bytes += sum(cells.nbytes for cells in piece.values())
            if self._rows > self._limits.rows:
                raise self._beyond(f"{self._limits.rows} rows", "max-rows")
            if self._bytes > self._limits.mb * 1e6:
                raise self._beyond(f"{self._limits.mb:g} MB", "max-mb")
            for number, (column, cells) in enumerate(piece.items(), start=1):
                # here, and not once all has come: a long reading that cannot end well ends now
                try:
                    kinds[column] = merged([kinds.get(column, "empty"), cells.kind])
                except TypeError:
                    raise no_type_for(self._name, number, column) from None
            yield piece

    def _beyond(self, limit: str, key: str) -> DataError:
        return DataError(
            f"{self._name}: what is read has more than {limit}: ask for less, or the hospital "
            f"raises `{key}`"
        )
