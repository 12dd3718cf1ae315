"""A node reads object stores and FHIR servers for the processes of messages.

A process has neither network nor credentials. It asks, over its message's socket, for what the
node's own config names, and gets an open file with what was read; local folders it reads by itself.
What asks has run foreign code: see :mod:`flame_flwr.node.data_question`.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flame_flwr.config import NodeSettings, RunSettings
from flame_flwr.data.configured import open_configured
from flame_flwr.data.folder_source import FolderSource
from flame_flwr.data.frozen_source import FrozenSource
from flame_flwr.data.function_source import FunctionSource
from flame_flwr.data.spool import Spool
from flame_flwr.errors import ConfigError, DataError, FlameError, UnavailableError
from flame_flwr.files import reason_of
from flame_flwr.log import logger
from flame_flwr.node.data_changes import DataChanges, Seen, of_contents, of_folder
from flame_flwr.node.data_question import KINDS, NOT_HAD, DataQuestion
from flame_flwr.node.fetched_data import FetchedData
from flame_flwr.node.wire import FrameRefusedError
from flame_flwr.processes.threads import interruptibly

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

    from flwr.app import Context

    from flame_flwr.data.fhir_server import FhirSource
    from flame_flwr.data.source import DataKind, RemoteSource, Source, SourceData

__all__ = ["DataReply", "DataService", "MessageData"]

_T = TypeVar("_T")
_ERRORS = (ConfigError, DataError, UnavailableError)


@dataclass(frozen=True)
class DataReply:
    """What a question is answered with.

    Parameters
    ----------
    header : dict
        For the process.
    file : int, optional
        An open file that goes with it; to be closed when it is sent.
    """

    header: dict[str, Any]
    file: int | None = None


class DataService:
    """What a node reads for the processes of its messages.

    Parameters
    ----------
    fetched : FetchedData, optional
        Where it keeps what was read; of its own where it is not given.
    """

    def __init__(self, fetched: FetchedData | None = None) -> None:
        self._fetched = fetched or FetchedData()
        self._changes = DataChanges()

    def for_message(self, context: Context, seconds: float | None = None) -> MessageData:
        """Return what the process of one message may ask for, within so many seconds from now."""
        return MessageData(context, self._fetched, seconds, self._changes)

    def close(self) -> None:
        """Let go of everything that was read."""
        self._fetched.close()


class MessageData:
    """The data of one message: what its node and run config name.

    Parameters
    ----------
    context : Context
        The node's own, of this run.
    fetched : FetchedData
        What was read before.
    seconds : float, optional
        How long its process may take; without it, only each source's own waits have limits.
    changes : DataChanges, optional
        What the run's data was before.

    Attributes
    ----------
    frozen : set of str
        The digests of the frozen data that it has read.
    has_changed : bool
        Whether its data was something else when the run last read it.
    """

    def __init__(
        self,
        context: Context,
        fetched: FetchedData,
        seconds: float | None = None,
        changes: DataChanges | None = None,
    ) -> None:
        self._changes = changes or DataChanges()
        self.frozen: set[str] = set()
        self.has_changed = False
        self._context = context
        self._fetched = fetched
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._opened: dict[str, SourceData] = {}

    def answer(self, question: Mapping[str, Any]) -> DataReply:
        """Answer one question of the message's process.

        Raises
        ------
        FrameRefusedError
            It is none that a process of ours asks.
        """
        asked = DataQuestion.read(question)
        try:
            return self._answer(asked)
        except FrameRefusedError:
            raise
        except _ERRORS as error:
            return _failed(type(error).__name__, error)
        except FlameError as error:
            return _failed("DataError", error)
        except Exception as error:  # whatever a library raises at what a store sends
            logger.error("the data of a message could not be read", exc_info=error)
            why = f"the node could not read its data ({type(error).__name__}); its log says why"
            return _failed("DataError", DataError(why))

    def _answer(self, asked: DataQuestion) -> DataReply:
        if asked.what == "sources":
            return DataReply(
                {"sources": [_described(each) for each in self._open(asked.opened).sources]}
            )
        source = self._remote(asked)
        if asked.what == "check":
            self._in_time(source, lambda: source.check(asked.kind, asked.keys))
            self._note_frozen(source, asked)
            return DataReply({})
        if asked.what == "get":
            return self._get(cast("FhirSource", source), asked)
        return self._read(source, asked)

    def _open(self, opened: DataKind) -> SourceData:
        if opened not in self._opened:
            run = RunSettings.from_config(self._context.run_config)
            self._opened[opened] = open_configured(opened, self._settings, run, self._context)
            # Folders the process reads by itself, so they are looked at before it may.
            for number, source in enumerate(self._opened[opened].sources, 1):
                if isinstance(source, FolderSource) and (seen := of_folder(source.folder)):
                    self._see((opened, number), source, seen)
        return self._opened[opened]

    @cached_property
    def _settings(self) -> NodeSettings:
        return NodeSettings.from_config(self._context.node_config)

    def _remote(self, asked: DataQuestion) -> RemoteSource:
        """Return the source that is asked for: one on the network, for `get` a FHIR server."""
        sources = self._open(asked.opened).sources
        source = sources[asked.source - 1] if asked.source <= len(sources) else None
        if source is None or source.type not in (("fhir",) if asked.what == "get" else KINDS):
            raise FrameRefusedError(
                NOT_HAD, "a question about a source that the node does not read"
            )
        return cast("RemoteSource", source)

    def _read(self, source: RemoteSource, asked: DataQuestion) -> DataReply:
        """Return what a source holds, read once in a run."""
        run_id = self._context.run_id
        query = (source.type, source.where, asked.opened, asked.source, asked.kind, asked.keys)
        self._note_frozen(source, asked)  # also where it was read before: this answer is of it, too
        fetched = self._fetched.get(run_id, query)
        if fetched is not None:
            return _found(fetched)
        fetched = self._spooled(
            source, lambda spool: source.fetch(asked.kind, list(asked.keys), spool.write)
        )
        if not isinstance(source, FrozenSource):
            self._see(query, source, of_contents(asked.kind, _contents(*fetched)))
        reply = _found(fetched)
        if not self._fetched.keep(run_id, query, fetched):
            fetched[1].close()  # the process has it open
        return reply

    def _note_frozen(self, source: RemoteSource, asked: DataQuestion) -> None:
        if isinstance(source, FrozenSource):
            self.frozen.add(source.frozen(asked.kind, asked.keys).hmac)

    def _see(self, what: Hashable, source: Source, seen: Seen) -> None:
        run_id = self._context.run_id
        if self._changes.has_changed(run_id, what, source.name, seen):
            self.has_changed = True

    def _get(self, source: FhirSource, asked: DataQuestion) -> DataReply:
        """Make a request to a FHIR server."""
        import httpx

        try:
            (status, headers), spool = self._spooled(
                source, lambda spool: source.forward(asked.url, dict(asked.headers), spool.write)
            )
        except httpx.RequestError as error:
            return DataReply({"no-answer": [type(error).__name__, str(error)]})
        try:
            told = {"status": status, "headers": headers, "size": spool.size}
            return DataReply(told, spool.open())
        finally:
            spool.close()

    def _spooled(self, source: RemoteSource, fill: Callable[[Spool], _T]) -> tuple[_T, Spool]:
        """Fill a file; where the disk is full, once more without what other runs have read."""
        while True:  # at most twice: after that there are no others to forget
            try:
                return self._fill(Spool(self._folder), source, fill)
            except FlameError:
                raise
            except OSError as error:
                if not self._fetched.forget_others(self._context.run_id):
                    raise DataError(
                        f"{reason_of(error)}: {source.name}: the node cannot keep what it reads "
                        f"for the analysis ({type(error).__name__}): set `cache-dir` in its config "
                        "to a folder on a disk with room for the data",
                        detail=str(error),
                    ) from error

    def _fill(
        self, spool: Spool, source: RemoteSource, fill: Callable[[Spool], _T]
    ) -> tuple[_T, Spool]:
        try:
            return self._in_time(source, lambda: fill(spool)), spool
        except BaseException:
            spool.close()
            raise

    def _in_time(self, source: RemoteSource, call: Callable[[], _T]) -> _T:
        """Call, and wait no longer than the message's process may take."""
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            return interruptibly(call, left)
        except TimeoutError:
            raise DataError(
                f"{source.name}: the node could not read it in the time that a message may take"
            ) from None

    @property
    def _folder(self) -> str:
        """On which disk files are made: where the hospital wants patients' data to be."""
        return self._settings.cache_dir or self._settings.state_dir


def _described(source: Source) -> dict[str, Any]:
    """Say what the process needs to know of a source: of a store, that there is one."""
    told: dict[str, Any] = {"type": source.type, "name": source.name}
    if isinstance(source, FolderSource):
        told |= {"folder": os.fsencode(source.folder), "option": source.option}
    elif isinstance(source, FunctionSource):
        told |= {"reference": source.reference, "option": source.option}
    elif source.type == "fhir":
        told["base"] = cast("FhirSource", source).where
    return told


def _contents(
    found: Mapping[str, list[tuple[int, int]]], spool: Spool
) -> Iterator[tuple[str, bytes]]:
    for key, parts in sorted(found.items()):
        for place, size in parts:
            yield key, spool.read(place, size)


def _found(fetched: tuple[Mapping[str, list[tuple[int, int]]], Spool]) -> DataReply:
    found, spool = fetched
    return DataReply({"found": list(found.items())}, spool.open())


def _failed(kind: str, error: FlameError) -> DataReply:
    return DataReply({"error": [kind, error.message, error.detail]})
