"""The module that touches flwr's non-public modules: a new flwr is this file's work.

Everything else in the framework imports flwr's public modules (``flwr.app``, ``flwr.clientapp``,
``flwr.serverapp``, ``flwr.client``) or this one, but for ``flower_objects`` and ``flower_arrays``,
which have how messages arrive, ``flower_single_record``, which has what of a small one travels, and
``flower_node`` and ``flower_node_state``, which have the node's program.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import httpx
from flwr.app import MessageType, Metadata
from flwr.client import Client, NumPyClient

from flame_flwr.installed.versions import RAY_WORKER, moved, program_is
from flame_flwr.user_code.paths import is_user_code

try:
    from flwr.app.message import make_message
    from flwr.client.message_handler.message_handler import handle_legacy_message_from_msgtype
    from flwr.client.mod.utils import make_ffn
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
    from flwr.supercore.run import Run, RunNotRunningException
    from flwr.supercore.task_identity import TaskIdentity
    from flwr.supercore.utils import get_flwr_home
except ImportError as error:
    raise ImportError(moved(version("flwr")), name=error.name, path=error.path) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flwr.app import Context, Error, Message, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid

__all__ = [
    "EMPTY",
    "GONE",
    "HELLO",
    "NUMPY",
    "OFFLINE",
    "RAISED",
    "SIGN_EVERY",
    "Client",
    "Code",
    "EvaluateIns",
    "EvaluateRes",
    "FitIns",
    "FitRes",
    "GetPropertiesIns",
    "GetPropertiesRes",
    "NumPyClient",
    "OnlineNode",
    "Parameters",
    "Run",
    "Scalar",
    "Status",
    "answer_of",
    "answer_with",
    "app_archive",
    "apps_folder",
    "await_simulation",
    "identify",
    "in_process",
    "is_stop",
    "load_app",
    "message_like",
    "message_of",
    "messages_at_once",
    "on_exit",
    "online_nodes",
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

SIGN_EVERY = 1.0
"""Seconds between two signs of life of a node that answers a message, where it is one of ours."""

EMPTY = "_empty"
"""The key of the one array in a record that Flower makes of no arrays."""

NUMPY = "numpy.ndarray"
"""How Flower marks an array's bytes as those of ``np.save``."""

_SIMULATION = "InMemoryGrid"
"""The Grid of the Simulation Runtime."""

_PER_PROCESSOR = 16
"""As many as are answered, if quickly, before the Simulation Runtime next looks for messages."""

Runtime = Literal["process", "simulation", "deployment"]

_FLWR, _HTTPX = (
    os.path.dirname(str(sys.modules[package].__file__)) + os.sep for package in ("flwr", "httpx")
)
"""Where the code of Flower is, and of what it asks the SuperLink with."""

_IN_PROCESS: ContextVar[bool] = ContextVar("flame_flwr_in_process", default=False)
_ENTERED: list[int] = []
_BEFORE: list[Any] = [None, None, None]
"""Runs in this process that are under way, and the identity that Flower knew before the first."""


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
    if type(grid).__name__ == _SIMULATION:
        importlib.import_module("flwr.server.superlink.fleet.vce.backend.raybackend")


def messages_at_once(grid: Grid) -> int | None:
    """Return how many messages are best under way at once; ``None`` where there may be any number.

    Until a message is answered, the Simulation Runtime looks at it for each of its nodes, again and
    again. With the messages of a thousand nodes that takes it longer than their answers do.
    """
    if type(grid).__name__ != _SIMULATION:
        return None
    return _PER_PROCESSOR * (os.cpu_count() or 1)


@contextmanager
def in_process(run_id: int, node_id: int) -> Iterator[None]:
    """Give messages made within the block an identity, as Flower's runtimes do."""
    # Flower has one identity for the whole process, and raises where a message is made without one.
    # Its private fields, as its properties raise while there is none.
    token = _IN_PROCESS.set(True)
    if not _ENTERED:
        _BEFORE[:] = [TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id]
    _ENTERED.append(run_id)
    TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id = 0, run_id, node_id
    try:
        yield
    finally:
        _ENTERED.remove(run_id)
        if _ENTERED:  # one around this run, or in another thread, goes on
            TaskIdentity._run_id = _ENTERED[-1]
        else:
            TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id = _BEFORE
        _IN_PROCESS.reset(token)


class OnlineNode(NamedTuple):
    """What the server itself knows of a node that is online.

    Attributes
    ----------
    name : str
        The one that its key is registered under; empty where it has none, as in a simulation.
    activated : str
        When it has come online last.
    until : float
        When it is taken to be offline without another sign; with every sign it is another time.
    """

    name: str
    activated: str
    until: float = 0.0


