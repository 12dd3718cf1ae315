"""A folder of Parquet and CSV files as tables, read with DuckDB: only the columns asked for.

What is read comes in pieces, so that a file may be larger than memory. DuckDB can reach nothing
beside the folder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from flame_flwr.data.sql_duckdb import DuckDB
from flame_flwr.data.sql_errors import words_for
from flame_flwr.errors import DataError
from flame_flwr.files import os_errors_as

__all__ = ["READERS", "TableFiles"]

READERS = {".parquet": "read_parquet", ".csv": "read_csv"}
"""What reads a file, by how its name ends."""

_SETTINGS = {
    "autoinstall_known_extensions": False,
    "threads": 2,
    "memory_limit": "512MB",
    "temp_directory": "",
}
"""Nothing is written to disk, and a node reads for several analyses at once."""


class TableFiles(DuckDB):
    """The tables of a folder: ``visits.parquet``, ``visits.csv``, or a folder ``visits`` of parts.

    Parameters
    ----------
    path : Path
        The folder.
    name : str
        How messages call the source.
    only : collection of str
        Which tables there are; empty for all that it has.
    """

    def __init__(self, path: Path, name: str, only: Collection[str] = ()) -> None:
        super().__init__(path, name)
        self.where = str(path)
        self._only = only

    def advice(self) -> str:
        """Return nothing: a folder's files are not written to by reading them."""
        return ""

    def _connect(self) -> Any:
        tables = self._tables()
        connection = self._driver.connect(config=_SETTINGS)
        try:
            for table, files in tables.items():
                reader = READERS[files[0].suffix]
                listed = ", ".join(_quoted(str(file), "'") for file in files)
                view = _quoted(table, '"')
                connection.execute(f"CREATE VIEW {view} AS FROM {reader}([{listed}])")
            paths = [path for files in tables.values() for path in files]
            both = dict.fromkeys(str(each) for path in paths for each in (path, path.resolve()))
            allowed = ", ".join(_quoted(path, "'") for path in both)
            # in this order: DuckDB takes no paths once access is off, and no settings once locked
            connection.execute(f"SET allowed_paths = [{allowed}]")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
        except self._driver.Error as error:
            connection.close()
            raise words_for("form", self._name, self.where, error) from None
        return connection

    def _tables(self) -> dict[str, list[Path]]:
        """Return the files of each table by its name."""
        found: dict[str, list[list[Path]]] = {}
        with os_errors_as(DataError, f"{self._name}: the folder of tables cannot be read"):
            for entry in sorted(self._path.iterdir()):
                files = sorted(entry.glob("*.parquet")) if entry.is_dir() else [entry]
                table = entry.name if entry.is_dir() else entry.stem
                if files and files[0].suffix in READERS and table in (self._only or [table]):
                    found.setdefault(table, []).append(files)
        self._check_found(found)
        return {table: files for table, [files] in found.items()}

    def _check_found(self, found: Mapping[str, list[Any]]) -> None:
        """Refuse tables that are missing, or in more than one place."""
        missing = set(self._only) - found.keys()
        if missing or not found or any(len(each) > 1 for each in found.values()):
            raise DataError(
                f"{self._name}: the folder must have one file for each table, .parquet or .csv, or "
                "one folder of .parquet files",
                detail=f"{', '.join(sorted(missing))} in {self.where}",
            )


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, mark * 2) + mark
