"""The only module that touches flwr's non-public modules: a new flwr is this file's work.

Everything else in the framework imports flwr's public modules (``flwr.app``, ``flwr.clientapp``,
``flwr.serverapp``, ``flwr.client``) or this one.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Literal, cast

import httpx
from flwr.app import Array, MessageType, Metadata
from flwr.client import Client, NumPyClient

from flame_flwr.user_code import is_user_code
from flame_flwr.versions import RAY_WORKER, moved, program_is

try:
    from flwr.app.message import make_message
    from flwr.common.constant import APP_DIR, ErrorCode
    from flwr.compat.common.typing import (
        Code,
        EvaluateIns,
        EvaluateRes,
        FitIns,
        FitRes,
        GetPropertiesIns,
        GetPropertiesRes,
        Parameters,
        Scalar,
        Status,
    )
    from flwr.supercore.exit.exit_handler import add_exit_handler
    from flwr.supercore.inflatable.inflatable_object import (
        get_object_body,
        get_object_children_ids_from_object_content,
    )
    from flwr.supercore.inflatable.inflatable_utils import (
        inflatable_class_registry,
        pull_objects,
    )
    from flwr.supercore.run import Run, RunNotRunningException
    from flwr.supercore.task_identity import TaskIdentity
    from flwr.supercore.utils import get_flwr_home
except ImportError as error:
    raise ImportError(moved(version("flwr")), name=error.name, path=error.path) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flwr.app import Message, RecordDict
    from flwr.serverapp import Grid

__all__ = [
    "GONE",
    "HELLO",
    "NUMPY",
    "OFFLINE",
    "RAISED",
    "Client",
    "Code",
    "EvaluateIns",
    "EvaluateRes",
    "FitIns",
    "FitRes",
    "GetPropertiesIns",
    "GetPropertiesRes",
    "NumPyClient",
    "Parameters",
    "Run",
    "Scalar",
    "Status",
    "activations",
    "app_name",
    "await_simulation",
    "in_process",
    "is_stop",
    "lean_arrays",
    "message_like",
    "on_exit",
    "prompt_objects",
    "reply_of",
    "runtime",
    "set_message_id",
]

HELLO = "get_properties"
"""Message type that a ``NumPyClient`` answers with its properties."""

RAISED = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
"""Flower's error code for an app that raised an exception."""

OFFLINE = ErrorCode.NODE_UNAVAILABLE
"""Flower's error code for a node whose SuperNode has gone."""

GONE = frozenset(
    {
        ErrorCode.MESSAGE_UNAVAILABLE,
        ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
        OFFLINE,
        ErrorCode.CLIENT_APP_CRASHED,
    }
)
"""Flower's error codes for a node whose process or SuperNode has died, or whose answer is lost."""

_SOON = 0.02

NUMPY = "numpy.ndarray"
"""How Flower marks an array's bytes as those of ``np.save``."""

Runtime = Literal["process", "simulation", "deployment"]

_FLWR, _HTTPX = (
    os.path.dirname(str(sys.modules[package].__file__)) + os.sep for package in ("flwr", "httpx")
)
"""Where the code of Flower is, and of what it asks the SuperLink with."""

_IN_PROCESS: ContextVar[bool] = ContextVar("flame_flwr_in_process", default=False)


def runtime() -> Runtime:
    """Return where the caller runs: in process, in a simulation's actor, or on a deployment.

    It is the process that says so, not a module that an app could import on a deployment too.
    """
    if _IN_PROCESS.get():
        return "process"
    return "simulation" if program_is(RAY_WORKER) else "deployment"


def await_simulation(grid: Grid) -> None:
    """Return when the Simulation Runtime, if it is one, has imported what it needs.

    It imports Ray in another thread of the ServerApp's process, and Ray puts a folder of its own
    on ``sys.path`` meanwhile: whoever replaces ``sys.path`` in that time breaks the import.
    """
    if type(grid).__name__ == "InMemoryGrid":
        importlib.import_module("flwr.server.superlink.fleet.vce.backend.raybackend")


@contextmanager
def in_process(run_id: int, node_id: int) -> Iterator[None]:
    """Give messages made within the block an identity, as Flower's runtimes do."""
    before = (TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id)
    token = _IN_PROCESS.set(True)
    TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id = 0, run_id, node_id
    try:
        yield
    finally:
        TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id = before
        _IN_PROCESS.reset(token)


