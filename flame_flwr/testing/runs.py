"""The runs of a check: in one process, and with a new process for every message to a node.

What is here is executed in processes made for it; :mod:`flame_flwr.testing.worker` makes them.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flame_flwr.clients.node import Node
from flame_flwr.config import RunSettings
from flame_flwr.data.kept_values import open_kept_values
from flame_flwr.errors import FlameError, NotConvergedError
from flame_flwr.identity import AGGREGATOR_ID, Identity
from flame_flwr.payload import from_record
from flame_flwr.results.run_record import RunRecord
from flame_flwr.testing.global_state import changed, snapshot
from flame_flwr.testing.observed_nodes import (
    LEAST,
    LONG,
    Answer,
    EnoughError,
    ObservedNode,
    ObservedNodes,
    TroubleError,
)
from flame_flwr.testing.observer import At
from flame_flwr.testing.trace import KEPT, Trace, Trouble, packed
from flame_flwr.transport.in_process import as_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flwr.app import ArrayRecord, Context, Message

    from flame_flwr.clients.local_grid import LocalGrid
    from flame_flwr.strategies import StarStrategy
    from flame_flwr.testing.observed_nodes import Ask
    from flame_flwr.testing.observer import Observer
    from flame_flwr.testing.spec import CheckSpec, Settings
    from flame_flwr.testing.subjects import Subject
    from flame_flwr.transport.process_grid import ProcessGrid

__all__ = ["answer", "run"]


def run(
    subject: Subject,
    spec: CheckSpec,
    settings: Settings,
    observer: Observer,
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
    observer : Observer
        Installed in this process.
    ask : callable
        Carries a message to a node in a process of its own.
    """
    return _Run(subject, spec, settings, observer, ask).traced()


@dataclass
class _Run:
    """A run: what is checked, how, and what has come of it so far."""

    subject: Subject
    spec: CheckSpec
    settings: Settings
    observer: Observer
    ask: Callable[[Ask], Answer]
    trace: Trace = field(default_factory=Trace)
    record: RunRecord = field(default_factory=RunRecord)

    def traced(self) -> Trace:
        """Do it, and return what came of it."""
        trace, record = self.trace, self.record
        classes, loaded = (self.subject.plan.analyzer, self.subject.aggregator), set(sys.modules)
        before = snapshot(*classes, among=loaded)
        try:
            self._start()
        except (NotConvergedError, EnoughError):
            pass
        except TroubleError as error:
            trace.trouble = error.trouble
        except BaseException as error:  # sys.exit of user code, too
            trace.trouble = Trouble.of(error, self.observer)
        else:
            trace.final = packed(record.result)
            try:
                self.subject.outputs.render(record.result)
            except Exception as error:
                trace.unwritable = str(error)
        trace.rounds = len(record.history)
        trace.converged = record.converged
        trace.evaluations = record.evaluations
        self.observer.look_for_rows()
        trace.findings = self.observer.findings
        trace.changed = changed(before, snapshot(*classes, among=loaded))
        return trace

    def _start(self) -> None:
        made = self.subject.masked if self.settings.masked else self.subject.strategy
        assert made is not None
        strategy, look = made(), None
        grid: ProcessGrid
        if self.subject.speaks_messages:
            grid = self._messages()
        else:
            shared = self.record, self.spec, self.settings, self.observer, self.trace
            grid = ObservedNodes(self._nodes(), *shared)

            def look(number: int, arrays: ArrayRecord) -> None:
                if number <= KEPT:
                    self.trace.aggregates[number] = from_record(arrays)
                if number <= LEAST:
                    _look_at_state(strategy, self.observer, number)

        with grid:
            strategy.start(
                grid,
                evaluate_fn=look,
                settings=RunSettings.from_config({"max-rounds": self.spec.limit}),
                record=self.record,
                simple_analysis=self.subject.simple_analysis,
            )

    def _messages(self) -> LocalGrid:
        """Return the nodes behind messages; a run that is long and slow is given up there too."""
        from flame_flwr.clients import StarClient
        from flame_flwr.clients.local_grid import LocalGrid

        # this run is the only one, and still leaves time to end in order
        until = time.monotonic() + LONG * self.spec.seconds
        done, most = self.record.history, self.spec.max_rounds

        class Limited(LocalGrid):
            def push_messages(self, messages: Iterable[Message]) -> list[str]:
                goes_on = len(done) >= most and not done[-1].reason
                if goes_on and time.monotonic() > until:
                    raise EnoughError
                return super().push_messages(messages)

        splits = [source() for source in self.subject.sources]
        return Limited(self.subject.plan, splits, self.subject.client or StarClient)

    def _nodes(self) -> list[ObservedNode]:
        """Return a run's nodes, in its order."""
        order, apart, subject = self.settings.order, self.settings.apart, self.subject
        ids = tuple(f"node-{number}" for number in order)
        nodes = []
        for number in order:
            data = None if apart else as_data(subject.sources[number]())
            node = Node(subject.plan, Identity(f"node-{number}", ids), data)
            nodes.append(ObservedNode(node, self.observer, self.ask if apart else None))
        return nodes


def _look_at_state(strategy: StarStrategy, observer: Observer, number: int) -> None:
    """Warn where what the server holds after a round cannot be saved for a checkpoint."""
    aggregation = strategy._run.aggregation
    try:
        aggregation.save()
    except Exception as error:
        message = error.message if isinstance(error, FlameError) else str(error)
        keeper = type(getattr(aggregation, "aggregator", aggregation)).__name__
        at = At(keeper, "aggregation_method", AGGREGATOR_ID, number)
        seen = message.partition(" cannot be saved")[0]
        observer.report(
            "state",
            at,
            f"{seen} cannot be saved ({at}): a run with `checkpoint` would fail",
            "Make it anew in aggregation_method, or leave it out in __getstate__; without "
            "`checkpoint` it does no harm",
            "warning",
        )


def answer(
    subject: Subject, ask: Ask, context: Context, observer: Observer, state_dir: str
) -> Answer:
    """Do what a message asks of a node, as a process of Flower's does.

    Parameters
    ----------
    subject : Subject
        What is checked.
    ask : Ask
        The message.
    context : Context
        The node's, as the message before left it.
    observer : Observer
        Installed in this process.
    state_dir : str
        Where the node keeps data across analyses.
    """
    from flame_flwr.clients.analyzer_state import NodeState

    name, state = f"node-{ask.node}", NodeState(context)
    observer.node, observer.round = name, ask.round
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
        return Answer(trouble=Trouble.of(error, observer))
    try:
        state.save(node, ask.round, ask.round - 1)
    except Exception as error:
        return Answer(trouble=replace(Trouble.of(error, observer), kind="unsaved"))
    return Answer(payload, node.study(), context=context)
