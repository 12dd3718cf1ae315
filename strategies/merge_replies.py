"""Merging the replies to a round, and keeping those to an evaluation, as they arrive.

What a node sent is checked where it is read, in :mod:`flame_flwr.transport.read_reply`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flame_flwr.aggregation.base import Finished, unmeasured
from flame_flwr.aggregation.early_stopping import EarlyStopping
from flame_flwr.errors import AnswerError, NodesMissingError
from flame_flwr.failure.failure import Failure
from flame_flwr.failure.node_notes import noting_node
from flame_flwr.identity import AGGREGATOR_ID
from flame_flwr.payload import to_record
from flame_flwr.results.callbacks import notify
from flame_flwr.results.run_record import ALL_NODES, RoundRecord
from flame_flwr.strategies.bookkeeping import in_order
from flame_flwr.strategies.failed_nodes import (
    check_enough,
    check_sender,
    fail_evaluation,
    fail_round,
    refuse,
)
from flame_flwr.transport.read_reply import read_result, read_scores

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flwr.app import ArrayRecord, Message

    from flame_flwr.strategies.run_state import Run

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
    entry = run.record.stage.entry = RoundRecord(number)
    aggregation, copies = run.aggregation, not run.reads_only
    # Equal parts, so that what one node sends takes nothing of the others'.
    room = run.settings.round_bytes // max(1, len(run.record.nodes))
    aggregation.begin(number)
    for message in replies:
        # Known from the message that it answers, never from what the reply says of itself.
        sender = run.transport.sender(message)
        reply = read_result(
            message,
            sender,
            allow_pickle=run.allow_pickle,
            copies=copies,
            masked=run.masked,
            room=room,
            sent=run.last_sent,
        )
        check_sender(run, reply, f"round {number}", entry.node_seconds, entry.failed)
        failure = reply.failure or run.bookkeeping.note(entry, reply)
        if failure is not None:  # raises, unless the run goes on without the node
            fail_round(run, entry, reply.node, failure)
        else:
            try:
                with noting_node(AGGREGATOR_ID, f"round {number}, result of {reply.node}"):
                    aggregation.add(reply.node, reply.value)
            except AnswerError as error:
                refuse(run, entry, reply.node, error)
            else:
                # These dicts say who answered, so a node that was refused must not be in them.
                entry.node_seconds[reply.node] = reply.seconds
                entry.node_bytes[reply.node] = reply.nbytes
        notify(run.record, "answered", reply.node)
        del message, reply  # they may be large, and the next one comes
    # Which shape is the odd one is known when all are there: the first to come may be that one.
    with noting_node(AGGREGATOR_ID, f"round {number}"):
        odd = aggregation.odd_answers()
    for node, why in odd.items():
        del entry.node_seconds[node], entry.node_bytes[node]
        refuse(run, entry, node, why)
    check_enough(run, entry)
    with noting_node(AGGREGATOR_ID, f"round {number}"):
        finished = Finished(*aggregation.finish())
        entry.converged, entry.reason = finished.converged, finished.reason
        # A user's words may hold an exact figure. `EarlyStopping` has seen to it, and its own stay.
        if not run.record.public.exact and not isinstance(aggregation, EarlyStopping):
            entry.reason = unmeasured(entry.reason)
        payload = run.encoded(finished.aggregate, stays=bool(entry.reason) and not run.evaluates)
    # Only now: had `finish` failed, no node's state after this round would count.
    for node in entry.node_seconds:
        run.mark_counted(node, number)
    if run.in_turn:
        entry.order = list(entry.node_seconds)
    run.bookkeeping.close(entry, finished.aggregate)
    arrays = to_record(payload)
    run.note_merged(entry, finished, arrays)
    return arrays


def keep_scores(run: Run, replies: Iterable[Message]) -> None:
    """Keep the numbers of an evaluation, in participant order; failures as in a round."""
    scores: dict[str, dict[str, float]] = {}
    failed: dict[str, str] = {}
    number = len(run.record.history)
    stage = run.record.stage
    stage.enter("evaluation")
    stage.scores, stage.failed = scores, failed  # shared: who looks on sees them fill
    merged = run.sums.begin(number) if run.sums is not None and run.sums.merges_scores else None
    for message in replies:
        reply = read_scores(message, run.transport.sender(message), masked=run.masked)
        check_sender(run, reply, "the evaluation", scores, failed)
        if reply.failure is not None:
            failed[reply.node] = fail_evaluation(run, reply.node, reply.failure)
            continue
        if merged is not None:  # sums are secure: of single nodes' scores only their sum is kept
            try:
                merged.add(reply.node, reply.value if run.masked else reply.metrics)
            except AnswerError as error:
                unfit = Failure.of(error, share=False)
                failed[reply.node] = fail_evaluation(run, reply.node, unfit)
                continue
        scores[reply.node] = reply.metrics
        count = len(reply.metrics)
        run.record.left.note_numbers(reply.node, number, count, "evaluation_method")
    if not scores:
        said = "; ".join(failed.values())
        raise NodesMissingError(f"no node answered the evaluation. {said}".strip())
    if run.sums is not None and merged is not None:
        run.record.evaluations = {ALL_NODES: merged.result()}
        run.sums.close(None, merged)
    else:
        run.record.evaluations = in_order(run.record.nodes, scores)
