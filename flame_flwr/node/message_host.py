"""Has messages answered, each by a process of its own.

One message at a time, as Flower's SuperNode hands them over.
"""

from __future__ import annotations

import inspect
import socket
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flwr.app import Error, Message, Metadata

from flame_flwr.clients.node_name import name_or_address
from flame_flwr.clients.reply_values import FOREIGN
from flame_flwr.config import NodeSettings
from flame_flwr.data.cleaning import expire
from flame_flwr.data.frozen_store import FrozenStore
from flame_flwr.errors import ConfigError
from flame_flwr.flower import HELLO
from flame_flwr.flower_node_state import CRASHED, RAISED, UNLOADED, NodeAnswer
from flame_flwr.log import logger, show
from flame_flwr.node import wire
from flame_flwr.node.data_service import DataService
from flame_flwr.node.forks import ForkError, Forks, cause_of_end
from flame_flwr.node.gated_answer import through_gate
from flame_flwr.node.kept_folders import KeptFolders
from flame_flwr.node.kept_states import size_of_state
from flame_flwr.node.limits import TOO_MANY_QUESTIONS, Limits, reason_of_limit
from flame_flwr.node.message_config import message_config
from flame_flwr.node.sandbox import Sandbox
from flame_flwr.node.service_link import send_reply
from flame_flwr.processes.threads import call_later
from flame_flwr.text.shown_text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.flower_node_state import NodeMessage
    from flame_flwr.node.data_service import MessageData
    from flame_flwr.node.server_clock import ServerClock

__all__ = ["MessageHost"]

_END_MARGIN = 60.0
"""Seconds in which the fork server will have ended a message's process."""

_MOST_QUESTIONS = 100_000
_MOST_ASKED = 2**28
"""Bytes of all questions for data that one message may ask: each costs the node's own time."""

_UNLOADED = "An exception was raised when attempting to load `ClientApp`"
"""As Flower says it: why it cannot be loaded is in the node's log."""

_METADATA = tuple(inspect.signature(Metadata).parameters)


class MessageHost:
    """Answers messages, each in a process of its own.

    Parameters
    ----------
    preload : sequence of str
        Modules that apps need, imported once and not in every message.
    clock : ServerClock, optional
        Its difference from the server's is told at hello.
    secrets : sequence of Path
        Files that no analysis may see in the sandbox, such as the node's key.
    """

    def __init__(
        self,
        preload: Sequence[str] = (),
        clock: ServerClock | None = None,
        secrets: Sequence[Path] = (),
    ) -> None:
        show()
        self._forks = Forks(preload)
        self._data = DataService()
        self._clock = clock
        self.sandbox = Sandbox(self._forks, secrets)

    def close(self) -> None:
        """End the fork server, and with it every process of a message; forget what was read."""
        self._forks.close()
        self._data.close()

    def answer(self, asked: NodeMessage) -> NodeAnswer:
        """Have one message answered; the answer has passed the node's gate.

        Returns
        -------
        NodeAnswer
            The reply, and the state that the analysis has at this node afterwards; ``None`` where
            it stays as it was, as the app may not run here, has raised, or its process has died.
        """
        clock = None if self._clock is None else self._clock.difference
        return through_gate(asked, self._run, clock)

    def _run(self, asked: NodeMessage) -> NodeAnswer:
        """Have a process answer a message."""
        try:
            settings = NodeSettings.from_config(asked.context.node_config)
            kept = KeptFolders.of(settings, asked)
            limits = replace(Limits.of(settings), kept=kept.most_at_any_time())
            sandbox = self.sandbox.command(settings, asked, limits)
            fence = self.sandbox.fence(settings, asked, limits)
        except ConfigError as error:
            return _refused(asked, f"ConfigError: {error.message}")
        except ForkError as error:
            return _refused(asked, str(error))
        if asked.message.metadata.message_type == HELLO and settings.state_dir:
            # Here and not in the process: in a sandbox that sees its own analysis's folder only.
            expire(Path(settings.state_dir), settings.state_days)
            FrozenStore.of(settings).expire()
        data = self._data.for_message(asked.context, limits.seconds)
        ours, theirs = socket.socketpair()
        refused = ""
        with ours:
            try:
                pid = self._forks.fork(theirs, limits, sandbox, fence)
            except ForkError as error:
                why = f"no process for the message could be started: {error}"
                return _crashed(asked, why)
            # The fork server ends it before; but what an app has left behind may have ended that.
            deadline = call_later(partial(_hang_up, ours), limits.seconds + _END_MARGIN)
            try:
                frame = _converse(ours, asked, limits, data)
            except wire.FrameRefusedError as error:
                logger.error("the process of a message was refused: %s", printable(str(error)))
                frame, refused = None, error.told
            except Exception as error:  # whatever it says, it is to be ended
                logger.error("the process of a message broke off: %s", printable(str(error)))
                frame = None
            deadline.cancel()
        end = self._forks.end(pid)  # all of it, so that nothing writes to the folders any more
        limit = kept.settle() or (end.limit if end.limit == "folders" else "")
        if frame is None:
            if refused or end.limit:
                why = f"the analysis was ended: {refused}"
                return _refused(asked, why if refused else reason_of_limit(end.limit))
            return _crashed(asked, cause_of_end(end.code))
        if limit:  # it has answered, and left more on the disk than it may: nothing of it is kept
            return _refused(asked, reason_of_limit(limit))
        answer = _answer(asked, *frame)
        if answer.state is not None and size_of_state(answer.state) > settings.state_mb * 1e6:
            return _refused(asked, reason_of_limit("state-mb"))
        return answer._replace(frozen=tuple(sorted(data.frozen)), data_changed=data.has_changed)


