"""The gate around the process of a message: what comes to it, and what leaves the node after it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flwr.app import Context, Error, Message, RecordDict

from flame_flwr.clients.filter_counts import keep_counts
from flame_flwr.clients.reply_gate import ReplyGate
from flame_flwr.clients.reply_origin import ReplyOrigin, error_reply, noting_error
from flame_flwr.config import NodeSettings
from flame_flwr.errors import ConfigError
from flame_flwr.failure.failure import Failure
from flame_flwr.failure.notes import log_error
from flame_flwr.flower_node_state import CRASHED, NodeAnswer
from flame_flwr.log import logger
from flame_flwr.node.app_archive import AppArchive
from flame_flwr.node.approval import AppRefusedError, check_app, project_asked, refusal_of
from flame_flwr.node.ledger_file import NodeLedger
from flame_flwr.transport.clocks import told_clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from flame_flwr.flower_node_state import NodeMessage

__all__ = ["through_gate"]

_MOST_RECORDS = 100
_LONGEST_NAME = 200
_SECONDS_OF_NO_CONFIG = 60.0


def through_gate(
    asked: NodeMessage, run: Callable[[NodeMessage], NodeAnswer], clock: float | None = None
) -> NodeAnswer:
    """Have a message answered behind the gate, and noted in the node's audit log, if any.

    Parameters
    ----------
    asked : NodeMessage
        The message.
    run : callable
        Has the analysis answer it, in a process of its own.
    clock : float, optional
        Seconds that the node's clock is ahead of the server's, to be told at hello.

    Returns
    -------
    NodeAnswer
        What may leave, and the state to keep, which is never looked into: analyzers are pickles.
    """
    try:
        return _through_gate(asked, run, clock)
    except Exception as error:  # no message, and nothing that its app says, may end the node
        log_error(error, "a message could not be answered")
        why = "the node could not answer the message; its log says why"
        reply = error_reply(asked.message, asked.context, Failure(type(error).__name__, text=why))
        origin = ReplyOrigin(gated=True, app=asked.app_folder)
        return NodeAnswer(noting_error(asked.message, asked.context, reply, origin) or reply, None)


def _through_gate(
    asked: NodeMessage, run: Callable[[NodeMessage], NodeAnswer], clock: float | None
) -> NodeAnswer:
    try:
        # first: before that the app's archive is not opened, also for its config
        project = check_app(asked)
    except AppRefusedError as error:
        reply = refusal_of(asked, error, told_clock(clock))
        origin = ReplyOrigin(gated=True, app=asked.app_folder)
        # The run config has the project once the app's archive was opened.
        noted = {} if asked.context.run_config else {"project": project_asked(asked)}
        return NodeAnswer(
            noting_error(asked.message, asked.context, reply, origin, noted) or reply, None
        )
    origin = ReplyOrigin(
        gated=True,
        app=asked.app_folder,
        clock=clock,
        seconds=_seconds(asked),
        app_files=AppArchive.read(asked.fab.content).files,
        project=project,
        ledger=NodeLedger(asked.context, project),
    )
    # Two gates: what the process gives back has another state, and its reply another origin.
    refused = ReplyGate(asked.message, asked.context, origin).refusal()
    answer = run(asked) if refused is None else NodeAnswer(refused, None)
    answer = _with_kept_counts(asked, answer)
    context = _context_with(asked, answer.state)
    origin = replace(
        origin,
        is_apps_text=answer.is_apps_text,
        frozen=answer.frozen,
        data_changed=answer.data_changed,
        ledger=origin.ledger if refused is None else None,  # else it has left, or nothing leaves
    )
    reply = ReplyGate(asked.message, context, origin).let_out(answer.reply)
    return NodeAnswer(reply, None if answer.state is None else context.state)


def _with_kept_counts(asked: NodeMessage, answer: NodeAnswer) -> NodeAnswer:
    """Return an answer with a state of limited form, whose counts are the node's own."""
    if answer.state is None:
        return answer
    if len(answer.state) > _MOST_RECORDS or any(len(n) > _LONGEST_NAME for n in answer.state):
        why = f"the app keeps more than {_MOST_RECORDS} records in its context, which may not be"
        logger.error("%s", why)
        return NodeAnswer(Message(Error(CRASHED, why), reply_to=asked.message), None)
    keep_counts(asked.context.state, answer.state)
    return answer


def _seconds(asked: NodeMessage) -> float:
    """Return how long the gate may work on a message: as long as the analysis itself may."""
    try:
        return float(NodeSettings.from_config(asked.context.node_config).message_timeout)
    except ConfigError:  # the gate says so itself
        return _SECONDS_OF_NO_CONFIG


def _context_with(asked: NodeMessage, state: RecordDict | None) -> Context:
    context = asked.context
    return Context(
        run_id=context.run_id,
        node_id=context.node_id,
        node_config=context.node_config,
        state=RecordDict(dict(context.state.items())) if state is None else state,
        run_config=context.run_config,
        series_id=context.series_id,
    )
