"""The rounds of one run: takes the answers, minds failures, keeps the record.

A strategy owns messages and order; this owns what is done with what came back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation import Remembering
from flame_flwr.engine.failure import Failure
from flame_flwr.engine.local import where
from flame_flwr.errors import (
    NodeFailedError,
    NodesMissingError,
    NotConvergedError,
    PayloadError,
)
from flame_flwr.identity import AGGREGATOR_ID
from flame_flwr.log import logger
from flame_flwr.payload import Payload, decode, describe, encode
from flame_flwr.results.record import RoundRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flame_flwr.aggregation import Aggregation
    from flame_flwr.config import RunSettings
    from flame_flwr.engine.link import Reply
    from flame_flwr.results.record import RunRecord

__all__ = ["Rounds"]


class Rounds:
    """What is known of the run under way; gone when it ends.

    Parameters
    ----------
    record : RunRecord
        Filled as the run goes on.
    settings : RunSettings
        What to do about failures, and the limit on rounds.
    aggregation : Aggregation
        Takes the values.
    allow_pickle : bool
        Whether values may be pickles.
    evaluates : bool
        Whether the last aggregate goes back to the nodes, to be scored.

    Attributes
    ----------
    answered : set of str
        Nodes that have answered a round of this run: they know all nodes' ids by now.
    after : dict of str to int
        The last round of each node whose answer was counted: its analyzer goes on from there.
    aggregate : Payload or None
        The last aggregate, as it travels.
    """

    def __init__(
        self,
        record: RunRecord,
        settings: RunSettings,
        aggregation: Aggregation,
        allow_pickle: bool,
        evaluates: bool,
    ) -> None:
        self.record = record
        self.settings = settings
        self.aggregation = aggregation
        self.allow_pickle = allow_pickle
        self.evaluates = evaluates
        self.answered: set[str] = set()
        self.after: dict[str, int] = {}
        self.aggregate: Payload | None = None

    def finished(self, num_rounds: int | None) -> bool:
        """Tell whether the last round was the last one.

        Raises
        ------
        NotConvergedError
            ``max-rounds`` are over.
        """
        history = self.record.history
        if history and history[-1].reason:
            self.record.converged = history[-1].converged
            return True
        if num_rounds is not None and len(history) >= num_rounds:
            return True
        if len(history) >= self.settings.max_rounds:
            raise NotConvergedError.after(len(history), "max-rounds")
        return False

    def collect(self, number: int, replies: Iterable[Reply]) -> Payload:
        """Take a round's replies as they arrive and return the new aggregate, encoded once.

        Parameters
        ----------
        number : int
            The round, from 1.
        replies : iterable of Reply
            In any order.

        Raises
        ------
        NodeFailedError
            A node failed and ``on-failure`` is ``abort``.
        NodesMissingError
            With ``skip``: fewer than ``min-nodes`` answered.
        """
        entry = RoundRecord(number)
        self.aggregation.begin(number)
        for reply in replies:
            failure = reply.failure or self._add(entry, reply)
            if failure is not None:
                self._note_failure(entry, reply.node, failure)
            del reply  # it may be large, and the next one comes
        self._check_enough(entry)
        with where(AGGREGATOR_ID, f"round {number}"):
            aggregate, entry.converged, entry.reason = self.aggregation.finish()
            payload = self._encoded(aggregate, stays=bool(entry.reason) and not self.evaluates)
        self.answered.update(entry.node_seconds)
        self.after.update(dict.fromkeys(entry.node_seconds, number))
        entry.node_seconds = self._in_order(entry.node_seconds)
        entry.node_bytes = self._in_order(entry.node_bytes)
        entry.aggregate = describe(aggregate)
        self.record.aggregate = aggregate
        self.record.history.append(entry)
        return payload

    def collect_evaluations(self, replies: Iterable[Reply]) -> None:
        """Keep the numbers of an evaluation, in participant order; failures as in a round."""
        scores: dict[str, dict[str, float]] = {}
        for reply in replies:
            if reply.failure is None:
                scores[reply.node] = reply.metrics
            elif self.settings.on_failure != "skip":
                raise NodeFailedError(
                    f"node {reply.node} failed in the evaluation: {reply.failure}"
                )
            else:
                self.record.history[-1].failed[reply.node] = f"evaluation: {reply.failure}"
        if not scores:
            raise NodesMissingError("no node answered the evaluation")
        self.record.evaluations = self._in_order(scores)

    def lighten(self, payload: Payload) -> None:
        """Hold the last aggregate once: as what travels, where its arrays are only read."""
        goes_on = self.record.history and not self.record.history[-1].reason
        remembers = self._reads_only and isinstance(self.aggregation, Remembering)
        if goes_on and payload.arrays and remembers:
            self.record.aggregate = self._decoded(payload, copies=False)
            self._remember()

    def replace(self, number: int, payload: Payload) -> None:
        """Take another aggregate than the aggregation's, from a strategy of a user's own."""
        if len(self.record.history) < number:
            self.record.history.append(RoundRecord(number))
        self.record.aggregate = self._decoded(payload)
        self.record.history[-1].aggregate = describe(self.record.aggregate)
        self._remember()

    def _encoded(self, aggregate: Any, *, stays: bool) -> Payload:
        """Encode an aggregate. One that `stays` on the server may be anything at all."""
        try:
            return encode(aggregate, allow_pickle=self.allow_pickle)
        except PayloadError:
            if not stays:
                raise
            return encode(None)

    @property
    def _reads_only(self) -> bool:
        """Whether the aggregation changes and keeps nothing of the values it is given."""
        return bool(getattr(self.aggregation, "reads_only", False))

    def _remember(self) -> None:
        if isinstance(self.aggregation, Remembering):
            self.aggregation.replace(self.record.aggregate)

    def _decoded(self, payload: Payload, *, copies: bool = True) -> Any:
        return decode(payload, allow_pickle=self.allow_pickle, copies=copies)

    def _add(self, entry: RoundRecord, reply: Reply) -> Failure | None:
        """Give a reply's value to the aggregation; return why it could not be read."""
        payload = reply.payload
        if payload is None:
            return Failure("unreadable", text="the answer holds no result")
        try:
            value = self._decoded(payload, copies=not self._reads_only)
        except PayloadError as error:
            return Failure.of(error, share=True)
        with where(AGGREGATOR_ID, f"round {entry.round}, result of {reply.node}"):
            self.aggregation.add(reply.node, value)
        entry.node_seconds[reply.node] = reply.seconds
        entry.node_bytes[reply.node] = payload.nbytes
        self.record.filters.note(reply.node, reply.filters)
        self.record.note_disclosure(reply.node, reply.disclosure)
        return None

    def _note_failure(self, entry: RoundRecord, node: str, failure: Failure) -> None:
        entry.failed[node] = str(failure)
        self.record.failures.append({"round": entry.round, "node": node, "why": str(failure)})
        if self.settings.on_failure != "skip":
            trace = f"\n{failure.traceback}" if failure.traceback else ""
            raise NodeFailedError(
                f"node {node} failed in round {entry.round}: {failure}\n"
                "The node's own log has the details. Mend it there, or set on-failure = "
                f'"skip" to go on without failing nodes.{trace}'
            )
        logger.warning("round %d: going on without node %s: %s", entry.round, node, failure)

    def _check_enough(self, entry: RoundRecord) -> None:
        answered = len(entry.node_seconds)
        needed = min(self.settings.min_nodes, len(self.record.nodes))
        if not answered or (entry.failed and answered < needed):
            failed = "; ".join(f"{node}: {why}" for node, why in entry.failed.items())
            raise NodesMissingError(
                f"round {entry.round}: {answered} nodes answered, min-nodes is {needed}. {failed}"
            )

    def _in_order(self, values: dict[str, Any]) -> dict[str, Any]:
        return {node: values[node] for node in self.record.nodes if node in values}