def activations(grid: Grid) -> dict[int, str]:
    """Return when each node that is online has come online last, by its address."""
    return {node.node_id: node.last_activated_at for node in grid.get_nodes()}


def is_stop(error: BaseException) -> bool:
    """Tell whether an exception says that the run was ended from outside.

    It does where Flower raised it: the SuperLink no longer knows the run, or Flower ends the
    process. An exception of user code does not, whatever it looks like: an aggregator may ask
    servers of its own, and be refused there.
    """
    if isinstance(error, KeyboardInterrupt | RunNotRunningException):
        return True
    places = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    if isinstance(error, SystemExit):
        return not places or not is_user_code(places[-1])
    if not isinstance(error, httpx.HTTPStatusError):
        return False
    asking = [place for place in places if not place.startswith(_HTTPX)]
    refused = error.response.status_code == HTTPStatus.UNAUTHORIZED
    return refused and bool(asking) and asking[-1].startswith(_FLWR)


@contextmanager
def lean_arrays() -> Iterator[None]:
    """Put arrays that arrive within the block together in one buffer, chunk by chunk.

    Flower's own ``Array.inflate`` holds an array three times while it does so: its chunks, a
    buffer that grows, and a copy of it. Here a chunk is let go when it has been copied.
    """
    registry = cast(dict[str, Any], inflatable_class_registry)
    flowers = registry[Array.__name__]
    registry[Array.__name__] = _LeanArray
    try:
        yield
    finally:
        registry[Array.__name__] = flowers


@contextmanager
def prompt_objects() -> Iterator[None]:
    """Ask soon again, within the block, for what a message consists of.

    A message is seen before its sender has pushed all of it. Flower then waits a second, which is
    longer than a round takes.
    """
    options = cast(dict[str, Any], pull_objects.__kwdefaults__)
    flowers = options["initial_backoff"]
    options["initial_backoff"] = _SOON
    try:
        yield
    finally:
        options["initial_backoff"] = flowers


class _LeanArray:
    """Stands for Flower's ``Array`` where objects are put together."""

    @staticmethod
    def inflate(content: bytes, children: dict[str, Any] | None = None) -> Array:
        chunks = dict(children or {})
        about = json.loads(get_object_body(content, Array))
        ids = get_object_children_ids_from_object_content(content)
        places = [ids[number] for number in about["arraychunk_ids"]]
        if set(places) != set(chunks):
            raise ValueError("an array that arrived has not the chunks that it names")
        last = {place: number for number, place in enumerate(places)}
        buffer = BytesIO()  # gives its bytes away without a copy
        for number, place in enumerate(places):
            buffer.write(chunks[place].data)
            if last[place] == number:
                chunks[place].data = memoryview(b"")
        return Array(
            dtype=about["dtype"],
            shape=tuple(about["shape"]),
            stype=about["stype"],
            data=buffer.getvalue(),
        )


@contextmanager
def on_exit(handler: Callable[[], None]) -> Iterator[None]:
    """Call a function where Flower ends the process within the block.

    It does so when a run is stopped; in a simulation no exception tells the ServerApp, which is a
    thread of that process.
    """
    within = [True]
    add_exit_handler(lambda: handler() if within else None, run_before_force_exit=True)
    try:
        yield
    finally:
        within.clear()


def app_name() -> str:
    """Return the folder's name of the app that runs: publisher, name, version, hash; or ``''``.

    It is the node's own knowledge: where this process has put the app that it was sent.
    """
    apps = get_flwr_home() / APP_DIR
    for entry in map(Path, sys.path):
        if entry.parent == apps:
            return entry.name
    return ""


def message_like(message: Message, content: RecordDict) -> Message:
    """Return the same message with another content."""
    return make_message(metadata=message.metadata, content=content)


def reply_of(content: RecordDict, node_id: int) -> Message:
    """Return a reply as a node would send it, for a strategy's ``aggregate_train``."""
    metadata = Metadata(0, "", node_id, 0, "", "", 0.0, 1.0, MessageType.TRAIN)
    return make_message(metadata=metadata, content=content)


def set_message_id(message: Message, message_id: str) -> None:
    """Give a message the id that a SuperLink would give it."""
    message.metadata.__dict__["_message_id"] = message_id
