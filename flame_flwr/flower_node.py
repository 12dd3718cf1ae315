"""The only module that touches the non-public parts of Flower's SuperNode, for our node.

:func:`run_supernode` is Flower's own program with four parts replaced: its state has each message
answered as soon as it is complete, its connection asks soon after an answer and then less and less
often, no SuperExec is started, and nobody else is given a task. :func:`unknown_parts` tells whether
the Flower that is installed is one whose parts are known; if not, Flower's own program is the one
to run.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
import secrets
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from flwr.app import Context, Error, Message, RecordDict

from flame_flwr.flower import lean_arrays
from flame_flwr.versions import moved

try:
    from flwr.app.message import make_message
    from flwr.cli.install import install_from_fab
    from flwr.clientapp.client_app import LoadClientAppError
    from flwr.clientapp.utils import get_load_client_app_fn
    from flwr.common.constant import ErrorCode, Status, SubStatus
    from flwr.supercore.constant import TaskType
    from flwr.supercore.inflatable.inflatable_utils import (
        ObjectUnavailableError,
        pull_and_inflate_object_from_tree,
    )
    from flwr.supercore.task_identity import TaskIdentity
    from flwr.supernode import start_client_internal as _loop
    from flwr.supernode.nodestate import NodeState, NodeStateFactory
    from flwr.supernode.nodestate.in_memory_nodestate import InMemoryNodeState
except ImportError as error:
    from importlib.metadata import version

    raise ImportError(moved(version("flwr")), name=error.name, path=error.path) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flwr.app import Metadata
    from flwr.clientapp import ClientApp
    from flwr.proto.task_pb2 import Task
    from flwr.supercore.fab import Fab
    from flwr.supercore.run import Run

__all__ = [
    "CRASHED",
    "RAISED",
    "UNLOADED",
    "Answer",
    "LoadClientAppError",
    "NodeMessage",
    "identify",
    "load_app",
    "message_of",
    "run_supernode",
    "unknown_parts",
]

CRASHED = ErrorCode.CLIENT_APP_CRASHED
RAISED = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
UNLOADED = ErrorCode.LOAD_CLIENT_APP_EXCEPTION

_FIRST_WAIT, _GROWTH, _LONGEST_WAIT, _IDLE_WAIT, _IDLE_AFTER = 0.01, 1.3, 0.5, 3.0, 600.0
"""Seconds, but for the growth: the next message is caught soon, and an idle night costs little."""

_NEVER = datetime.max.replace(tzinfo=UTC)

_OBJECT_LIMIT = 1.0
"""Seconds in which parts of a message are asked for often: its sender is still pushing them."""


@dataclass(frozen=True)
class NodeMessage:
    """A message for this node, complete, with what its app needs.

    Attributes
    ----------
    task_id : int
        Flower's.
    message : Message
        With its content.
    context : Context
        Of this node and run, with the state after the last message.
    run : Run
        Which run, of which app.
    fab : Fab
        The app's archive.
    """

    task_id: int
    message: Message
    context: Context
    run: Run
    fab: Fab


class Answer(NamedTuple):
    """A reply, and the state to keep; ``None`` keeps the one that there is."""

    reply: Message
    state: RecordDict | None


def run_supernode(answer: Callable[[NodeMessage], Answer], options: Sequence[str]) -> None:
    """Run Flower's SuperNode until it ends, and have its messages answered.

    Parameters
    ----------
    answer : callable
        Called with one message at a time, in the thread that runs the node.
    options : sequence of str
        Those of ``flower-supernode``.

    Raises
    ------
    SystemExit
        As Flower's program ends.
    """
    loop: Any = _loop
    program: Any = importlib.import_module("flwr.supernode.cli.flower_supernode")
    parse = program._parse_supernode_lifespan_config

    def parsed() -> Any:
        config = parse()
        config.isolation = "process"  # no SuperExec: its work is done here
        # Flower's port gives any local program the next task that has no secret.
        config.superexec_auth_secret = secrets.token_bytes(32)
        return config

    class Factory(NodeStateFactory):
        def state(self) -> NodeState:
            with self.lock:
                if self.state_instance is None:
                    self.state_instance = _NodeState(self.objectstore_factory.store(), answer)
                return self.state_instance

    with _replaced(
        (program, "_parse_supernode_lifespan_config", parsed),
        (program, "NodeStateFactory", Factory),
        (loop, "http_request_response", _prompt(loop.http_request_response)),
        (sys, "argv", ["flower-supernode", *options]),
    ):
        program.flower_supernode()


def load_app(archive: bytes, fab_id: str, version: str, digest: str) -> ClientApp:
    """Unpack an app's archive where Flower does, and import its ``ClientApp``.

    Raises
    ------
    LoadClientAppError, ImportError
        It cannot be imported.
    """
    install_from_fab(archive, skip_prompt=True)
    load = get_load_client_app_fn(default_app_ref="", app_path=None, multi_app=True)
    return load(fab_id, version, digest)


def identify(task_id: int, run_id: int, node_id: int) -> None:
    """Say whose messages this process makes from now on."""
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = task_id, run_id, node_id


def message_of(metadata: Metadata, content: RecordDict) -> Message:
    """Return a message as it was sent to this node."""
    return make_message(metadata=metadata, content=content)


class _NodeState(InMemoryNodeState):
    """Flower's state of a node, which has a message answered when its reply is asked for.

    Flower's loop stores a message whole and then asks for replies until there is one. So a message
    is complete when it is answered here, and what the app keeps is stored before its reply leaves.
    """

    def __init__(self, store: Any, answer: Callable[[NodeMessage], Answer]) -> None:
        super().__init__(store)
        self._answer = answer

    def get_messages_legacy(
        self,
        *,
        run_ids: Sequence[int] | None = None,
        is_reply: bool | None = None,
        limit: int | None = None,
    ) -> Sequence[Message]:
        if is_reply and run_ids is None:
            for task in self.get_tasks(statuses=[Status.PENDING], order_by="pending_at"):
                if self.claim_task(task.task_id) is not None:
                    self._run(task)
        found: Sequence[Message] = super().get_messages_legacy(
            run_ids=run_ids, is_reply=is_reply, limit=limit
        )
        return found

    def _run(self, task: Task) -> None:
        self.activate_task(task.task_id)
        # Flower gives up an active task whose process says nothing for a minute. This one is run
        # here, and an analysis may take hours.
        self.task_token_store[task.task_id].active_until = _NEVER
        run = cast("Run", self.get_run(task.run_id))  # stored before there is a task
        for bare in super().get_messages_legacy(run_ids=[task.run_id], is_reply=False, limit=1):
            context = cast("Context", self.get_run_series_context(run.series_id))
            self.record_message_processing_start(bare.metadata.message_id)
            if task.type == TaskType.AGENT_APP:
                why = "this node runs the analyses of a federation, and no agents"
                reply, state = Message(Error(ErrorCode.UNKNOWN, why), reply_to=bare), None
            else:
                message, fab = self._whole(bare), cast("Fab", self.get_fab(run.fab_hash))
                asked = NodeMessage(task.task_id, message, context, run, fab)
                reply, state = self._answer(asked)
            if state is not None:
                context.state = state
                self.set_run_series_context(run.series_id, context)
            self.record_message_processing_end(bare.metadata.message_id)
            self.finish_task(task.task_id, SubStatus.COMPLETED, "")
            _loop._insert_message(reply, self, self.object_store)

    def _whole(self, bare: Message) -> Message:
        """Put a message's content together, and let go of the parts."""
        store, message_id = self.object_store, bare.metadata.message_id
        with lean_arrays():
            message: Message = pull_and_inflate_object_from_tree(
                store.get_object_tree(message_id),
                lambda object_id: store.get(object_id) or b"",
                lambda _: store.delete(message_id),
                return_type=Message,
            )
        message.metadata.__dict__["_message_id"] = message_id
        return message


