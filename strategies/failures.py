"""What a run does about nodes that fail: it ends, or goes on without them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flame_flwr.errors import ModelError, NodeFailedError, NodesMissingError
from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Container

    from flame_flwr.errors import AnswerError
    from flame_flwr.failure.failure import Failure
    from flame_flwr.results.record import RoundRecord, RunRecord
    from flame_flwr.strategies.run import Run
    from flame_flwr.transport.replies import Reply

__all__ = ["check_enough", "check_sender", "fail_evaluation", "fail_round", "refuse"]


def check_sender(run: Run, reply: Reply, when: str, *before: Container[str]) -> None:
    """Refuse what a strategy of a user's own hands over twice, or of no node of the run.

    Raises
    ------
    ModelError
        Of a node that has answered, or of none that was asked.
    """
    if any(reply.node in nodes for nodes in before):
        raise ModelError(
            f"{when}: the strategy hands over a second answer of node {reply.node}, and only "
            "one can count: hand over each node's once"
        )
    if reply.failure is None and reply.node not in run.record.nodes:
        raise ModelError(
            f"{when}: the strategy hands over an answer to a message that was not sent in it; "
            "hand over this round's answers only"
        )


def fail_round(run: Run, entry: RoundRecord, node: str, failure: Failure) -> None:
    """Record that a node gave no result, and end the run unless it goes on without the node.

    Raises
    ------
    NodeFailedError
        ``on-failure`` is not ``skip``.
    """
    why = entry.failed[node] = _said(run.record, failure)
    run.record.failures.append({"round": entry.round, "node": node, "why": why})
    if run.settings.on_failure != "skip":
        shared = failure.traceback if run.record.public.exact else ""
        trace = f"\n{shared}" if shared else ""
        raise NodeFailedError(
            f"node {node} failed in round {entry.round}: {why}\n"
            f"The node's own log has the details. {_mend(run, len(entry.failed))}{trace}"
        )
    logger.warning("round %d: going on without node %s: %s", entry.round, node, why)


def fail_evaluation(run: Run, node: str, failure: Failure) -> str:
    """Record that a node could not score the last aggregate; return node and reason.

    Raises
    ------
    NodeFailedError
        ``on-failure`` is not ``skip``.
    """
    why = _said(run.record, failure)
    number = len(run.record.history)
    run.record.failures.append({"round": number, "node": node, "why": f"evaluation: {why}"})
    if run.settings.on_failure != "skip":
        raise NodeFailedError(f"node {node} failed in the evaluation: {why}")
    logger.warning("evaluation: going on without node %s: %s", node, why)
    return f"{node}: {why}"


def refuse(run: Run, entry: RoundRecord, node: str, error: AnswerError) -> None:
    """Record that an answer was refused whole, and raise unless the run goes on without it.

    Raises
    ------
    AnswerError
        Nothing declares that such an answer is left out, and ``on-failure`` is not ``skip``.
    """
    why = entry.failed[node] = error.message
    entry.node_metrics.pop(node, None)
    run.record.failures.append({"round": entry.round, "node": node, "why": why})
    if error.declared:  # no failure: the analyzer goes on from here, in every runtime
        run.mark_counted(node, entry.round)
    elif run.settings.on_failure != "skip":
        raise error
    logger.warning("round %d: going on without node %s: %s", entry.round, node, why)


def check_enough(run: Run, entry: RoundRecord) -> None:
    """See that enough nodes are left in a round.

    Raises
    ------
    NodesMissingError
        There are none, or fewer than ``min-nodes``.
    """
    answered = len(entry.node_seconds)
    skips = run.settings.on_failure == "skip"  # else only what is declared is left out
    needed = min(run.settings.min_nodes if skips else 1, len(run.record.nodes))
    if not answered or (entry.failed and answered < needed):
        failed = "; ".join(f"{node}: {why}" for node, why in entry.failed.items())
        raise NodesMissingError(
            f"round {entry.round}: {answered} nodes answered, min-nodes is {needed}. {failed}"
        )


def _said(record: RunRecord, failure: Failure) -> str:
    """Return a failure in words; of a private run without the text that a node shares."""
    if not record.public.exact and failure.traceback:
        failure = replace(failure, text="")
    return str(failure)


def _mend(run: Run, failed: int) -> str:
    """Say what to do about failed nodes: going on without them only where enough are left."""
    least = min(run.settings.min_nodes, len(run.record.nodes))
    if len(run.record.nodes) - failed < least:
        return f"Mend it there: without it there are fewer than `min-nodes`, {least}."
    return 'Mend it there, or set on-failure = "skip" to go on without failing nodes.'
