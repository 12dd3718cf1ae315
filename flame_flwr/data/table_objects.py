"""Parquet and CSV objects of a store as tables: on the node's disk first, then read with DuckDB.

DuckDB reads only the columns that are asked for, but would have to download an extension to reach a
store itself. So objects come into the node's ``cache-dir``, as files, by what they are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flame_flwr.data.table_files import READERS, TableFiles

if TYPE_CHECKING:
    from flame_flwr.data.s3_files import StoredObject
    from flame_flwr.data.s3_source import S3Source
    from flame_flwr.data.sql_session import Read

__all__ = ["TableObjects"]


class TableObjects(TableFiles):
    """The tables below a prefix: ``visits.parquet``, ``visits.csv``, or ``visits/`` with parts.

    Parameters
    ----------
    source : S3Source
        The store; without a cache, files are removed once they were read.
    name : str
        How messages call the source.
    only : collection of str
        Which tables there are; empty for all that the prefix has.
    """

    def __init__(self, source: S3Source, name: str, only: Collection[str] = ()) -> None:
        super().__init__(Path(), name, only)
        self.where = source.where
        self._source = source
        self._temporary: Path | None = None

    @contextmanager
    def session(self, seconds: float) -> Iterator[Read]:
        """Fetch what there is of the tables, and read; see ``Database``."""
        with tempfile.TemporaryDirectory(prefix="flame-flwr-tables-") as folder:
            self._temporary = Path(folder)
            with super().session(seconds) as read:
                yield read

    def _tables(self) -> dict[str, list[Path]]:
        """Return the files of each table by its name; the store's objects are in them."""
        assert self._temporary is not None
        found: dict[str, dict[str, list[StoredObject]]] = {}
        for item in self._source.objects():
            key = PurePosixPath(item.key)
            in_parts = len(key.parts) == 2 and key.suffix == ".parquet"
            if key.suffix not in READERS or not (in_parts or len(key.parts) == 1):
                continue
            table = key.parts[0] if in_parts else key.stem
            if table in (self._only or [table]):
                place = key.parts[0]  # a file, or a folder of parts: one of them
                found.setdefault(table, {}).setdefault(place, []).append(item)
        self._check_found({table: list(places) for table, places in found.items()})
        return {
            table: self._source.save(items, self._temporary)
            for table, [items] in (
                (table, list(places.values())) for table, places in found.items()
            )
        }
