"""An analyzer's attributes across rounds, keyed by round.

A deployment starts a new process for every message, and a simulation runs a node's rounds in
different processes, so the analyzer is saved after a round and restored before the next. The
state *entering* each of the last two rounds is kept: a round that is sent twice starts again
from the state it entered with, so nothing is applied twice. The state lives in Flower's
``Context.state``, which never leaves the node.
"""

from __future__ import annotations

import io
import json
import pickle
from typing import TYPE_CHECKING, Any

from flwr.app import Array, ArrayRecord, ConfigRecord

from flame_flwr.errors import ModelError, NodeFailedError

if TYPE_CHECKING:
    from flwr.app import Context

    from flame_flwr.clients.node import Node
    from flame_flwr.star.nodes import StarAnalyzer

__all__ = ["load_partners", "restore", "save", "save_partners"]

_STATES = "flame_flwr.states"
_RUN = "flame_flwr.run"


def save(context: Context, number: int, node: Node) -> None:
    """Keep the analyzer's state as the one that enters round `number`.

    Raises
    ------
    ModelError
        An attribute cannot be pickled; the message names it.
    """
    kept = context.state.get(_STATES)
    entering = dict(kept.items()) if isinstance(kept, ArrayRecord) else {}
    data = _dump(node)
    entering[str(number)] = Array(
        dtype="uint8", shape=(len(data),), stype="flame_flwr.pickle", data=data
    )
    last = sorted(entering, key=int)[-2:]
    context.state[_STATES] = ArrayRecord({key: entering[key] for key in last})


def restore(context: Context, number: int, node: Node, *, first: bool) -> None:
    """Give the node the analyzer as it was when round `number` was entered.

    Parameters
    ----------
    context : Context
        The node's.
    number : int
        The round about to run. After rounds that the node missed, its newest older state counts.
    node : Node
        Gets the analyzer; in its first round it builds a new one by itself.
    first : bool
        Whether the server has never had an answer from this node.

    Raises
    ------
    NodeFailedError
        The node has taken part before and its state is gone.
    """
    kept = context.state.get(_STATES)
    rounds = [int(key) for key in kept if int(key) <= number] if kept is not None else []
    if rounds and isinstance(kept, ArrayRecord):
        node.analyzer = _load(kept[str(max(rounds))].data, node)
    elif not first:
        raise NodeFailedError(
            "this node has lost the analyzer's state of the rounds before, as a restarted "
            "SuperNode does; start the analysis again"
        )


def save_partners(context: Context, analyzers: tuple[str, ...]) -> None:
    """Keep the ids of all nodes: the server sends them once."""
    context.state[_RUN] = ConfigRecord({"analyzers": json.dumps(analyzers)})


def load_partners(context: Context) -> tuple[str, ...] | None:
    """Return the ids of all nodes, or ``None`` where the server has not sent them yet."""
    record = context.state.get(_RUN)
    return None if record is None else tuple(json.loads(str(record["analyzers"])))


class _Pickler(pickle.Pickler):
    """Pickles an analyzer by its attributes: handle and class are the new process's own."""

    def __init__(self, file: io.BytesIO, node: Node, *, parts: bool = False) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._known = {id(node.handle): "flame", id(node.plan.analyzer): "class"}
        if parts:
            self._known[id(node.analyzer)] = "itself"

    def persistent_id(self, obj: Any) -> str | None:
        return self._known.get(id(obj))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, node: Node) -> None:
        super().__init__(file)
        self._node = node

    def persistent_load(self, pid: str) -> Any:
        return self._node.handle if pid == "flame" else self._node.plan.analyzer


def _dump(node: Node) -> bytes:
    analyzer = node.analyzer
    if analyzer is None:
        raise ModelError("a node without an analyzer has no state")
    # The aggregate that the next round brings takes the place of this result.
    latest, analyzer.latest_result = analyzer.latest_result, None
    try:
        return _pickled((analyzer, node.handle.get_progress()), node)
    except Exception as error:
        raise _unsaved(analyzer, node, error) from error
    finally:
        analyzer.latest_result = latest


def _pickled(value: Any, node: Node, *, parts: bool = False) -> bytes:
    file = io.BytesIO()
    _Pickler(file, node, parts=parts).dump(value)
    return file.getvalue()


def _unsaved(analyzer: StarAnalyzer, node: Node, error: Exception) -> ModelError:
    for name, value in _attributes(analyzer).items():
        try:
            _pickled(value, node, parts=True)
        except Exception as cause:
            return ModelError(
                f"the attribute {name!r} of {type(analyzer).__name__} ({type(value).__name__}) "
                "cannot be saved for the next round; make it anew in analysis_method",
                detail=f"{type(cause).__name__}: {cause}",
            )
    return ModelError(
        f"{type(analyzer).__name__} cannot be saved for the next round",
        detail=f"{type(error).__name__}: {error}",
    )


def _attributes(analyzer: StarAnalyzer) -> dict[str, Any]:
    """Return what pickling takes of an analyzer: its ``__dict__``, its slots, or its own choice."""
    kept = analyzer.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    state = kept[2] if isinstance(kept, tuple) and len(kept) > 2 else None
    parts = state if isinstance(state, tuple) else (state,)
    return {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}


def _load(data: bytes, node: Node) -> StarAnalyzer:
    analyzer: StarAnalyzer
    analyzer, progress = _Unpickler(io.BytesIO(data), node).load()
    node.handle.set_progress(progress)
    return analyzer
