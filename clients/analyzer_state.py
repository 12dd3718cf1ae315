"""An analyzer's attributes across rounds, keyed by the round they come after.

A deployment starts a new process for every message, and a simulation runs a node's rounds in
different processes, so the analyzer is saved after a round and restored before the next. The
server names the round to continue from: the node's last whose answer it has counted. That state
and the state after the new round are kept, so a round that is sent twice, or whose answer came too
late, is applied once or not at all.

The state lives in Flower's ``Context.state``, which ends with the SuperNode, and, where the node
has a ``state-dir``, in a folder of the analysis in it. It never leaves the node.
"""

from __future__ import annotations

import functools
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from flwr.app import Array, ArrayRecord, ConfigRecord

from flame_flwr.errors import DataError, ModelError, NodeFailedError, text_of
from flame_flwr.star import saving

if TYPE_CHECKING:
    from flwr.app import Context

    from flame_flwr.clients.node import Node
    from flame_flwr.data.kept_files import FolderFiles

__all__ = ["NodeState"]

_STATES = "flame_flwr.states"
_RUN = "flame_flwr.run"
_OWNER = "run.json"
_SMALL = 2**16


class NodeState:
    """What one node keeps of one analysis from message to message.

    Parameters
    ----------
    context : Context
        Flower's, of this node and run.
    files : FolderFiles, optional
        The analysis's folder in the node's ``state-dir``. It outlives the SuperNode, and a run
        that continues the analysis finds it there.
    """

    def __init__(self, context: Context, files: FolderFiles | None = None) -> None:
        self._context = context
        self._files = files

    def take_over(self) -> list[int]:
        """Make this run the owner of the analysis; return the rounds whose states are on disk.

        Raises
        ------
        ConfigError, DataError
            The folder cannot be made or written.
        """
        if self._files is None:
            return []
        self._files.make()
        # Not where it is the owner: hello comes again, and the ids of all nodes would be lost.
        if self._owner() is None or not self._is_owner():
            self._write_owner(())
        return sorted(self._kept_on_disk())

    def save_partners(self, analyzers: tuple[str, ...]) -> None:
        """Save the ids of all nodes, which the server sends only once.

        Raises
        ------
        NodeFailedError
            Another run has gone on with this analysis.
        """
        self._check_owner()
        self._context.state[_RUN] = ConfigRecord({"analyzers": json.dumps(analyzers)})
        if self._files is not None:
            self._files.make()
            self._write_owner(analyzers)

    def load_partners(self) -> tuple[str, ...]:
        """Return the ids of all nodes.

        Raises
        ------
        NodeFailedError
            They are lost, or another run has gone on with this analysis.
        """
        self._check_owner()
        record = self._context.state.get(_RUN) or self._owner() or {}
        analyzers = _names(str(record.get("analyzers", "[]")))
        if not analyzers:
            raise NodeFailedError(_lost("what it knew of the run", self._files))
        return analyzers

    def restore(self, node: Node, after: int) -> None:
        """Give the node its analyzer as it was after a round.

        Parameters
        ----------
        node : Node
            Gets the analyzer; after round 0 it builds a new one by itself.
        after : int
            The node's last round that the server has counted; 0 for none.

        Raises
        ------
        NodeFailedError
            That state is gone, or cannot be read.
        """
        if not after:
            return
        data = self._find(after)
        if data is None:
            raise NodeFailedError(_lost(f"the analyzer's state after round {after}", self._files))
        try:
            node.analyzer = saving.load(data, node.plan.analyzer, node.handle)
        except Exception as error:
            raise NodeFailedError(
                f"the analyzer's state after round {after} cannot be read: it was damaged, or "
                "saved by another version of the analysis, of Python or of flame-flwr; start the "
                "analysis again",
                detail=f"{type(error).__name__}: {text_of(error)}",
            ) from error

    def save(self, node: Node, number: int, after: int) -> None:
        """Save the analyzer's state after round `number`, beside the one it came from.

        Raises
        ------
        ModelError
            An attribute cannot be saved; the message names it.
        DataError
            It cannot be written to the ``state-dir``.
        """
        data = _dump(node)
        # Two states are enough: a round that is sent again continues from the one it came from.
        came_from = {key: state for key, state in self._saved().items() if key == str(after)}
        self._context.state[_STATES] = _record({**came_from, str(number): data})
        if self._files is not None:
            # The new one first: a node that ends in between has one too many, and none too few.
            self._files.write(_name(number), [data])
            for other in self._kept_on_disk() - {after, number}:
                with suppress(FileNotFoundError):  # somebody has cleaned up meanwhile
                    self._files.remove(_name(other))

    def _find(self, after: int) -> bytes | None:
        if (state := self._saved().get(str(after))) is not None:
            return state
        if self._files is not None and after in self._kept_on_disk():
            return self._files.read(_name(after))
        return None

    def _saved(self) -> dict[str, bytes]:
        """Return the states in Flower's context, by round."""
        saved = self._context.state.get(_STATES)
        if isinstance(saved, ArrayRecord):
            return {key: array.data for key, array in saved.items()}
        return dict(saved.items()) if isinstance(saved, ConfigRecord) else {}  # type: ignore[arg-type]

    def _kept_on_disk(self) -> set[int]:
        names = [] if self._files is None else self._files.names()
        parts = [name.removeprefix("after-").removesuffix(".state") for name in names]
        return {int(part) for part in parts if part.isdecimal()}

    def _check_owner(self) -> None:
        if not self._is_owner():
            raise NodeFailedError(
                "another run has gone on with this analysis on this node, so this one cannot"
            )

    def _is_owner(self) -> bool:
        owner = self._owner()
        return owner is None or owner["run"] == str(self._context.run_id)

    def _write_owner(self, analyzers: tuple[str, ...]) -> None:
        assert self._files is not None
        owner = {"run": str(self._context.run_id), "analyzers": json.dumps(analyzers)}
        self._files.write(_OWNER, [json.dumps(owner).encode()])

    def _owner(self) -> dict[str, str] | None:
        if self._files is None or _OWNER not in self._files.names():
            return None
        try:
            owner: dict[str, str] = json.loads(self._files.read(_OWNER))
        except ValueError as error:
            raise DataError(
                "the folder of this analysis in `state-dir` is damaged: start the analysis again",
                detail=str(error),
            ) from error
        return owner


