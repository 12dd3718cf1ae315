"""The runs of a check: in one process, and with a new process for every message to a node.

What is here is executed in processes made for it; :mod:`flame_flwr.testing.worker` makes them.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flame_flwr.analysis.local_run import speaks_messages
from flame_flwr.clients.node import Node
from flame_flwr.config import RunSettings
from flame_flwr.data.kept_values import open_kept_values
from flame_flwr.errors import FlameError, NotConvergedError
from flame_flwr.identity import AGGREGATOR_ID, Identity
from flame_flwr.results.record import RunRecord
from flame_flwr.testing.global_state import changed, snapshot
from flame_flwr.testing.observer import At
from flame_flwr.testing.trace import KEPT, Trace, Trouble, packed
from flame_flwr.transport.in_process import as_data
from flame_flwr.transport.interface import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flwr.app import Context, Message

    from flame_flwr.clients.local_grid import LocalGrid
    from flame_flwr.payload import Payload
    from flame_flwr.testing.observer import Watch
    from flame_flwr.testing.spec import CheckSpec
    from flame_flwr.testing.subjects import Subject
    from flame_flwr.transport.interface import Transport

__all__ = ["Answer", "Ask", "Settings", "answer", "run"]


_LEAST = 3
"""Rounds that every run has, if the analysis has as many."""

_LONG = 0.3
"""Share of a check's time after which a run beyond ``max_rounds`` is given up."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How one run is done.

    Attributes
    ----------
    order : tuple of int
        The nodes' order in the analysis: numbers of the splits.
    arrival : tuple of int
        The order in which nodes are called.
    apart : bool
        Whether every message to a node has a process of its own.
    rounds : int or None
        Stop after so many, without evaluation and final method.
    seconds : float
        Stop likewise when so much time has passed, but not before the third round has ended.
    twice : bool
        Whether the run is one after another in the same process.
    """

    order: tuple[int, ...]
    arrival: tuple[int, ...]
    apart: bool = False
    rounds: int | None = None
    seconds: float = math.inf
    twice: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """A message to a node in a process of its own."""

    kind: str
    node: int
    analyzers: tuple[str, ...]
    round: int
    aggregate: Payload | None


@dataclass(slots=True)
class Answer:
    """What came of it: a result or scores, the node's context with its state, or trouble."""

    payload: Payload | None = None
    scores: dict[str, float] = field(default_factory=dict)
    context: Context | None = None
    trouble: Trouble | None = None


