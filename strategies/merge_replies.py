"""Merging the replies to a round, and keeping those to an evaluation, as they arrive.

What a node sent is checked where it is read, in :mod:`flame_flwr.transport.replies`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flame_flwr.aggregation.base import Finished, unmeasured
from flame_flwr.aggregation.early_stopping import EarlyStopping
from flame_flwr.errors import AnswerError, NodesMissingError
from flame_flwr.failure.where import where
from flame_flwr.identity import AGGREGATOR_ID
from flame_flwr.payload import to_record
from flame_flwr.results.callbacks import notify
from flame_flwr.results.record import RoundRecord
from flame_flwr.strategies.bookkeeping import in_order
from flame_flwr.strategies.failures import (
    check_enough,
    check_sender,
    fail_evaluation,
    fail_round,
    refuse,
)
from flame_flwr.transport.replies import read_result, read_scores

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flwr.app import ArrayRecord, Message

    from flame_flwr.strategies.run import Run

__all__ = ["keep_scores", "merge_round"]


def merge_round(run: Run, number: int, replies: Iterable[Message]) -> ArrayRecord:
    """Merge the replies to a round, in any order; return the new aggregate as it travels.

    Raises
    ------
    NodeFailedError, AnswerError
        A node failed, or its answer cannot be merged, and ``on-failure`` is ``abort``.
    NodesMissingError
        With ``skip``: fewer than ``min-nodes`` answered.
    ModelError
        A node has two answers, or one is of no node that was asked.
    """
    entry = RoundRecord(number)
    aggregation, copies = run.aggregation, not run.reads_only
    aggregation.begin(number)
    for message in replies:
        sender = run.transport.sender(message)
        reply = read_result(message, sender, allow_pickle=run.allow_pickle, copies=copies)
        check_sender(run, reply, f"round {number}", entry.node_seconds, entry.failed)
        if reply.failure is not None:
            fail_round(run, entry, reply.node, reply.failure)
        else:
            run.bookkeeping.note(entry, reply)
            try:
                with where(AGGREGATOR_ID, f"round {number}, result of {reply.node}"):
                    aggregation.add(reply.node, reply.value)
            except AnswerError as error:
                refuse(run, entry, reply.node, error)
            else:
                entry.node_seconds[reply.node] = reply.seconds
                entry.node_bytes[reply.node] = reply.nbytes
        notify(run.record, "answered", reply.node)
        del message, reply  # they may be large, and the next one comes
    check_enough(run, entry)
    with where(AGGREGATOR_ID, f"round {number}"):
        finished = Finished(*aggregation.finish())
        entry.converged, entry.reason = finished.converged, finished.reason
        if not run.record.public.exact and not isinstance(aggregation, EarlyStopping):
            entry.reason = unmeasured(entry.reason)
        payload = run.encoded(finished.aggregate, stays=bool(entry.reason) and not run.evaluates)
    for node in entry.node_seconds:
        run.mark_counted(node, number)
    run.bookkeeping.close(entry, finished.aggregate)
    run.merged(entry, finished, arrays := to_record(payload))
    return arrays


def keep_scores(run: Run, replies: Iterable[Message]) -> None:
    """Keep the numbers of an evaluation, in participant order; failures as in a round."""
    scores: dict[str, dict[str, float]] = {}
    failed: dict[str, str] = {}
    number = len(run.record.history)
    for message in replies:
        reply = read_scores(message, run.transport.sender(message))
        check_sender(run, reply, "the evaluation", scores, failed)
        if reply.failure is not None:
            failed[reply.node] = fail_evaluation(run, reply.node, reply.failure)
            continue
        scores[reply.node] = reply.metrics
        count = len(reply.metrics)
        run.record.left.note_numbers(reply.node, number, count, "evaluation_method")
    if not scores:
        said = "; ".join(failed.values())
        raise NodesMissingError(f"no node answered the evaluation. {said}".strip())
    run.record.evaluations = in_order(run.record.nodes, scores)
