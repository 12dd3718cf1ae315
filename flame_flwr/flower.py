"""The only module that touches flwr's non-public modules: a new flwr is this file's work.

Written against flwr 1.41. Everything else in the framework imports flwr's public modules
(``flwr.app``, ``flwr.clientapp``, ``flwr.serverapp``, ``flwr.client``) or this one.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

from flwr.app.message import make_message
from flwr.client import Client, NumPyClient
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
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flwr.app import Message, RecordDict
    from flwr.serverapp import Grid

__all__ = [
    "HELLO",
    "NUMPY",
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
    "await_simulation",
    "in_process",
    "message_like",
    "runtime",
    "set_message_id",
]

HELLO = "get_properties"
"""Message type that a ``NumPyClient`` answers with its properties."""

NUMPY = "numpy.ndarray"
"""How Flower marks an array's bytes as those of ``np.save``."""

Runtime = Literal["process", "simulation", "deployment"]

_RAY_WORKER = "default_worker.py"
"""The program of a Ray worker, in which a simulation's nodes run. What an app imports says less."""

_IN_PROCESS: ContextVar[bool] = ContextVar("flame_flwr_in_process", default=False)


def runtime() -> Runtime:
    """Return where the caller runs: in process, in a simulation's actor, or on a deployment.

    It is the process that says so, not a module that an app could import on a deployment too.
    """
    if _IN_PROCESS.get():
        return "process"
    if any(os.path.basename(argument) == _RAY_WORKER for argument in sys.orig_argv):
        return "simulation"
    return "deployment"


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


def message_like(message: Message, content: RecordDict) -> Message:
    """Return the same message with another content."""
    return make_message(metadata=message.metadata, content=content)


def set_message_id(message: Message, message_id: str) -> None:
    """Give a message the id that a SuperLink would give it."""
    message.metadata.__dict__["_message_id"] = message_id
