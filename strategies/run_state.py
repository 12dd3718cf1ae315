"""The state of the run under way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.pytree import own_arrays
from flame_flwr.errors import ModelError, NodeFailedError, NotConvergedError, PayloadError
from flame_flwr.failure.node_notes import noting_node
from flame_flwr.identity import AGGREGATOR_ID
from flame_flwr.log import logger
from flame_flwr.payload import Payload, decode, describe, encode, from_record, to_record
from flame_flwr.results.callbacks import notify, shielded
from flame_flwr.results.checkpoint import AnalysisState
from flame_flwr.results.log_lines import log_evaluation, log_round, warn_of_unknown
from flame_flwr.results.run_record import RoundRecord
from flame_flwr.strategies.round_messages import ask_in_turn, checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flwr.app import ArrayRecord, Message, MetricRecord

    from flame_flwr.aggregation import Aggregation
    from flame_flwr.aggregation.base import Finished
    from flame_flwr.config import RunSettings
    from flame_flwr.data.kept_values import KeptValues
    from flame_flwr.results.run_record import RunRecord
    from flame_flwr.strategies.bookkeeping import Bookkeeping
    from flame_flwr.strategies.round_loop import RoundLoop
    from flame_flwr.strategies.run_sums import RunSums
    from flame_flwr.strategies.star_result import StarResult
    from flame_flwr.transport.interface import Transport

__all__ = ["Run"]


@dataclass(slots=True)
class Run:
    """The state of one run: what came of its rounds so far, and what the next one needs.

    Attributes
    ----------
    transport : Transport
        Asks the nodes.
    settings : RunSettings
        What to do about failures, and the limit on rounds.
    result : StarResult
        What the caller gets; its record is filled as the run goes on.
    aggregation : Aggregation
        Takes the values.
    bookkeeping : Bookkeeping
        What the record keeps of answers.
    evaluates : bool
        Whether the last aggregate goes back to the nodes, to be scored.
    allow_pickle : bool
        Whether values may be pickles.
    kept_data : KeptValues or None
        Where the aggregator keeps data.
    arrays : ArrayRecord or None
        The last aggregate, as it travels.
    answered : set of str
        Nodes that have answered a round of this run: they know all nodes' ids by now.
    after : dict of str to int
        The last round of each node whose answer was counted: its analyzer goes on from there.
    sums : RunSums or None
        The secure sums, where there are some.
    in_turn : bool
        Whether a round asks one node after another.
    """

    transport: Transport
    settings: RunSettings
    result: StarResult
    aggregation: Aggregation
    bookkeeping: Bookkeeping
    evaluates: bool
    allow_pickle: bool
    kept_data: KeptValues | None = None
    arrays: ArrayRecord | None = None
    answered: set[str] = field(default_factory=set)
    after: dict[str, int] = field(default_factory=dict)
    sums: RunSums | None = None
    in_turn: bool = False
    _asked: ArrayRecord | None = None
    _merged: ArrayRecord | None = None
    _change: float | None = None
    _started: float = 0.0

    @property
    def record(self) -> RunRecord:
        """The record of the run so far."""
        return self.result.record

    @property
    def reads_only(self) -> bool:
        """Whether the aggregation changes and keeps nothing of the values it is given."""
        return self.aggregation.reads_only

    @property
    def masked(self) -> bool:
        """Whether nodes' answers are masked."""
        return self.sums is not None and self.sums.masked

    def rounds(self, num_rounds: int | None) -> Iterator[int]:
        """Begin one round after another and yield its number, until the last one is over.

        Parameters
        ----------
        num_rounds : int or None
            Stop after so many, even if not converged.

        Raises
        ------
        NotConvergedError
            ``max-rounds`` are over.
        """
        while not self._is_over(num_rounds):
            number, self._asked = self.number + 1, None
            self._enter_kept_data(number)
            self.record.stage.enter("round", number)
            notify(self.record, "entered", number)
            self._started = time.perf_counter()
            yield number

    def _is_over(self, num_rounds: int | None) -> bool:
        history = self.record.history
        # A reason to stop comes first: an analysis may converge in the very last round allowed.
        if history and history[-1].reason:
            self.record.converged = history[-1].converged
            return True
        if num_rounds is not None and len(history) >= num_rounds:
            return True
        if len(history) >= self.settings.max_rounds:
            raise NotConvergedError.after(len(history), "max-rounds")
        return False

    @property
    def number(self) -> int:
        """How many rounds are over, those of a run that this one goes on with among them."""
        return len(self.record.history)

    def to_send(self) -> ArrayRecord:
        """Return the aggregate for this round's messages, in a record that may be changed."""
        # Nodes tell "no aggregate yet" by a value, as a message without arrays is no payload.
        return to_record(encode(None)) if self.arrays is None else self.arrays.copy()

    def note_sent(self, arrays: ArrayRecord) -> None:
        """Note what the next nodes are sent, where a round's nodes get one aggregate each."""
        self._asked = arrays

    def last_sent(self) -> Any:
        """Return the aggregate that the last node was sent; its arrays may be read-only."""
        sent = self.arrays if self._asked is None else self._asked
        return None if sent is None else self._decoded(from_record(sent), copies=False)

    def exchange(self, messages: Any, method: str, number: int | None = None) -> Iterator[Message]:
        """Ask the nodes what a strategy's method has returned; yield their replies as they arrive.

        Raises
        ------
        ModelError
            They are no messages, or not one for a node each.
        """
        what = "evaluation" if number is None else f"round {number}"
        owner = f"{method}, {'the ' if number is None else ''}{what}"
        if self.in_turn and number is not None:
            return ask_in_turn(self.transport, messages, owner, what)
        return self.transport.exchange(checked(messages, self.transport.names(), owner), what)

    def mark_counted(self, node: str, number: int) -> None:
        """Note that a node's answer counts: the node continues from its state after this round."""
        self.answered.add(node)
        self.after[node] = number

    def encoded(self, aggregate: Any, *, stays: bool) -> Payload:
        """Encode an aggregate. One that `stays` on the server may be anything at all."""
        try:
            return encode(aggregate, allow_pickle=self.allow_pickle)
        except PayloadError:
            # A figure or a fitted model of any kind is fine as the last one: no node gets it.
            if not stays:
                raise
            return encode(None)

    def note_merged(self, entry: RoundRecord, finished: Finished, arrays: ArrayRecord) -> None:
        """Take what the aggregation made of a round."""
        self.record.aggregate = finished.aggregate
        self.record.history.append(entry)
        self._change = finished.change
        # A copy, as `aggregate_train` returns the record itself, and may have put arrays into it.
        self._merged = arrays.copy()

    def accept_aggregate(
        self, arrays: ArrayRecord | None, metrics: MetricRecord | None, method: str
    ) -> None:
        """Take as the aggregate what was merged, or what a user's strategy has put in its place.

        Raises
        ------
        NodeFailedError
            There are no arrays.
        """
        if arrays is None:
            raise NodeFailedError(f"{method} returned no arrays: there is no aggregate")
        history = self.record.history
        if self._merged is None:  # the strategy merged by itself, so nobody made an entry
            history.append(RoundRecord(self.number + 1))
        replaced = arrays != self._merged
        # Decoded a second time only where it must be: a user's strategy changed what was merged,
        # or a view of what travels saves holding a large model twice.
        if replaced or self._may_share(arrays):
            self.record.aggregate = self._decoded(from_record(arrays), copies=replaced)
            history[-1].aggregate = describe(self.record.aggregate)
            self._tell_aggregation()
        self._merged = None
        self.arrays = self.result.arrays = arrays
        if metrics is not None:
            self.result.train_metrics_clientapp[self.number] = metrics

    def end_round(
        self, evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None
    ) -> None:
        """Complete a round's entry, tell everybody who looks on, and score on the server."""
        record, entry = self.record, self.record.history[-1]
        entry.seconds = time.perf_counter() - self._started
        # What is only shown must not end a run of hours: it is logged where it fails.
        with shielded("the aggregate's change"):
            record.note_change(self._change)
        record.stage.closed = entry.round
        notify(record, "finished", entry, record)
        with shielded("the round's line"):
            log_round(entry, record)
        if evaluate_fn is not None and self.arrays is not None:
            scores = evaluate_fn(self.number, self.arrays)
            if scores is not None:
                self.result.evaluate_metrics_serverapp[self.number] = scores

    def _may_share(self, arrays: ArrayRecord) -> bool:
        """Tell whether the aggregate may be a view of what travels: it is then held only once."""
        goes_on = not self.record.history[-1].reason  # the last one is the caller's, to be changed
        is_large = len(arrays) > 1  # beside the header
        return goes_on and is_large and self.reads_only

    def end_rounds(self) -> None:
        """End the rounds: what the aggregator keeps from now on belongs to none of them."""
        if self.sums is not None:
            self.record.secure = self.sums.about()
        self._own_memory()
        self._enter_kept_data(self.number + 1)
        self.record.stage.enter("finishing")

    def accept_scores(self, metrics: MetricRecord | None) -> None:
        """Take what a strategy's ``aggregate_evaluate`` has returned."""
        if metrics is not None:
            self.result.evaluate_metrics_clientapp[self.number] = metrics
        notify(self.record, "evaluated", self.record)
        with shielded("the evaluation's line"):
            log_evaluation(self.record)

    def make_result(self) -> None:
        """Make the result of the last aggregate."""
        self.record.stage.enter("finishing")
        with shielded("a look at what is shown"):
            warn_of_unknown(self.record)
        with noting_node(AGGREGATOR_ID, "final_method"):
            final = self.aggregation.final
            self.record.result = final(self.record.aggregate, self.record.evaluations)

    def close(self) -> None:
        """Leave the record as a caller may have it, also after a failure."""
        self._own_memory()
        with shielded("the privacy budget"):
            self.record.filters.log_budgets()

    def begin_from(
        self, initial: ArrayRecord | None, kept: AnalysisState | None, strategy: RoundLoop
    ) -> None:
        """Begin with an aggregate of the caller's, or where another run has stopped."""
        if initial is not None:
            payload = from_record(initial)
            self.aggregation.replace(self._decoded(payload))
            self.arrays = initial
        if kept is None:
            return
        self.record.go_on(kept.record)
        self.after.update(kept.after)
        self.arrays = None if kept.aggregate is None else to_record(kept.aggregate)
        self.aggregation.load(kept.aggregation)
        self._tell_aggregation()  # what it saves leaves the aggregate out: it is there already
        vars(strategy).update(kept.strategy)
        logger.info("going on after round %d", self.number)

    def state(self, strategy: RoundLoop) -> AnalysisState:
        """Return what another run needs to go on after this round.

        What a user's subclass of the strategy keeps in itself is part of it.

        Raises
        ------
        ModelError
            The aggregation, or an attribute of it, cannot be saved.
        """
        aggregation = self.aggregation.save()
        if aggregation is None:
            name = type(getattr(self.aggregation, "aggregator", self.aggregation)).__name__
            raise ModelError(
                f"{name} has no save() and load(), so there can be no `checkpoint` of this analysis"
            )
        return AnalysisState(
            session=self.transport.session,
            nodes=tuple(self.record.nodes),
            after=dict(self.after),
            record=self.record.progress(),
            aggregate=None if self.arrays is None else from_record(self.arrays),
            aggregation=aggregation,
            strategy=strategy._kept(),
        )

    def _tell_aggregation(self) -> None:
        self.aggregation.replace(self.record.aggregate)

    def _decoded(self, payload: Payload, *, copies: bool = True) -> Any:
        return decode(payload, allow_pickle=self.allow_pickle, copies=copies)

    def _own_memory(self) -> None:
        """Copy the last aggregate's arrays: the caller may change what it gets.

        It may be a view of what travels, and a strategy's ``update`` may have put arrays of the
        one before into it.
        """
        if self.reads_only:
            self.record.aggregate = own_arrays(self.record.aggregate)

    def _enter_kept_data(self, number: int) -> None:
        if self.kept_data is not None:
            self.kept_data.enter_round(self.transport.session, number, number - 1)
