"""The rounds of one run: takes the answers, minds failures, keeps the record.

A strategy owns messages and order; this owns what is done with what came back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.base import Finished, unmeasured
from flame_flwr.aggregation.early_stopping import EarlyStopping
from flame_flwr.aggregation.pytree import own_arrays
from flame_flwr.errors import (
    AnswerError,
    ModelError,
    NodeFailedError,
    NodesMissingError,
    NotConvergedError,
    PayloadError,
)
from flame_flwr.failure.failure import Failure
from flame_flwr.failure.where import where
from flame_flwr.identity import AGGREGATOR_ID
from flame_flwr.log import logger
from flame_flwr.metrics import MOST_NAMES, readable, rows_tested
from flame_flwr.payload import Payload, decode, describe, encode
from flame_flwr.privacy.table_forms import table_forms
from flame_flwr.results.callbacks import notify, shielded
from flame_flwr.results.metric_means import of_a_round, plain
from flame_flwr.results.record import RoundRecord
from flame_flwr.results.unknown_labels import UnknownLabels

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from flame_flwr.aggregation import Aggregation
    from flame_flwr.config import RunSettings
    from flame_flwr.results.record import RunRecord
    from flame_flwr.transport.interface import Reply

__all__ = ["Rounds"]

_MANY = 10
"""Rows from which on a list of records is told of; two lists of coefficients are no table."""


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
    metric_keys : dict of str to str
        What of a node's result is a metric, besides what it reports, and what the aggregate's value
        of that key is weighted by; empty where that is not said.

    Attributes
    ----------
    answered : set of str
        Nodes that have answered a round of this run: they know all nodes' ids by now.
    after : dict of str to int
        The last round of each node whose answer was counted: its analyzer goes on from there.
    aggregate : Payload or None
        The last aggregate, as it travels.
    measured : float or None
        Its change, as the aggregation measures it; see :class:`Finished`.
    """

    def __init__(
        self,
        record: RunRecord,
        settings: RunSettings,
        aggregation: Aggregation,
        allow_pickle: bool,
        evaluates: bool,
        metric_keys: Mapping[str, str] | None = None,
    ) -> None:
        self.record = record
        self.settings = settings
        self.aggregation = aggregation
        self.allow_pickle = allow_pickle
        self.evaluates = evaluates
        self.metric_keys = dict(metric_keys or {})
        self.answered: set[str] = set()
        self.after: dict[str, int] = {}
        self.aggregate: Payload | None = None
        self.measured: float | None = None
        self._unfitted = UnknownLabels()
        record.metric_names.update(self.metric_keys)
        self._rows = 0
        self._tables_known = False
        self._warned = False
        self._rows_tested: dict[str, float | None] = {}

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
        ModelError
            A node has two answers, or one is of no node that was asked.
        """
        entry = RoundRecord(number)
        self.aggregation.begin(number)
        for reply in replies:
            self._check_once(reply, f"round {number}", entry.node_seconds.keys() | entry.failed)
            failure = reply.failure or self._add(entry, reply)
            if failure is not None:
                self._note_failure(entry, reply.node, failure)
            notify(self.record, "answered", reply.node)
            del reply  # it may be large, and the next one comes
        self._tables_known = self._tables_known or bool(entry.table)
        self._check_enough(entry)
        with where(AGGREGATOR_ID, f"round {number}"):
            finished = Finished(*self.aggregation.finish())
            aggregate, entry.converged, entry.reason, self.measured = finished
            if not self.record.public.exact and not isinstance(self.aggregation, EarlyStopping):
                entry.reason = unmeasured(entry.reason)
            payload = self._encoded(aggregate, stays=bool(entry.reason) and not self.evaluates)
        self.answered.update(entry.node_seconds)
        self.after.update(dict.fromkeys(entry.node_seconds, number))
        entry.node_seconds = self._in_order(entry.node_seconds)
        entry.node_bytes = self._in_order(entry.node_bytes)
        entry.node_metrics = self._in_order(entry.node_metrics)
        means = of_a_round(entry.node_metrics, aggregate, self.metric_keys, self._rows_tested)
        entry.metrics = {name: mean for name, (mean, _) in means.items()}
        self.record.weighted_by |= {name: by for name, (_, by) in means.items()}
        entry.aggregate = describe(aggregate)
        self.record.aggregate = aggregate
        self.record.history.append(entry)
        return payload

    def collect_evaluations(self, replies: Iterable[Reply]) -> None:
        """Keep the numbers of an evaluation, in participant order; failures as in a round."""
        scores: dict[str, dict[str, float]] = {}
        unable, failed = set[str](), list[str]()
        number = len(self.record.history)
        for reply in replies:
            self._check_once(reply, "the evaluation", scores.keys() | unable)
            if reply.failure is None:
                scores[reply.node] = reply.metrics
                count = len(reply.metrics)
                self.record.left.note_numbers(reply.node, number, count, "evaluation_method")
                continue
            why = self._told(reply.failure)
            unable.add(reply.node)
            self.record.failures.append(
                {"round": number, "node": reply.node, "why": f"evaluation: {why}"}
            )
            if self.settings.on_failure != "skip":
                raise NodeFailedError(f"node {reply.node} failed in the evaluation: {why}")
            failed.append(f"{reply.node}: {why}")
            logger.warning("evaluation: going on without node %s", failed[-1])
        if not scores:
            raise NodesMissingError(f"no node answered the evaluation. {'; '.join(failed)}".strip())
        self.record.evaluations = self._in_order(scores)

    def note_error(self, number: int, node: str, what: str, error: Exception) -> None:
        """Record that a node in this process raised, before the error goes on to the caller.

        Parameters
        ----------
        number : int
            The round.
        node : str
            Which.
        what : str
            Where in the run, if not in a round.
        error : Exception
            Its text is left out of a private run: it may hold exact figures.
        """
        failure = Failure.of(error, share=self.record.public.exact)
        why = f"{what}: {failure}" if what else str(failure)
        self.record.failures.append({"round": number, "node": node, "why": why})

    def lighten(self, payload: Payload) -> None:
        """Hold the last aggregate once: as what travels, where its arrays are only read."""
        goes_on = self.record.history and not self.record.history[-1].reason
        if goes_on and payload.arrays and self._reads_only:
            self.record.aggregate = self._decoded(payload, copies=False)
            self._remember()

    def settle(self) -> None:
        """Have the last aggregate own its memory: what a caller gets may be changed.

        Over messages it may be a view of what travels, and a strategy's ``update`` may have put
        arrays of the one before into it.
        """
        if self._reads_only:
            self.record.aggregate = own_arrays(self.record.aggregate)

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
        return self.aggregation.reads_only

    def _remember(self) -> None:
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
        self._note(entry, reply, value, payload.nbytes)
        self.record.filters.note(reply.node, reply.filters)
        self.record.note_disclosure(reply.node, reply.disclosure)
        try:
            with where(AGGREGATOR_ID, f"round {entry.round}, result of {reply.node}"):
                self.aggregation.add(reply.node, value)
        except AnswerError as error:
            self._note_refusal(entry, reply.node, error)
            return None
        entry.node_seconds[reply.node] = reply.seconds
        entry.node_bytes[reply.node] = payload.nbytes
        return None

    def _note(self, entry: RoundRecord, reply: Reply, value: Any, size: int) -> None:
        """Keep of an answer what there is to know of it: metrics, form, how much data there is."""
        record, node = self.record, reply.node
        record.left.note(node, entry.round, value, size)
        if record.public.exact:  # else no exact figure is told
            self._unfitted.note(node, entry.round, value)
        record.left.note_numbers(node, entry.round, len(reply.metrics), "report_metrics")
        self._rows_tested[node] = rows_tested(value, reply.metrics)
        metrics = dict(reply.metrics)
        if self.metric_keys and isinstance(value, dict):
            metrics |= readable(
                {key: plain(value[key]) for key in self.metric_keys if key in value}
            )
        metrics = self._known(metrics)
        if metrics:
            entry.node_metrics[node] = metrics
        with shielded("a look for tables"):
            self._note_tables(entry, value)
        if reply.size:
            record.sizes.setdefault(node, reply.size)

    def _note_tables(self, entry: RoundRecord, value: Any) -> None:
        """Note the largest table of the first round in which there is one."""
        if self._tables_known:
            return
        for table in table_forms(value):
            if table.rows > self._rows and (table.rows >= _MANY or table.kind == "table"):
                self._rows, entry.table = table.rows, str(table)

    def _known(self, metrics: dict[str, float]) -> dict[str, float]:
        """Leave out metrics with new names once there are too many: each has a column."""
        names = self.record.metric_names
        for name in metrics:
            if len(names) < MOST_NAMES:
                names.add(name)
        known = {name: value for name, value in metrics.items() if name in names}
        if len(known) < len(metrics) and not self._warned:
            self._warned = True
            logger.warning(
                "the nodes have reported more than %d metrics by name; others are left out: use "
                "the same names in every round",
                MOST_NAMES,
            )
        return known

    def _note_failure(self, entry: RoundRecord, node: str, failure: Failure) -> None:
        why = entry.failed[node] = self._told(failure)
        self.record.failures.append({"round": entry.round, "node": node, "why": why})
        if self.settings.on_failure != "skip":
            shared = failure.traceback if self.record.public.exact else ""
            trace = f"\n{shared}" if shared else ""
            raise NodeFailedError(
                f"node {node} failed in round {entry.round}: {why}\n"
                f"The node's own log has the details. {self._mend(len(entry.failed))}{trace}"
            )
        logger.warning("round %d: going on without node %s: %s", entry.round, node, why)

    def _note_refusal(self, entry: RoundRecord, node: str, error: AnswerError) -> None:
        """Record that an answer was refused whole, and raise unless the run goes on without it."""
        why = entry.failed[node] = error.message
        entry.node_metrics.pop(node, None)
        self.record.failures.append({"round": entry.round, "node": node, "why": why})
        if error.declared:  # no failure: the analyzer goes on from here, in every runtime
            self.answered.add(node)
            self.after[node] = entry.round
        elif self.settings.on_failure != "skip":
            raise error
        logger.warning("round %d: going on without node %s: %s", entry.round, node, why)

    def _told(self, failure: Failure) -> str:
        """Return a failure as it is told; of a private run without the text that a node shares."""
        if not self.record.public.exact and failure.traceback:
            failure = replace(failure, text="")
        return str(failure)

    def _check_once(self, reply: Reply, when: str, before: Collection[str]) -> None:
        """Refuse what a strategy of a user's own hands over twice, or of no node of the run.

        Raises
        ------
        ModelError
            Of a node that has answered, or of none that was asked.
        """
        if reply.node in before:
            raise ModelError(
                f"{when}: the strategy hands over a second answer of node {reply.node}, and only "
                "one can count: hand over each node's once"
            )
        if reply.failure is None and reply.node not in self.record.nodes:
            raise ModelError(
                f"{when}: the strategy hands over an answer to a message that was not sent in it; "
                "hand over this round's answers only"
            )

    def _mend(self, failed: int) -> str:
        """Say what to do about failed nodes: going on without them only where enough are left."""
        least = min(self.settings.min_nodes, len(self.record.nodes))
        if len(self.record.nodes) - failed < least:
            return f"Mend it there: without it there are fewer than `min-nodes`, {least}."
        return 'Mend it there, or set on-failure = "skip" to go on without failing nodes.'

    def _check_enough(self, entry: RoundRecord) -> None:
        answered = len(entry.node_seconds)
        skips = self.settings.on_failure == "skip"  # else only what is declared is left out
        needed = min(self.settings.min_nodes if skips else 1, len(self.record.nodes))
        if not answered or (entry.failed and answered < needed):
            failed = "; ".join(f"{node}: {why}" for node, why in entry.failed.items())
            raise NodesMissingError(
                f"round {entry.round}: {answered} nodes answered, min-nodes is {needed}. {failed}"
            )

    def _in_order(self, values: dict[str, Any]) -> dict[str, Any]:
        return {node: values[node] for node in self.record.nodes if node in values}
