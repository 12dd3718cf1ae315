"""The runs of a check: in one process, and with a new process for every message to a node.

What is here is executed in processes made for it; :mod:`flame_flwr.testing.worker` makes them.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flame_flwr.aggregation import Resumable
from flame_flwr.clients.node import Node
from flame_flwr.config import RunSettings
from flame_flwr.data.kept_values import open_kept_values
from flame_flwr.errors import FlameError, NotConvergedError
from flame_flwr.identity import AGGREGATOR_ID, Identity
from flame_flwr.payload import from_record
from flame_flwr.results.record import RunRecord
from flame_flwr.testing.global_state import changed, snapshot
from flame_flwr.testing.observer import At
from flame_flwr.testing.trace import KEPT, Trace, Trouble, packed
from flame_flwr.transport.greeting import Greeting
from flame_flwr.transport.in_process import InProcess, as_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flwr.app import ArrayRecord, Context, Message

    from flame_flwr.clients.local_grid import LocalGrid
    from flame_flwr.data.expect import Mismatch
    from flame_flwr.payload import Payload
    from flame_flwr.strategies import StarStrategy
    from flame_flwr.testing.observer import Watch
    from flame_flwr.testing.spec import CheckSpec
    from flame_flwr.testing.subjects import Subject
    from flame_flwr.transport.process_grid import ProcessGrid

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
    strategy, look = subject.strategy(), None
    grid: ProcessGrid
    if subject.speaks_messages:
        grid = _messages(subject, spec, record)
    else:
        grid = _Watched(_nodes(subject, settings, watch, ask, trace), record, spec, settings, watch)

        def look(number: int, arrays: ArrayRecord) -> None:
            if number <= KEPT:
                trace.aggregates[number] = from_record(arrays)
            if number <= _LEAST:
                _look_at_state(strategy, watch, number)

    with grid:
        strategy.start(
            grid,
            evaluate_fn=look,
            settings=limits,
            record=record,
            simple_analysis=subject.simple_analysis,
        )


def _messages(subject: Subject, spec: CheckSpec, record: RunRecord) -> LocalGrid:
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


class _Watched(InProcess):
    """The nodes of one run, called in the order that it wants, and given up when it has enough."""

    def __init__(
        self,
        nodes: Sequence[_WatchedNode],
        record: RunRecord,
        spec: CheckSpec,
        settings: Settings,
        watch: Watch,
    ) -> None:
        super().__init__(nodes, record)
        self._record = record
        self._watch = watch
        names = [f"node-{number}" for number in settings.arrival]
        self._arrival = {name: place for place, name in enumerate(names)}
        self._most = math.inf if settings.rounds is None else settings.rounds
        self._seconds, self._started = settings.seconds, time.monotonic()
        self._long, self._long_seconds = spec.max_rounds, _LONG * spec.seconds

    def hello(self, *, reads_first: bool = False) -> list[Greeting]:
        """Return the nodes in the order of this run; their data is not looked at before it."""
        greetings = [
            Greeting(address, node.identity.id, bool(node.plan.evaluates))
            for address, node in self.nodes.items()
        ]
        self.take_part(greetings)
        return greetings

    def exchange(self, messages: Sequence[Message], what: str) -> Iterator[Message]:
        """Ask the nodes in the order of arrival, unless the run has had enough."""
        number = len(self._record.history) + 1
        spent = time.monotonic() - self._started
        if what != "evaluation" and (
            number > self._most
            or (number > _LEAST and spent > self._seconds)
            or (number > self._long and spent > self._long_seconds)
        ):
            raise _EnoughError
        names = self.names()
        arrival = {address: self._arrival[name] for address, name in names.items()}
        ordered = sorted(messages, key=lambda m: arrival[m.metadata.dst_node_id])
        yield from super().exchange(ordered, what)
        self._watch.node = AGGREGATOR_ID


class _WatchedNode:
    """One node of a run: what it returns is kept.

    Parameters
    ----------
    node : Node
        It, in this process; not asked for rounds where there is `ask`.
    watch : Watch
        Installed in this process.
    trace : Trace
        Gets the results.
    ask : callable, optional
        Carries what is asked of the node to a process of its own.
    """

    filters = disclosure = None

    def __init__(
        self, node: Node, watch: Watch, trace: Trace, ask: Callable[[Ask], Answer] | None
    ) -> None:
        self.identity = node.identity
        self.plan = node.plan
        self.metrics: dict[str, float] = {}
        self._node = node
        self._watch = watch
        self._trace = trace
        self._ask = ask

    def round(self, number: int, aggregate: Payload | None) -> Payload:
        """Run one round on the node."""
        self._watch.node, self._watch.round = self.identity.id, number
        if self._ask is None:
            payload = self._node.round(number, aggregate)
        else:
            carried = self._carried(self._ask, "round", number, aggregate).payload
            assert carried is not None
            payload = carried
        if number <= KEPT:
            self._trace.results[number, self.identity.id] = payload
        return payload

    def evaluate(self, aggregate: Payload, rounds: int) -> dict[str, float]:
        """Have the node score the last aggregate."""
        self._watch.node = self.identity.id
        if self._ask is None:
            return self._node.evaluate(aggregate, rounds)
        return self._carried(self._ask, "evaluation", rounds, aggregate).scores

    def findings(self) -> list[Mismatch]:
        """Return nothing: a run of a check does not look at data before it."""
        return []

    def size(self) -> str:
        """Return nothing: no trace needs it."""
        return ""

    def _carried(
        self,
        ask: Callable[[Ask], Answer],
        kind: str,
        number: int,
        aggregate: Payload | None,
    ) -> Answer:
        place = int(self.identity.id.removeprefix("node-"))
        answer = ask(Ask(kind, place, self.identity.analyzers, number, aggregate))
        if answer.trouble is not None:
            raise _TroubleError(answer.trouble)
        return answer


def _nodes(
    subject: Subject,
    settings: Settings,
    watch: Watch,
    ask: Callable[[Ask], Answer],
    trace: Trace,
) -> list[_WatchedNode]:
    """Return a run's nodes, in its order."""
    ids = tuple(f"node-{number}" for number in settings.order)
    nodes = []
    for number in settings.order:
        data = None if settings.apart else as_data(subject.sources[number]())
        node = Node(subject.plan, Identity(f"node-{number}", ids), data)
        nodes.append(_WatchedNode(node, watch, trace, ask if settings.apart else None))
    return nodes


def _look_at_state(strategy: StarStrategy, watch: Watch, number: int) -> None:
    """Warn where what the server holds after a round cannot be saved for a checkpoint."""
    aggregation = strategy._run.aggregation
    if not isinstance(aggregation, Resumable):
        return
    try:
        aggregation.save()
    except Exception as error:
        message = error.message if isinstance(error, FlameError) else str(error)
        keeper = type(getattr(aggregation, "aggregator", aggregation)).__name__
        at = At(keeper, "aggregation_method", AGGREGATOR_ID, number)
        seen = message.partition(" cannot be saved")[0]
        watch.report(
            "state",
            at,
            f"{seen} cannot be saved ({at}): a run with `checkpoint` would fail",
            "Make it anew in aggregation_method, or leave it out in __getstate__; without "
            "`checkpoint` it does no harm",
            "warning",
        )


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
