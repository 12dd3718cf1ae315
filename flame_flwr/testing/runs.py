"""The runs of a check: in one process, and with a new process for every message to a node.

What is here is executed in processes made for it; :mod:`flame_flwr.testing.worker` makes them.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from flame_flwr.clients.node import Node
from flame_flwr.config import RunSettings
from flame_flwr.data.kept_values import open_kept_values
from flame_flwr.errors import FlameError, NotConvergedError
from flame_flwr.identity import AGGREGATOR_ID, Identity
from flame_flwr.payload import from_record
from flame_flwr.results.run_record import RunRecord
from flame_flwr.testing.global_state import changed, snapshot
from flame_flwr.testing.observer import At
from flame_flwr.testing.trace import KEPT, Trace, Trouble, packed
from flame_flwr.testing.watched_nodes import (
    LEAST,
    LONG,
    Answer,
    EnoughError,
    TroubleError,
    Watched,
    WatchedNode,
)
from flame_flwr.transport.in_process import as_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flwr.app import ArrayRecord, Context, Message

    from flame_flwr.clients.local_grid import LocalGrid
    from flame_flwr.strategies import StarStrategy
    from flame_flwr.testing.observer import Watch
    from flame_flwr.testing.spec import CheckSpec
    from flame_flwr.testing.subjects import Subject
    from flame_flwr.testing.watched_nodes import Ask, Settings
    from flame_flwr.transport.process_grid import ProcessGrid

__all__ = ["answer", "run"]


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
    except (NotConvergedError, EnoughError):
        pass
    except TroubleError as error:
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
    made = subject.masked if settings.masked else subject.strategy
    assert made is not None
    strategy, look = made(), None
    grid: ProcessGrid
    if subject.speaks_messages:
        grid = _messages(subject, spec, record)
    else:
        nodes = _nodes(subject, settings, watch, ask)
        grid = Watched(nodes, record, spec, settings, watch, trace)

        def look(number: int, arrays: ArrayRecord) -> None:
            if number <= KEPT:
                trace.aggregates[number] = from_record(arrays)
            if number <= LEAST:
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

    until = time.monotonic() + LONG * spec.seconds

    class Limited(LocalGrid):
        def push_messages(self, messages: Iterable[Message]) -> list[str]:
            done = record.history
            goes_on = len(done) >= spec.max_rounds and not done[-1].reason
            if goes_on and time.monotonic() > until:
                raise EnoughError
            return super().push_messages(messages)

    splits = [source() for source in subject.sources]
    return Limited(subject.plan, splits, subject.client or StarClient)


def _nodes(
    subject: Subject,
    settings: Settings,
    watch: Watch,
    ask: Callable[[Ask], Answer],
) -> list[WatchedNode]:
    """Return a run's nodes, in its order."""
    ids = tuple(f"node-{number}" for number in settings.order)
    nodes = []
    for number in settings.order:
        data = None if settings.apart else as_data(subject.sources[number]())
        node = Node(subject.plan, Identity(f"node-{number}", ids), data)
        nodes.append(WatchedNode(node, watch, ask if settings.apart else None))
    return nodes


def _look_at_state(strategy: StarStrategy, watch: Watch, number: int) -> None:
    """Warn where what the server holds after a round cannot be saved for a checkpoint."""
    aggregation = strategy._run.aggregation
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
    from flame_flwr.clients.analyzer_state import NodeState

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
    return Answer(payload, node.study(), context=context)
