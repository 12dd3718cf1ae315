"""A message at our node, complete, and the state of Flower's SuperNode that has it answered.

Beside :mod:`flame_flwr.flower_node` the only module that touches the SuperNode's non-public parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from flwr.app import ConfigRecord, Context, Message, RecordDict

from flame_flwr.flower import message_like
from flame_flwr.flower_arrays import lean_arrays
from flame_flwr.flower_single_record import SINGLE
from flame_flwr.installed.versions import moved
from flame_flwr.log import logger

try:
    from flwr.common.config import get_fused_config_from_fab
    from flwr.common.constant import FAB_HASH_TRUNCATION, ErrorCode, Status, SubStatus
    from flwr.supercore.constant import TaskType
    from flwr.supercore.fab import Fab
    from flwr.supercore.inflatable.inflatable_utils import pull_and_inflate_object_from_tree
    from flwr.supernode import start_client_internal as _loop
    from flwr.supernode.nodestate.in_memory_nodestate import InMemoryNodeState
except ImportError as error:
    from importlib.metadata import version

    raise ImportError(moved(version("flwr")), name=error.name, path=error.path) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flwr.proto.task_pb2 import Task
    from flwr.supercore.run import Run

__all__ = [
    "CRASHED",
    "RAISED",
    "REFUSED",
    "UNLOADED",
    "AnsweringState",
    "NodeAnswer",
    "NodeMessage",
    "read_run_config",
]

CRASHED = ErrorCode.CLIENT_APP_CRASHED
RAISED = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
UNLOADED = ErrorCode.LOAD_CLIENT_APP_EXCEPTION
REFUSED = ErrorCode.INVALID_FAB

_MOST_APPS = 20
"""Archives that are held in memory; who reaches the server can send any number of apps."""

_UNSIGNED = "The FAB could not be verified: no key that this node trusts has signed this app"
_NEVER = datetime.max.replace(tzinfo=UTC)


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
        Of this node and run, with the state after the last message. It has no run config before
        :func:`read_run_config`, which opens the app's archive.
    run : Run
        Which run, of which app.
    fab : Fab
        The app's archive.
    trouble : str
        Why no app may have it, such as content that cannot be read; empty where one may.
    """

    task_id: int
    message: Message
    context: Context
    run: Run
    fab: Fab
    trouble: str = ""

    @property
    def app_folder(self) -> str:
        """The folder's name of the app where it runs, as the audit log has it."""
        name = self.run.fab_id.replace("/", ".")
        return f"{name}.{self.run.fab_version}.{self.fab.hash_str[:FAB_HASH_TRUNCATION]}"


class NodeAnswer(NamedTuple):
    """A reply, and the state to keep; ``None`` keeps the one that there is.

    Attributes
    ----------
    reply : Message
        What leaves the node.
    state : RecordDict or None
        Of the analysis at this node.
    is_apps_text : bool
        Whether the reply is an error whose text the app's process has written.
    frozen : tuple of str
        The digests of the frozen data that it is made of.
    data_changed : bool
        Whether the data was something else when the run last read it.
    """

    reply: Message
    state: RecordDict | None
    is_apps_text: bool = False
    frozen: tuple[str, ...] = ()
    data_changed: bool = False


def read_run_config(asked: NodeMessage) -> None:
    """Give a message's context its run config: that of the app's archive, and what overrides it.

    Raises
    ------
    ValueError, KeyError, OSError, zipfile.BadZipFile
        The archive is not that of a Flower app, or it has no such key.
    """
    asked.context.run_config = get_fused_config_from_fab(asked.fab.content, asked.run)