def online_nodes(grid: Grid) -> dict[int, OnlineNode]:
    """Return the nodes that are online, by their addresses."""
    return {
        node.node_id: OnlineNode(node.name, node.last_activated_at, node.online_until)
        for node in grid.get_nodes()
    }


def is_stop(error: BaseException) -> bool:
    """Tell whether an exception says that the run was ended from outside.

    It does where Flower raised it: the SuperLink no longer knows the run, or Flower ends the
    process. An exception of user code does not, whatever it looks like: an aggregator may ask
    servers of its own, and be refused there.
    """
    if isinstance(error, KeyboardInterrupt | RunNotRunningException):
        return True
    # By where it was raised: `sys.exit` and an HTTP error of user code look just the same.
    places = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    if isinstance(error, SystemExit):
        return not places or not is_user_code(places[-1])
    if not isinstance(error, httpx.HTTPStatusError):
        return False
    # A run that was stopped has no valid token any more, and the SuperLink answers 401 to it.
    asking = [place for place in places if not place.startswith(_HTTPX)]
    refused = error.response.status_code == HTTPStatus.UNAUTHORIZED
    return refused and bool(asking) and asking[-1].startswith(_FLWR)


@contextmanager
def on_exit(handler: Callable[[], None]) -> Iterator[None]:
    """Call a function where Flower ends the process within the block.

    It does so when a run is stopped; in a simulation no exception tells the ServerApp, which is a
    thread of that process.
    """
    running = [handler]

    def call() -> None:
        for each in running:
            each()

    # Flower takes no handler back: what it keeps for ever must not keep the run as well.
    add_exit_handler(call, run_before_force_exit=True)
    try:
        yield
    finally:
        running.clear()


def app_archive(folder: Path) -> bytes:
    """Return an app's archive as ``flwr run`` sends it; of the same files it is the same bytes.

    Raises
    ------
    ValueError
        The folder is not that of an app that Flower packs; the text says why.
    """
    build = importlib.import_module("flwr.cli.build")  # not with every message
    return cast(bytes, build.build_fab_from_disk(folder))


def apps_folder() -> Path:
    """Return where Flower puts the apps that it is sent, each in a folder of its own."""
    return get_flwr_home() / APP_DIR


def load_app(archive: bytes, fab_id: str, version: str, digest: str) -> ClientApp:
    """Unpack an app's archive where Flower does, and import its ``ClientApp``.

    Raises
    ------
    Exception
        It cannot be unpacked or imported.
    """
    # Imported here, as no other process needs these.
    from flwr.cli.install import install_from_fab
    from flwr.clientapp.utils import get_load_client_app_fn

    with redirect_stdout(io.StringIO()):  # Flower says with every message that it has unpacked it
        install_from_fab(archive, skip_prompt=True)
    load = get_load_client_app_fn(default_app_ref="", app_path=None, multi_app=True)
    return load(fab_id, version, digest)


def answer_with(
    app: ClientApp, answer: Callable[[Message, Context], Any], mods: list[Any] | None
) -> None:
    """Have an app answer every message with a function, within its mods.

    Flower itself would look at the signature of a ``client_fn`` wherever the app is unpickled,
    which a simulation does with every message.
    """
    app._call = make_ffn(answer, mods or [])


def answer_of(client: Client, message: Message, context: Context) -> Message:
    """Return what Flower makes of a client's answer to a message of any type."""
    return handle_legacy_message_from_msgtype(lambda _: client, message, context)


def identify(task_id: int, run_id: int, node_id: int) -> None:
    """Say whose messages this process makes from now on."""
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = task_id, run_id, node_id


def message_of(metadata: Metadata, content: RecordDict) -> Message:
    """Return a message as it was sent to this node."""
    return make_message(metadata=metadata, content=content)


def message_like(
    message: Message, content: RecordDict | None = None, error: Error | None = None
) -> Message:
    """Return the same message with another content, or with an error in its place."""
    # Not by the constructor, which gives a new id, time and sender, and so makes another message.
    return make_message(metadata=message.metadata, content=content, error=error)


def reply_of(content: RecordDict, node_id: int) -> Message:
    """Return a reply as a node would send it, for a strategy's ``aggregate_train``."""
    metadata = Metadata(0, "", node_id, 0, "", "", 0.0, 1.0, MessageType.TRAIN)
    return make_message(metadata=metadata, content=content)


def set_message_id(message: Message, message_id: str) -> None:
    """Give a message the id that a SuperLink would give it."""
    # Flower offers no setter, and writes it in this way itself, as in `HttpGrid.push_messages`.
    message.metadata.__dict__["_message_id"] = message_id
