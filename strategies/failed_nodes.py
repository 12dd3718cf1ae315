"""Decides about nodes that fail: the run ends, or goes on without them."""

from __future__ import annotations

from dataclasses import replace
from textwrap import indent
from typing import TYPE_CHECKING

from flame_flwr.errors import ModelError, NodeFailedError, NodesMissingError
from flame_flwr.log import logger
from flame_flwr.text.shown_text import one_line

if TYPE_CHECKING:
    from collections.abc import Container

    from flame_flwr.errors import AnswerError
    from flame_flwr.failure.failure import Failure
    from flame_flwr.results.run_record import RoundRecord, RunRecord
    from flame_flwr.strategies.run_state import Run
    from flame_flwr.transport.read_reply import Reply

__all__ = ["check_enough", "check_sender", "fail_evaluation", "fail_round", "refuse"]

_SHORT, _LONGEST = 300, 5000
"""Characters of why a node failed, in its round and in the list of failures."""


def check_sender(run: Run, reply: Reply, when: str, *before: Container[str]) -> None:
    """Refuse an answer that a user's strategy hands over twice, or that no node of the run sent.

    Raises
    ------
    ModelError
        The failure is one of a node that has answered already, or that was not asked.
    """
    for nodes in before:
        if reply.node in nodes:
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
    why = _in_words(run.record, failure)
    _note(run.record, entry, node, why)
    if run.settings.on_failure != "skip":
        shared = failure.traceback if run.record.public.exact else ""
        # Indented, so that no line of another party's begins like one of this run's log.
        trace = f"\n{indent(shared, '  ')}" if shared else ""
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
    why = _in_words(run.record, failure)
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
    # an aggregation of a user's own may name what a node sent as it is
    why = error.message = one_line(error.message, _LONGEST)
    error.detail = error.detail and one_line(error.detail, _LONGEST)
    _note(run.record, entry, node, why)
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
    # A strategy may ask few nodes on purpose: `min-nodes` counts only where some of them failed.
    answered = len(entry.node_seconds)
    skips = run.settings.on_failure == "skip"  # else only what is declared is left out
    needed = min(run.settings.min_nodes if skips else 1, len(run.record.nodes))
    if not answered or (entry.failed and answered < needed):
        failed = "; ".join(f"{node}: {why}" for node, why in entry.failed.items())
        raise NodesMissingError(
            f"round {entry.round}: {answered} nodes answered, min-nodes is {needed}. {failed}"
        )


def _note(record: RunRecord, entry: RoundRecord, node: str, why: str) -> None:
    """Keep a failure's text: whole in the list of failures, and short in its round."""
    entry.failed[node] = one_line(why, _SHORT)
    entry.node_metrics.pop(node, None)  # noted as it came, before the aggregation refused it
    record.failures.append({"round": entry.round, "node": node, "why": why})


def _in_words(record: RunRecord, failure: Failure) -> str:
    """Return a failure in words; of a private run without the text that a node shares."""
    # A node that shares tracebacks shares its errors' texts, and these may quote a figure.
    if not record.public.exact and failure.traceback:
        failure = replace(failure, text="")
    return one_line(failure, _LONGEST)


def _mend(run: Run, failed: int) -> str:
    """Say what to do about failed nodes: going on without them only where enough are left."""
    if run.masked:
        return "Mend it there: without its part there is no sum."
    least = min(run.settings.min_nodes, len(run.record.nodes))
    if len(run.record.nodes) - failed < least:
        return f"Mend it there: without it there are fewer than `min-nodes`, {least}."
    return 'Mend it there, or set on-failure = "skip" to go on without failing nodes.'