class AnsweringState(InMemoryNodeState):
    """Flower's state of a node, which has a message answered when its reply is asked for.

    Flower's loop stores a message whole and then asks for replies until there is one. So a message
    is complete when it is answered here, and what the app keeps is stored before its reply leaves.

    Parameters
    ----------
    store : ObjectStore
        Flower's, for the parts of messages.
    answer, keep : callable
        As for :func:`flame_flwr.flower_node.run_supernode`.
    singles : dict of str to str, optional
        By the id of a message with a single record, the id of that, which alone has been pulled.
    """

    def __init__(
        self,
        store: Any,
        answer: Callable[[NodeMessage], NodeAnswer],
        keep: Callable[[Context], None],
        singles: dict[str, str] | None = None,
    ) -> None:
        super().__init__(store)
        self._singles = {} if singles is None else singles
        # Public keys; where there are any, one of them has to have signed an app.
        self.trusted: dict[str, str] = {}
        self._unsigned: set[str] = set()
        self._answer = answer
        self._keep = keep

    def set_run_series_context(self, series_id: int, context: Context) -> None:
        """Keep a run's context, and tell of it."""
        super().set_run_series_context(series_id, context)
        self._keep(context)

    def store_fab(self, fab: Fab) -> str:
        """Keep an app's archive, and let go of the oldest of too many."""
        try:
            stored: str = super().store_fab(fab)
        except ValueError as error:  # the hash is not its own; messages for it are refused
            logger.error("the server sent another app than it announced: %s", error)
            return ""
        self._unsigned.discard(stored)
        if not self._is_signed(fab):
            self._unsigned.add(stored)
        with self.lock_fab_store:
            # The one stored last goes to the end: the first in there is forgotten first.
            self.fab_store[stored] = self.fab_store.pop(stored)
            while len(self.fab_store) > _MOST_APPS:
                self._forget_app(next(iter(self.fab_store)))
        return stored

    def _is_signed(self, fab: Fab) -> bool:
        """Tell whether a trusted key has signed an app, or none is asked for."""
        try:
            has_license = bool(fab.verifications.get("valid_license"))
            return not self.trusted or (has_license and _loop._verify_fab(fab, self.trusted))
        except Exception as error:  # the server sends what it likes as a signature
            logger.error("the signatures of an app cannot be read", exc_info=error)
            return False

    def _forget_app(self, fab_hash: str) -> None:
        """Let go of an app: Flower gets it anew with the next message of a run that it forgets."""
        del self.fab_store[fab_hash]
        self._unsigned.discard(fab_hash)
        with self.lock_run_store:
            for run_id, run in list(self.run_store.items()):
                if run.fab_hash == fab_hash:
                    del self.run_store[run_id]

    def get_messages_legacy(
        self,
        *,
        run_ids: Sequence[int] | None = None,
        is_reply: bool | None = None,
        limit: int | None = None,
    ) -> Sequence[Message]:
        """Return messages; where replies are asked for, have what waits answered first."""
        if is_reply and run_ids is None:  # so Flower's loop asks, and nobody else
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
            asked = self._asked(task, bare, run, context)
            reply, state, *_ = self._answer(asked)
            del asked  # a model in it is of no use any more, and the reply may be as large
            if state is not None:
                context.state = state
                self.set_run_series_context(run.series_id, context)
            self.record_message_processing_end(bare.metadata.message_id)
            self.finish_task(task.task_id, SubStatus.COMPLETED, "")
            _loop._insert_message(reply, self, self.object_store)

    def _asked(self, task: Task, bare: Message, run: Run, context: Context) -> NodeMessage:
        message, trouble = bare, ""
        if task.type == TaskType.AGENT_APP:
            trouble = "this node runs the analyses of a federation, and no agents"
        else:
            try:
                message = self._whole(bare)
            except Exception as error:  # who made it may be anybody that reaches the server
                logger.error("the content of a message cannot be read", exc_info=error)
                trouble = "the content of the message cannot be read"
        fab = self.get_fab(run.fab_hash)
        if fab is None:
            fab = Fab(run.fab_hash, b"", {})
            trouble = trouble or "the server sent another app than it announced"
        if fab.hash_str in self._unsigned:
            trouble = trouble or _UNSIGNED
        return NodeMessage(task.task_id, message, context, run, fab, trouble)

    def _whole(self, bare: Message) -> Message:
        """Put a message's content together, and let go of the parts."""
        store, message_id = self.object_store, bare.metadata.message_id
        if (single := self._singles.pop(message_id, None)) is not None:
            content = store.get(single) or b""
            store.delete(single)
            return message_like(bare, RecordDict({SINGLE: ConfigRecord.inflate(content)}))
        with lean_arrays():
            message: Message = pull_and_inflate_object_from_tree(
                store.get_object_tree(message_id),
                lambda object_id: store.get(object_id) or b"",
                lambda _: store.delete(message_id),
                return_type=Message,
            )
        message.metadata.__dict__["_message_id"] = message_id  # Flower sends a message without it
        return message