class _TroubleError(Exception):
    """A node in a process of its own had trouble: it ends the run."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.text)
        self.trouble = trouble


class _EnoughError(Exception):
    """A run that is cut short has had its rounds."""


def run(
    subject: Subject,
    spec: CheckSpec,
    settings: Settings,
    watch: Watch,
    ask: Callable[[Ask], Answer],
) -> Trace:
    """Do one run in this process and return what came of it; whatever user code raises.

    Parameters
    ----------
    subject : Subject
        What is checked.
    spec : CheckSpec
        Its limit on rounds.
    settings : Settings
        How.
    watch : Watch
        Installed in this process.
    ask : callable
        Carries a message to a node in a process of its own.
    """
    trace = Trace()
    record = RunRecord()
    classes, loaded = (subject.plan.analyzer, subject.aggregator), set(sys.modules)
    before = snapshot(*classes, among=loaded)
    try:
        _run(subject, spec, settings, watch, ask, trace, record)
    except (NotConvergedError, _EnoughError):
        pass
    except _TroubleError as error:
        trace.trouble = error.trouble
    except BaseException as error:
        trace.trouble = Trouble.of(error, watch)
    else:
        trace.final = packed(record.result)
        try:
            subject.outputs.render(record.result)
        except Exception as error:
            trace.unwritable = str(error)
    trace.rounds = len(record.history)
    trace.converged = record.converged
    trace.evaluations = record.evaluations
    watch.look_for_rows()
    trace.findings = watch.findings
    trace.changed = changed(before, snapshot(*classes, among=loaded))
    return trace


def _run(
    subject: Subject,
    spec: CheckSpec,
    settings: Settings,
    watch: Watch,
    ask: Callable[[Ask], Answer],
    trace: Trace,
    record: RunRecord,
) -> None:
    limits = RunSettings.from_config({"max-rounds": spec.limit})
    strategy = subject.strategy()
    if subject.client is not None or speaks_messages(strategy):
        with _grid(subject, spec, record) as grid:
            simple = subject.simple_analysis
            strategy.start(grid, settings=limits, record=record, simple_analysis=simple)
        return
    ids = tuple(f"node-{number}" for number in settings.order)
    link: Transport
    if settings.apart:
        link = _NewProcesses(strategy, ids, subject, spec, settings, watch, ask, trace)
    else:
        link = _OneProcess(strategy, ids, subject, spec, settings, watch, trace)
    strategy.run(link, limits, record, simple_analysis=subject.simple_analysis)


def _grid(subject: Subject, spec: CheckSpec, record: RunRecord) -> LocalGrid:
    """Return the nodes behind messages; a run that is long and slow is given up there too."""
    from flame_flwr.clients import StarClient
    from flame_flwr.clients.local_grid import LocalGrid

    until = time.monotonic() + _LONG * spec.seconds

    class Limited(LocalGrid):
        def push_messages(self, messages: Iterable[Message]) -> list[str]:
            done = record.history
            goes_on = len(done) >= spec.max_rounds and not done[-1].reason
            if goes_on and time.monotonic() > until:
                raise _EnoughError
            return super().push_messages(messages)

    splits = [source() for source in subject.sources]
    return Limited(subject.plan, splits, subject.client or StarClient)


class _OneProcess:
    """Calls nodes that live in this process."""

    def __init__(
        self,
        strategy: Any,
        ids: tuple[str, ...],
        subject: Subject,
        spec: CheckSpec,
        settings: Settings,
        watch: Watch,
        trace: Trace,
    ) -> None:
        self.absent: dict[str, str] = {}
        self.strategy = strategy
        self.ids = ids
        self.evaluates = subject.plan.evaluates
        self.numbers: Sequence[int] = settings.arrival
        self.watch = watch
        self.trace = trace
        self.most = math.inf if settings.rounds is None else settings.rounds
        self.seconds, self.started = settings.seconds, time.monotonic()
        self.long, self.long_seconds = spec.max_rounds, _LONG * spec.seconds
        if not settings.apart:
            self.nodes = {
                number: Node(subject.plan, Identity(f"node-{number}", ids), as_data(source()))
                for number, source in enumerate(subject.sources)
            }

    def hello(self) -> tuple[tuple[str, ...], bool]:
        """Return the nodes in the order of this run."""
        return self.ids, self.evaluates

    def train(self, number: int, aggregate: Payload | None) -> Payload:
        """Run one round; keep what comes of it."""
        spent = time.monotonic() - self.started
        if number > self.most or (number > _LEAST and spent > self.seconds):
            raise _EnoughError
        if number > self.long and spent > self.long_seconds:
            raise _EnoughError
        payload: Payload = self.strategy.collect(number, self._replies(number, aggregate))
        if number <= KEPT:
            self.trace.aggregates[number] = payload
        if number <= _LEAST:
            self._look_at_state(number)
        return payload

    def _look_at_state(self, number: int) -> None:
        """Warn where what the server holds after a round cannot be saved for a checkpoint."""
        aggregation = self.strategy._rounds.aggregation
        try:
            aggregation.save()
        except Exception as error:
            message = error.message if isinstance(error, FlameError) else str(error)
            keeper = type(getattr(aggregation, "aggregator", aggregation)).__name__
            at = At(keeper, "aggregation_method", AGGREGATOR_ID, number)
            seen = message.partition(" cannot be saved")[0]
            self.watch.report(
                "state",
                at,
                f"{seen} cannot be saved ({at}): a run with `checkpoint` would fail",
                "Make it anew in aggregation_method, or leave it out in __getstate__; without "
                "`checkpoint` it does no harm",
                "warning",
            )

    def evaluate(self, number: int, aggregate: Payload) -> None:
        """Have the last aggregate scored."""
        self.strategy.collect_evaluations(self._scores(number, aggregate))
        self.watch.node = AGGREGATOR_ID

    def _replies(self, number: int, aggregate: Payload | None) -> Iterator[Reply]:
        for node in self.numbers:
            self.watch.node, self.watch.round = f"node-{node}", number
            payload = self._round(node, number, aggregate)
            if number <= KEPT:
                self.trace.results[number, f"node-{node}"] = payload
            yield Reply(f"node-{node}", payload)
        self.watch.node = AGGREGATOR_ID

    def _scores(self, number: int, aggregate: Payload) -> Iterable[Reply]:
        for node in self.numbers:
            self.watch.node = f"node-{node}"
            scores = self._evaluation(node, number, aggregate)
            yield Reply(f"node-{node}", metrics=scores)

    def _round(self, node: int, number: int, aggregate: Payload | None) -> Payload:
        return self.nodes[node].round(number, aggregate)

    def _evaluation(self, node: int, number: int, aggregate: Payload) -> dict[str, float]:
        return self.nodes[node].evaluate(aggregate, number)


class _NewProcesses(_OneProcess):
    """Has every message carried to a process of its own."""

    def __init__(
        self,
        strategy: Any,
        ids: tuple[str, ...],
        subject: Subject,
        spec: CheckSpec,
        settings: Settings,
        watch: Watch,
        ask: Callable[[Ask], Answer],
        trace: Trace,
    ) -> None:
        self.absent: dict[str, str] = {}
        super().__init__(strategy, ids, subject, spec, settings, watch, trace)
        self.ask = ask

    def _round(self, node: int, number: int, aggregate: Payload | None) -> Payload:
        answer = self._answer(Ask("round", node, self.ids, number, aggregate))
        assert answer.payload is not None
        return answer.payload

    def _evaluation(self, node: int, number: int, aggregate: Payload) -> dict[str, float]:
        return self._answer(Ask("evaluation", node, self.ids, number, aggregate)).scores

    def _answer(self, ask: Ask) -> Answer:
        answer = self.ask(ask)
        if answer.trouble is not None:
            raise _TroubleError(answer.trouble)
        return answer


def answer(subject: Subject, ask: Ask, context: Context, watch: Watch, state_dir: str) -> Answer:
    """Do what a message asks of a node, as a process of Flower's does.

    Parameters
    ----------
    subject : Subject
        What is checked.
    ask : Ask
        The message.
    context : Context
        The node's, as the message before left it.
    watch : Watch
        Installed in this process.
    state_dir : str
        Where the node keeps data across analyses.
    """
    from flame_flwr.clients.state import NodeState

    name, state = f"node-{ask.node}", NodeState(context)
    watch.node, watch.round = name, ask.round
    try:
        store = open_kept_values(state_dir, "project", name, where="this node's config")
        data = as_data(subject.sources[ask.node]())
        node = Node(subject.plan, Identity(name, ask.analyzers), data, store)
        if ask.kind == "evaluation":
            assert ask.aggregate is not None
            state.restore(node, ask.round)
            return Answer(scores=node.evaluate(ask.aggregate, ask.round))
        state.restore(node, ask.round - 1)
        payload = node.round(ask.round, ask.aggregate)
    except BaseException as error:
        return Answer(trouble=Trouble.of(error, watch))
    try:
        state.save(node, ask.round, ask.round - 1)
    except Exception as error:
        return Answer(trouble=replace(Trouble.of(error, watch), kind="unsaved"))
    return Answer(payload, context=context)
