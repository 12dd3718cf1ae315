"""Data sources of a node, and the view of them that analyzers and the handle get.

Here are the simple ones: a folder, a function (called with Flower's ``Context``), a local split.
This module reads; it does not decide which node may use what, nor what a location means.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, TypeVar, cast

from flame_flwr.errors import DataError, ModelError, UnavailableError, text_of
from flame_flwr.files import reason_of
from flame_flwr.log import logger
from flame_flwr.suggestions import what_there_is

if TYPE_CHECKING:
    from flwr.app import Context

__all__ = [
    "DataKind",
    "FolderSource",
    "FunctionSource",
    "NodeData",
    "Source",
    "SourceData",
    "SplitData",
    "read_folder",
]

DataKind = Literal["s3", "fhir"]
_T = TypeVar("_T")
Query = str | Sequence[str] | None

_SHOWN = 10

NODE_OPTION = "`data` in the node's config"
"""What names a node's data on a deployment."""


class NodeData(Protocol):
    """A node's data as the client and the handle ask for it."""

    def check(self, kind: DataKind | None = None, query: Query = None) -> None:
        """Raise :class:`DataError` where it is known already that nothing can be read.

        Parameters
        ----------
        kind : {'s3', 'fhir'}, optional
            What :meth:`load` will be asked for, where that is known.
        query : str or sequence of str, optional
            And which query.
        """

    def load(self, kind: DataKind, query: Query) -> Any:
        """Return the data that an analyzer of this ``data_type`` gets for this query."""

    def describe(self) -> list[dict[str, str]]:
        """Return a dict with ``id``, ``name`` and ``type`` for every source."""

    def client(self, data_id: str) -> Any:
        """Return an HTTP client for the source with this id, or raise."""


class Source(Protocol):
    """One place that a node reads."""

    @property
    def name(self) -> str:
        """How messages call it."""

    @property
    def type(self) -> str:
        """Such as ``folder``."""

    def check(self, kind: DataKind = "s3", keys: Sequence[str] = ()) -> None:
        """Raise :class:`DataError` where it is known already that nothing can be read.

        `kind` and `keys` are as for :meth:`read`; for FHIR, no keys means any.
        """

    def read(self, kind: DataKind, keys: list[str]) -> Any:
        """Return values by key; no keys means every one."""


class SplitData:
    """A local test's split: any object, handed to the analyzer as it is.

    Parameters
    ----------
    split : Any
        The object.
    """

    def __init__(self, split: Any) -> None:
        self._split = split

    def check(self, kind: DataKind | None = None, query: Query = None) -> None:
        """Do nothing: whatever was given is the data."""

    def load(self, kind: DataKind, query: Query) -> Any:
        """Return the split; of file dicts (``[{key: ...}, ...]``), only the keys of `query`."""
        keys = _keys(query)
        if not keys or not _is_dicts(self._split):
            return self._split
        return [_select(files, keys, f"source {i}") for i, files in enumerate(self._split, start=1)]

    def describe(self) -> list[dict[str, str]]:
        """Return one source, the split."""
        return [{"id": "split", "name": "split", "type": "local"}]

    def client(self, data_id: str) -> NoReturn:
        """Raise: a split has no client."""
        raise _no_client(data_id)


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
    """

    type = "folder"

    def __init__(self, folder: Path, name: str, option: str = NODE_OPTION) -> None:
        self.folder = folder
        self.name = name
        self.option = option
        self._told: set[Path] = set()

    def check(self, kind: DataKind = "s3", keys: Sequence[str] = ()) -> None:
        """Raise :class:`DataError` if the folder has no file, or one that may not be read.

        For FHIR, if it has no file for a search, or no bundle at all where none is named.
        """
        paths = self._paths()
        if kind == "fhir":
            from flame_flwr.data.fhir_folder import check_queries

            check_queries(self.folder, list(keys), self.name)
            return
        try:
            for path in _select(paths, list(keys), self.name).values():
                path.open("rb").close()
        except OSError as error:
            raise self._unreadable(error) from error

    def read(self, kind: DataKind, keys: list[str]) -> dict[str, Any]:
        """Read the files, in the order of their keys; no keys means every file.

        Returns
        -------
        dict
            Bytes by key, or for FHIR, where the keys are queries, a bundle by query.

        Raises
        ------
        DataError
            Missing or empty folder, missing key, an unreadable file, or one that is no bundle.
        """
        paths = self._paths()
        if kind == "fhir":
            from flame_flwr.data.fhir_folder import read_queries

            return read_queries(self.folder, keys, self.name)
        try:
            return {key: path.read_bytes() for key, path in _select(paths, keys, self.name).items()}
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> DataError:
        text = f"{reason_of(error)}: {self.name}: a file cannot be read ({type(error).__name__})"
        return DataError(text, detail=str(error))

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
        try:
            files, skipped = _files_below(self.folder)
        except OSError as error:
            raise DataError(
                f"{reason_of(error)}: "
                f"{self.name}: a folder cannot be read ({type(error).__name__})",
                detail=str(error),
            ) from error
        self._tell(skipped)
        if not files:
            raise DataError(
                f"{self.name}: the data folder is empty; check {self.option}",
                detail=str(self.folder),
            )
        return dict(sorted((path.relative_to(self.folder).as_posix(), path) for path in files))

    def _tell(self, skipped: list[Path]) -> None:
        """Say once, in the node's own log, what is in the folder and is not read."""
        new = [path for path in skipped if path not in self._told]
        self._told.update(new)
        if new:
            logger.warning(
                "%s: not read, for they are links to folders, links to nothing, or no files: %s%s",
                self.name,
                ", ".join(repr(str(path)) for path in new[:_SHOWN]),
                f" and {len(new) - _SHOWN} more" if len(new) > _SHOWN else "",
            )


