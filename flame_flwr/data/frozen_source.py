"""A data source as it was when a study froze it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from flame_flwr.data.frozen_manifest import Manifest, Wanted
from flame_flwr.data.remote_content import value_of
from flame_flwr.errors import DataError, UnavailableError

if TYPE_CHECKING:
    from flame_flwr.data.frozen_store import FrozenStore
    from flame_flwr.data.source import DataKind, RemoteSource, Source

__all__ = ["FrozenSource"]

_T = TypeVar("_T")


class FrozenSource:
    """What a source gave when it was first asked for this, in one project and under one name.

    Parameters
    ----------
    source : Source
        The live one.
    kind : str
        The type of analysis that it is opened for.
    store : FrozenStore
        Where it is kept.
    project, name, dataset : str
        As of :class:`~flame_flwr.data.frozen_manifest.Wanted`.
    noted : set of str, optional
        The digests of what is read are added to it.
    subject : str
        As of :class:`~flame_flwr.data.frozen_manifest.Wanted`.

    Raises
    ------
    DataError
        The source is a function, which runs in the analysis's process: nobody else can read it.
    """

    def __init__(
        self,
        source: Source,
        kind: DataKind,
        store: FrozenStore,
        project: str,
        name: str,
        dataset: str,
        noted: set[str] | None = None,
        subject: str = "",
    ) -> None:
        if source.type == "function":
            raise DataError(f"{source.name} is a function, and what it returns cannot be frozen")
        self.name = source.name
        self.type = str(kind)
        self._source = source
        self._store = store
        self._owner = project, name, dataset
        self._subject = subject
        self._noted: set[str] = set() if noted is None else noted

    @property
    def where(self) -> str:
        """A made-up address, for the detail of errors: no request may go to the live server."""
        return f"https://frozen.invalid/{'/'.join(map(quote, self._owner))}"

    def check(self, kind: DataKind = "s3", keys: Sequence[str] = ()) -> None:
        """Freeze what is not frozen yet, as this is called before round 1."""
        self.frozen(kind, keys)

    def frozen(self, kind: DataKind, keys: Sequence[str]) -> Manifest:
        """Return the manifest of a query's frozen data; freeze it now if it was not before."""
        wanted = self._wanted(kind, keys)
        manifest = self._store.find(wanted) or self._store.freeze(
            wanted, lambda write: self._fetch_live(kind, list(keys), write)
        )
        self._noted.add(manifest.hmac)
        return manifest

    def read(self, kind: DataKind, keys: list[str]) -> dict[str, Any]:
        """Return the frozen values by key."""
        found = self.fetch(kind, keys, lambda content: content)
        return {key: value_of(kind, parts) for key, parts in found.items()}

    def fetch(
        self, kind: DataKind, keys: list[str], write: Callable[[bytes], _T]
    ) -> dict[str, list[_T]]:
        """Hand the frozen content to `write`, as of :class:`~flame_flwr.data.source.RemoteSource`.

        Raises
        ------
        DataError
            It is not what was frozen.
        """
        manifest, found = self.frozen(kind, keys), cast("dict[str, list[_T]]", {})
        for key, content in self._store.contents(self._wanted(kind, keys), manifest):
            found.setdefault(key, []).append(write(content))
        return found

    def forward(self, *_: Any) -> Any:
        """Refuse a request to the live server, which might answer otherwise by now."""
        raise UnavailableError(f"{self.name} is frozen: get_data_client would ask its live server")

    def _wanted(self, kind: DataKind, keys: Sequence[str]) -> Wanted:
        project, name, dataset = self._owner
        return Wanted(project, name, dataset, kind, tuple(keys), self._subject)

    def _fetch_live(
        self, kind: DataKind, keys: list[str], write: Callable[[bytes], _T]
    ) -> dict[str, list[_T]]:
        """Read the live source, in pieces where it gives pieces: a folder gives whole values."""
        if hasattr(self._source, "fetch"):
            return cast("RemoteSource", self._source).fetch(kind, keys, write)
        values: Mapping[str, Any] = self._source.read(kind, keys)
        return {key: [write(_as_bytes(value))] for key, value in values.items()}


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()