@functools.lru_cache(maxsize=4)
def _names(text: str) -> tuple[str, ...]:
    """Return listed names: a process of a simulation reads the same thousand at every message."""
    return tuple(json.loads(text))


def _record(states: dict[str, bytes]) -> ArrayRecord | ConfigRecord:
    """Return states as a record: small ones as plain bytes, which Flower passes on faster.

    A simulation makes, pickles and unpickles them with every message.
    """
    if sum(map(len, states.values())) <= _SMALL:
        return ConfigRecord(dict(states))
    record = ArrayRecord()  # of a dict it would make every Array once more
    for key, data in states.items():
        record[key] = Array("uint8", (len(data),), "flame_flwr.pickle", data)
    return record


def _name(after: int) -> str:
    return f"after-{after:08d}.state"


def _lost(what: str, files: FolderFiles | None) -> str:
    if files is None:
        return (
            f"this node has lost {what}, as a restarted SuperNode does that has no `state-dir` in "
            "its config; set one, and start the analysis again"
        )
    return f"this node has lost {what}: its `state-dir` was cleaned; start the analysis again"


def _dump(node: Node) -> bytes:
    analyzer = node.analyzer
    if analyzer is None:
        raise ModelError("a node without an analyzer has no state")
    # The aggregate that the next round brings takes the place of this result.
    latest, analyzer.latest_result = analyzer.latest_result, None
    try:
        return saving.save(analyzer, node.handle)
    finally:
        analyzer.latest_result = latest
