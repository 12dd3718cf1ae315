"""What a data source is, and a node's data as the client and the handle ask for it.

It does not decide which node may use what (:mod:`flame_flwr.data.registry`), nor what a location
means (:mod:`flame_flwr.data.open_data`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NoReturn, Protocol, TypeVar

from flame_flwr.data.chosen_keys import select
from flame_flwr.data.table_query import TableQuery
from flame_flwr.errors import DataError, UnavailableError

__all__ = [
    "DataKind",
    "NodeData",
    "RemoteSource",
    "Source",
    "SourceData",
    "SplitData",
]

DataKind = Literal["s3", "fhir", "sql"]
_T = TypeVar("_T")
Query = str | Sequence[str] | None

NODE_OPTION = "`data` in the node's config"
"""What names a node's data on a deployment."""


class NodeData(Protocol):
    """A node's data as the client and the handle ask for it."""

    def check(self, kind: DataKind | None = None, query: Query = None) -> None:
        """Raise :class:`DataError` where it is known already that nothing can be read.

        Parameters
        ----------
        kind : {'s3', 'fhir', 'sql'}, optional
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

        `kind` and `keys` are as for :meth:`read`; for FHIR and tables, no keys means any.
        """

    def read(self, kind: DataKind, keys: list[str]) -> Any:
        """Return values by key; no keys means every one.

        For tables there is one key, of :class:`~flame_flwr.data.table_query.TableQuery`.
        """


class RemoteSource(Source, Protocol):
    """A place on the network, which a node reads for processes that may not go there."""

    @property
    def where(self) -> str:
        """Which place; for the detail of errors."""

    def fetch(
        self, kind: DataKind, keys: list[str], write: Callable[[bytes], _T]
    ) -> dict[str, list[_T]]:
        """Read as :meth:`read` does, and hand all content to `write` as it comes.

        Parameters
        ----------
        kind, keys
            As for :meth:`read`.
        write : callable
            Called with bytes, maybe by several threads at a time.

        Returns
        -------
        dict
            What `write` has returned, by key: of an object once, of a search for each page, of a
            table for each piece.
        """


class SplitData:
    """A local test's split: any object, handed to the analyzer as it is.

    Parameters
    ----------
    split : Any
        The object.

    Examples
    --------
    >>> SplitData([{"a.csv": b"1", "b.csv": b"2"}]).load("s3", "b.csv")
    [{'b.csv': b'2'}]
    >>> SplitData([1, 2, 3]).load("s3", None)
    [1, 2, 3]
    """

    def __init__(self, split: Any) -> None:
        self._split = split

    def check(self, kind: DataKind | None = None, query: Query = None) -> None:
        """Do nothing: whatever was given is the data."""

    def load(self, kind: DataKind, query: Query) -> Any:
        """Return the split; of dicts (``[{key: ...}, ...]``), only what `query` asks for.

        These are the keys of files or searches; of tables their names and columns.
        """
        keys = _keys(query)
        if not keys or not _is_dicts(self._split):
            return self._split
        if kind == "sql":
            asked = TableQuery.read(keys)
            return [
                asked.frames(each, f"source {i}") for i, each in enumerate(self._split, start=1)
            ]
        return [select(files, keys, f"source {i}") for i, files in enumerate(self._split, start=1)]

    def describe(self) -> list[dict[str, str]]:
        """Return one source, the split."""
        return [{"id": "split", "name": "split", "type": "local"}]

    def client(self, data_id: str) -> NoReturn:
        """Raise: a split has no client."""
        raise _no_client(data_id)


class SourceData:
    """The data of a node that has sources, in the order in which its config names them.

    Parameters
    ----------
    sources : list of Source
        At least one; it is an attribute, too.

    Examples
    --------
    >>> class Constant:
    ...     name, type = "ages", "example"
    ...     def check(self, kind="s3", keys=()):
    ...         pass
    ...     def read(self, kind, keys):
    ...         return {"ages.csv": b"54"}
    >>> SourceData([Constant()]).load("s3", None)
    [{'ages.csv': b'54'}]
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = list(sources)

    def check(self, kind: DataKind | None = None, query: Query = None) -> None:
        """Check every source."""
        for source in self.sources:
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
        values = [source.read(kind, keys) for source in self.sources]
        if len(values) == 1 and not isinstance(values[0], Mapping):
            return values[0]
        return values

    def describe(self) -> list[dict[str, str]]:
        """Return a dict with ``id``, ``name`` and ``type`` for every source."""
        return [
            {"id": str(i), "name": source.name, "type": source.type}
            for i, source in enumerate(self.sources, start=1)
        ]

    def client(self, data_id: str) -> Any:
        """Return an HTTP client for a source: a FHIR server has one."""
        known = {str(i): source for i, source in enumerate(self.sources, start=1)}
        make = getattr(known.get(str(data_id)), "client", None)
        if make is None:
            raise _no_client(data_id)
        return make()


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
