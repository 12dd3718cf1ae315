"""A folder as a node's data: every file below it, or its FHIR bundles."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

from flame_flwr.data.chosen_keys import select
from flame_flwr.data.source import NODE_OPTION, DataKind, Query, SourceData
from flame_flwr.errors import DataError, ModelError
from flame_flwr.files import os_errors_as
from flame_flwr.log import logger

__all__ = ["FolderSource", "read_folder"]

_SHOWN = 10


class FolderSource:
    """Every file below a folder; its key is its path relative to the folder, with ``/``.

    Links to files are read, links to folders are not: the node's log names them.

    For FHIR it is the folder's own JSON files, by the rule in :mod:`flame_flwr.data.fhir_folder`.

    Parameters
    ----------
    folder : path
        An absolute path.
    name : str
        How messages call the source.
    option : str
        What the user names it with, for messages.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "ages.csv").write_text("54")
    ...     FolderSource(Path(folder), "data source 1").read("s3", ["ages.csv"])
    {'ages.csv': b'54'}
    """

    type = "folder"

    def __init__(self, folder: Path, name: str, option: str = NODE_OPTION) -> None:
        self.folder = folder
        self.name = name
        self.option = option
        self._logged: set[Path] = set()

    def check(self, kind: DataKind = "s3", keys: Sequence[str] = ()) -> None:
        """Raise :class:`DataError` if the folder has no file, or one that may not be read.

        For FHIR, if it has no file for a search, or no bundle at all where none is named.
        """
        self._refuse_tables(kind)
        paths = self._paths()
        if kind == "fhir":
            from flame_flwr.data.fhir_folder import check_queries

            check_queries(self.folder, list(keys), self.name)
            return
        with self._reading("a file"):
            for path in select(paths, list(keys), self.name).values():
                path.open("rb").close()  # whether it may be read, without reading it

    def read(self, kind: DataKind, keys: list[str]) -> dict[str, Any]:
        """Read the files, in the order of their keys; no keys means every file.

        Returns
        -------
        dict
            Bytes by key, or for FHIR, where the keys are queries, a bundle by query.

        Raises
        ------
        DataError
            The folder is missing or empty, a key is missing, or a file cannot be read or is not a
            bundle.
        """
        self._refuse_tables(kind)
        paths = self._paths()
        if kind == "fhir":
            from flame_flwr.data.fhir_folder import read_queries

            return read_queries(self.folder, keys, self.name)
        with self._reading("a file"):
            return {key: path.read_bytes() for key, path in select(paths, keys, self.name).items()}

    def _refuse_tables(self, kind: DataKind) -> None:
        if kind == "sql":
            raise DataError(
                f"{self.name} is a folder of files: for data_type 'sql', the hospital names tables "
                'in its registry, in a dataset of the type "sql"'
            )

    def _reading(self, what: str) -> AbstractContextManager[None]:
        return os_errors_as(DataError, f"{self.name}: {what} cannot be read")

    def _paths(self) -> dict[str, Path]:
        if os.path.isfile(self.folder):
            raise DataError(
                f"{self.name}: the data location is a file; name the folder that it is in",
                detail=str(self.folder),
            )
        if not os.path.isdir(self.folder):
            raise DataError(
                f"{self.name}: the data folder does not exist, or this node may not look into it; "
                f"check {self.option}",
                detail=str(self.folder),
            )
        with self._reading("a folder"):
            files, skipped = _files_below(self.folder)
        self._log_skipped(skipped)
        if not files:
            raise DataError(
                f"{self.name}: the data folder is empty; check {self.option}",
                detail=str(self.folder),
            )
        return dict(sorted((path.relative_to(self.folder).as_posix(), path) for path in files))

    def _log_skipped(self, skipped: list[Path]) -> None:
        """Say once, in the node's own log, what is in the folder and is not read."""
        new = [path for path in skipped if path not in self._logged]
        self._logged.update(new)
        if new:
            logger.warning(
                "%s: not read, for they are links to folders, links to nothing, or no files: %s%s",
                self.name,
                ", ".join(repr(str(path)) for path in new[:_SHOWN]),
                f" and {len(new) - _SHOWN} more" if len(new) > _SHOWN else "",
            )


def read_folder(
    folder: str | Path, data_type: str = "s3", query: Query = None
) -> list[dict[str, Any]]:
    r"""Read a folder as an analyzer gets it: the split to hand to ``StarModelTester``.

    Parameters
    ----------
    folder : str or path
        Absolute, or relative to the working directory.
    data_type : {'s3', 'fhir'}
        Files as bytes, or FHIR bundles from JSON files, which are found by the rule in
        :mod:`flame_flwr.data.fhir_folder`.
    query : str or list of str, optional
        Which files (none: all), or which FHIR searches.

    Returns
    -------
    list of dict
        One dict: the files below the folder by their relative paths, or the bundles by query.

    Raises
    ------
    DataError
        The folder is missing or empty, has no file for the query, or no query for FHIR is given.
    ModelError
        Another data type.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "patients.csv").write_text("age\n54\n")
    ...     read_folder(folder)
    [{'patients.csv': b'age\n54\n'}]
    """
    if data_type not in ("s3", "fhir"):
        raise ModelError(f"data_type must be 's3' or 'fhir' to read a folder, not {data_type!r}")
    source = FolderSource(Path(folder).absolute(), "data source 1", "`folder`")
    return list(SourceData([source]).load(cast(DataKind, data_type), query))


def _files_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return every file below a folder, and what is there besides, such as links to folders.

    A folder that cannot be listed is an error, not skipped.
    """

    def fail(error: OSError) -> None:
        raise error

    files: list[Path] = []
    others: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=fail):
        # links to folders are not followed: they may lead out of it, or in a circle
        others += [path for name in folders if (path := Path(parent, name)).is_symlink()]
        for name in names:
            path = Path(parent, name)
            (files if path.is_file() else others).append(path)
    return files, sorted(others)