class FunctionSource:
    """What a function returns, called with Flower's ``Context``: for synthetic data.

    Parameters
    ----------
    reference : str
        ``package.module:function``.
    context : Context
        The node's; ``context.node_config["partition-id"]`` tells simulated nodes apart.
    name : str
        How messages call the source.
    option : str
        What the user names it with, for messages.
    """

    type = "function"

    def __init__(
        self, reference: str, context: Context, name: str, option: str = NODE_OPTION
    ) -> None:
        self.reference = reference
        self.name = name
        self.option = option
        self._context = context

    def check(self, kind: DataKind = "s3", keys: Sequence[str] = ()) -> None:
        """Raise :class:`DataError` if there is no such function."""
        self._function()

    def read(self, kind: DataKind, keys: list[str]) -> Any:
        """Call the function. Of a mapping, only `keys` are kept; no keys means every one."""
        value = self._function()(self._context)
        return _select(value, keys, self.name) if isinstance(value, Mapping) else value

    def _function(self) -> Callable[[Context], Any]:
        module, _, attribute = self.reference.partition(":")
        try:
            function: Callable[[Context], Any] = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise DataError(
                f"{self.name}: the function that {self.option} names cannot be imported",
                detail=f"{self.reference}: {text_of(error)}",
            ) from error
        if not callable(function):
            raise DataError(
                f"{self.name}: what {self.option} names is no function", detail=self.reference
            )
        return function


class SourceData:
    """The data of a node that has sources, in the order in which its config names them.

    Parameters
    ----------
    sources : list of Source
        At least one.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = list(sources)

    def check(self, kind: DataKind | None = None, query: Query = None) -> None:
        """Check every source."""
        for source in self._sources:
            if kind is None:
                source.check()
            else:
                source.check(kind, _keys(query))

    def load(self, kind: DataKind, query: Query) -> Any:
        """Read every source: ``[{key: value, ...}, ...]``, one dict per source.

        A single function that returns anything but a mapping gives the data itself.
        """
        keys = _keys(query)
        if kind == "fhir" and not keys:
            raise DataError("FHIR data needs a query, such as query='Patient?_count=100'")
        values = [source.read(kind, keys) for source in self._sources]
        if len(values) == 1 and not isinstance(values[0], Mapping):
            return values[0]
        return values

    def describe(self) -> list[dict[str, str]]:
        """Return a dict with ``id``, ``name`` and ``type`` for every source."""
        return [
            {"id": str(i), "name": source.name, "type": source.type}
            for i, source in enumerate(self._sources, start=1)
        ]

    def client(self, data_id: str) -> Any:
        """Return an HTTP client for a source: a FHIR server has one."""
        known = {str(i): source for i, source in enumerate(self._sources, start=1)}
        make = getattr(known.get(str(data_id)), "client", None)
        if make is None:
            raise _no_client(data_id)
        return make()


def read_folder(
    folder: str | Path, data_type: str = "s3", query: Query = None
) -> list[dict[str, Any]]:
    """Read a folder as an analyzer gets it: the split to hand to ``StarModelTester``.

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
    """
    if data_type not in ("s3", "fhir"):
        raise ModelError(f"data_type must be 's3' or 'fhir' to read a folder, not {data_type!r}")
    source = FolderSource(Path(folder).absolute(), "data source 1", "`folder`")
    return list(SourceData([source]).load(cast(DataKind, data_type), query))


def _files_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return every file below a folder, and what is there and is none, as links to folders.

    A folder that cannot be listed is an error, not skipped.
    """

    def fail(error: OSError) -> None:
        raise error

    files: list[Path] = []
    others: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=fail):
        others += [path for name in folders if (path := Path(parent, name)).is_symlink()]
        for name in names:
            path = Path(parent, name)
            (files if path.is_file() else others).append(path)
    return files, sorted(others)


def _no_client(data_id: object) -> UnavailableError:
    return UnavailableError(
        "get_data_client works for a FHIR server only, and this node has none of this id: "
        "use the data that analysis_method receives",
        detail=f"asked for {data_id!r}",
    )


def _keys(query: Query) -> list[str]:
    if query is None:
        return []
    return [query] if isinstance(query, str) else list(query)


def _is_dicts(split: Any) -> bool:
    return isinstance(split, list) and all(isinstance(files, dict) for files in split)


def _select(files: Mapping[str, _T], keys: list[str], name: str) -> dict[str, _T]:
    missing = [key for key in keys if key not in files]
    if missing:
        raise DataError(
            f"{name} has no {', '.join(map(repr, missing))}, which the query names",
            detail=what_there_is(missing, files),
        )
    return {key: files[key] for key in keys} if keys else dict(files)