def _prompt(connect: Callable[..., Any]) -> Callable[..., Any]:
    """Return Flower's connection, with a `receive` that asks again soon, and later less often."""

    @contextmanager
    def connected(*arguments: Any, **options: Any) -> Iterator[Any]:
        with connect(*arguments, **options) as connection:
            node_id, receive, send, get_run, get_fab, pull_object, *rest = connection

            def patient_receive() -> Any:
                began, wait = time.monotonic(), _FIRST_WAIT
                while (received := receive()) is None:
                    time.sleep(wait)
                    idle = time.monotonic() - began > _IDLE_AFTER
                    wait = min(wait * _GROWTH, _IDLE_WAIT if idle else _LONGEST_WAIT)
                return received

            def prompt_pull(run_id: int, object_id: str) -> Any:
                # A message is seen before its sender has pushed all of it. Flower waits a second.
                deadline, wait = time.monotonic() + _OBJECT_LIMIT, _FIRST_WAIT
                while True:
                    try:
                        return pull_object(run_id, object_id)
                    except ObjectUnavailableError:
                        if time.monotonic() > deadline:
                            raise
                        time.sleep(wait)
                        wait *= _GROWTH

            yield (node_id, patient_receive, send, get_run, get_fab, prompt_pull, *rest)

    return connected


