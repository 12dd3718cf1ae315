"""What a node reads for the process of a message, which has neither network nor credentials.

:func:`connect` is told how to ask the node. :func:`open_served` then gives the same sources, with
the same values and errors, as a process that reads by itself; folders are read here, and functions
called, as they are everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.data.folder_source import FolderSource
from flame_flwr.data.function_source import FunctionSource
from flame_flwr.data.remote_content import joined, value_of
from flame_flwr.data.source import SourceData
from flame_flwr.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx
    from flwr.app import Context

    from flame_flwr.data.source import DataKind, Source

__all__ = ["Ask", "Served", "connect", "is_served", "open_served"]

_PIECE = 64 * 2**20
"""Bytes. What is larger is not held in memory twice."""


@dataclass
class Served:
    """What a node answers.

    Parameters
    ----------
    answer : dict
        In words.
    file : int
        Where bytes came with it, an open file; the receiver closes it.
    """

    answer: dict[str, Any]
    file: int | None = None

    def contents(self, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return parts of the file, each given by place and size."""
        assert self.file is not None, "the answer says that there are bytes, and there are none"
        return [_read(self.file, place, size) for place, size in parts]

    def __enter__(self) -> Served:
        """Close the file after the block."""
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            os.close(self.file)


Ask = Callable[[dict[str, Any]], Served]
"""Takes a question, and raises the error that the node met."""

_ASK: list[Ask] = []


def connect(ask: Ask | None) -> None:
    """Have this process ask its node for data from now on; ``None`` for reading by itself."""
    _ASK[:] = [] if ask is None else [ask]


def is_served() -> bool:
    """Tell whether a node reads for this process."""
    return bool(_ASK)


def open_served(kind: str, context: Context) -> SourceData:
    """Return the node's data for analyses of a type, as ``open_configured`` does.

    Raises
    ------
    ConfigError, DataError
        As ``open_configured``: it is the node that calls it.
    """
    [ask] = _ASK
    with ask({"ask": "sources", "opened": kind}) as served:
        sources = served.answer["sources"]
    return SourceData(
        [_source(ask, kind, i, each, context) for i, each in enumerate(sources, start=1)]
    )


def _source(ask: Ask, opened: str, number: int, told: dict[str, Any], context: Context) -> Source:
    name, kind = told["name"], told["type"]
    if kind == "folder":
        return FolderSource(Path(os.fsdecode(told["folder"])), name, told["option"])
    if kind == "function":
        return FunctionSource(told["reference"], context, name, told["option"])
    if kind == "fhir":
        return _ServedFhir(ask, opened, number, kind, name, told["base"])
    return _ServedSource(ask, opened, number, kind, name)


class _ServedSource:
    """An object store, a database or a FHIR server, read by the node.

    Parameters
    ----------
    ask : callable
        Asks the node.
    opened : str
        For which type of analysis the node opens its sources.
    number : int
        Which of them this is, from 1.
    kind, name : str
        Its type, and how messages call it.
    """

    def __init__(self, ask: Ask, opened: str, number: int, kind: str, name: str) -> None:
        self.name = name
        self.type = kind
        self._ask = ask
        self._asked = {"opened": opened, "source": number}

    def check(self, kind: DataKind = "s3", keys: Sequence[str] = ()) -> None:
        """Have the node see whether something can be read."""
        with self.ask("check", kind=kind, keys=_texts(keys)):
            pass

    def read(self, kind: DataKind, keys: list[str]) -> dict[str, Any]:
        """Return what the node has read: bytes by key, bundles by search, tables by name."""
        with self.ask("read", kind=kind, keys=_texts(keys)) as served:
            found = served.answer["found"]
            return {key: value_of(self.type, served.contents(parts)) for key, parts in found}

    def ask(self, what: str, **more: Any) -> Served:
        """Ask the node something about this source."""
        return self._ask({"ask": what, **self._asked, **more})


class _ServedFhir(_ServedSource):
    """A FHIR server, searched by the node; other requests to it go through the node as well."""

    def __init__(self, ask: Ask, opened: str, number: int, kind: str, name: str, base: str) -> None:
        super().__init__(ask, opened, number, kind, name)
        self._base = base

    def client(self) -> httpx.AsyncClient:
        """Return a client whose requests the node makes; it is the caller's to close."""
        from flame_flwr.data.served_client import served_client

        return served_client(self.ask, self._base)


def _texts(keys: Sequence[str]) -> list[str]:
    if not all(isinstance(key, str) for key in keys):
        raise DataError("a query is a text, or a list of texts", detail=repr(keys)[:500])
    return list(keys)


def _read(file: int, place: int, size: int) -> bytes:
    """Read a part of a file without moving its position, which other processes share."""
    if size <= _PIECE:  # one call gives less than 2 GiB, whatever is asked for (pread(2))
        return os.pread(file, size, place)
    begins = range(0, size, _PIECE)
    pieces = (os.pread(file, min(_PIECE, size - begin), place + begin) for begin in begins)
    return joined(pieces, size)