def _converse(
    sock: socket.socket, asked: NodeMessage, limits: Limits, data: MessageData
) -> wire.Frame | None:
    """Hand a message to its process, answer what it asks, and return what it says in the end."""
    wire.send(sock, *_request(asked))
    asked_bytes = 0
    for number in count(1):
        frame = wire.receive(sock, most=limits.memory)  # more than it may have, it need not send
        if frame is None or "ask" not in frame[0]:
            return frame
        asked_bytes += wire.size_of(frame)
        if number > _MOST_QUESTIONS or asked_bytes > _MOST_ASKED:
            break
        send_reply(sock, data.answer(frame[0]))
    raise wire.FrameRefusedError(TOO_MANY_QUESTIONS, f"{number} questions of {asked_bytes} bytes")


def _hang_up(sock: socket.socket) -> None:
    with suppress(OSError):  # it has ended just now
        sock.shutdown(socket.SHUT_RDWR)


def _request(asked: NodeMessage) -> wire.Frame:
    message, context, bulk = asked.message, asked.context, [asked.fab.content]
    metadata = {key: getattr(message.metadata, key) for key in _METADATA}
    header = {
        "task": asked.task_id,
        "node": context.node_id,
        "series": context.series_id,
        "fab": 0,
        "app": [asked.run.fab_id, asked.run.fab_version, asked.fab.hash_str],
        "metadata": metadata,
        "node_config": message_config(context.node_config, context.run_config),
        "run_config": dict(context.run_config),
        "records": wire.pack_records(message.content, bulk),
        "state": wire.pack_records(context.state, bulk),
    }
    return header, bulk


def _answer(asked: NodeMessage, header: dict[str, Any], bulk: list[bytes]) -> NodeAnswer:
    """Make a reply of what the process said; it has run foreign code."""
    try:
        if header.get("foreign"):
            return NodeAnswer(Message(Error(RAISED, FOREIGN), reply_to=asked.message), None)
        state = wire.unpack_records(header["state"], bulk) if "state" in header else None
        if "error" in header:
            if not header.get("loads", True):
                return NodeAnswer(Message(Error(UNLOADED, _UNLOADED), reply_to=asked.message), None)
            reply = Message(Error(RAISED, str(header["error"])), reply_to=asked.message)
            return NodeAnswer(reply, state, is_apps_text=True)
        content = wire.unpack_records(header["records"], bulk)
    except Exception as error:  # of whatever depth, type and size it is
        # its text may hold values
        logger.error("what is wrong with the answer: %s", printable(str(error)))
        return _crashed(asked, "the process of the message gave no answer that can be read")
    return NodeAnswer(Message(content, reply_to=asked.message), state)


def _refused(asked: NodeMessage, why: str) -> NodeAnswer:
    """Answer with what asking once more does not mend, unlike a process that has died."""
    logger.error("%s", why)
    why = f"node {name_or_address(asked.context)}: {why}"
    return NodeAnswer(Message(Error(RAISED, why), reply_to=asked.message), None)


def _crashed(asked: NodeMessage, why: str) -> NodeAnswer:
    logger.error("%s", why)
    return NodeAnswer(Message(Error(CRASHED, why), reply_to=asked.message), None)