@contextmanager
def _replaced(*parts: tuple[Any, str, Any]) -> Iterator[None]:
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in parts]
    for owner, name, value in parts:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


_KNOWN = {
    "supernode.start_client_internal:start_client_internal": "f507e976ec84",
    "supernode.start_client_internal:_pull_and_store_message": "0352223c09ee",
    "supernode.start_client_internal:_push_messages": "719c745486a1",
    "supernode.start_client_internal:_insert_message": "6a88dfd416ff",
    "supernode.fleet_http_connection:http_request_response": "fffebd0bebdf",
    "supernode.cli.flower_supernode:flower_supernode": "16452b502e81",
    "supernode.cli.flower_supernode:_parse_supernode_lifespan_config": "994cf6b59517",
    "supernode.cli.flower_supernode:_start_supernode_http_api": "35e6d19ba88c",
    "supernode.nodestate.nodestate_factory:NodeStateFactory": "08bcdeb038ba",
    "supernode.nodestate.in_memory_nodestate:InMemoryNodeState": "36596b184334",
    "supernode.nodestate.in_memory_nodestate:InMemoryNodeState.claim_task": "6658020c2ab5",
    "supernode.nodestate.in_memory_nodestate:InMemoryNodeState.activate_task": "0ed21ee936d3",
    "supernode.nodestate.in_memory_nodestate:InMemoryNodeState.finish_task": "385aac966640",
    "supernode.nodestate.in_memory_nodestate:InMemoryNodeState.get_tasks": "e23ed690b261",
    "supernode.nodestate.in_memory_nodestate:InMemoryNodeState.create_task": "21d25c395846",
    "cli.install:install_from_fab": "efe346a9184a",
    "clientapp.utils:get_load_client_app_fn": "ca0e29e5ed74",
    "supercore.inflatable.inflatable_utils:pull_and_inflate_object_from_tree": "86586b9e6a24",
}
"""What this module leans on, and the fingerprints of these parts in flwr 1.41 and 1.42."""


def unknown_parts() -> list[str]:
    """Return the parts of the installed Flower that are not as they were when this was written."""
    return [name for name, known in _KNOWN.items() if _fingerprint(name) != known]


def _fingerprint(name: str) -> str:
    """Return what the source of a function or class is known by, without its comments."""
    try:
        source = inspect.getsource(pkgutil.resolve_name(f"flwr.{name}"))
    except (ImportError, AttributeError, OSError):
        return "missing"
    lines = (line.partition("  #")[0].rstrip() for line in source.splitlines())
    text = "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
