"""The nodes of a check's run: called in its order, and what they return is kept."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flame_flwr.identity import AGGREGATOR_ID
from flame_flwr.privacy.evidence import Evidence
from flame_flwr.testing.trace import KEPT
from flame_flwr.transport.greeting import Greeting
from flame_flwr.transport.in_process import InProcess
from flame_flwr.transport.local_message import LocalReply, address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flwr.app import Context, Message

    from flame_flwr.clients.node import Node
    from flame_flwr.data.expect import Mismatch
    from flame_flwr.payload import Payload
    from flame_flwr.privacy.study_declaration import Study
    from flame_flwr.results.run_record import RunRecord
    from flame_flwr.testing.observer import Observer
    from flame_flwr.testing.spec import CheckSpec, Settings
    from flame_flwr.testing.trace import Trace, Trouble

__all__ = [
    "LEAST",
    "LONG",
    "Answer",
    "Ask",
    "EnoughError",
    "ObservedNode",
    "ObservedNodes",
    "TroubleError",
]

LEAST = 3
"""Rounds that every run has, if the analysis has as many."""

LONG = 0.3
"""Share of a check's time after which a run beyond ``max_rounds`` is given up."""


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
    """The answer to an ask: a result or scores, the node's context with its state, or trouble."""

    payload: Payload | None = None
    study: Study | None = None
    scores: dict[str, float] = field(default_factory=dict)
    context: Context | None = None
    trouble: Trouble | None = None


class TroubleError(Exception):
    """A node in a process of its own had trouble: it ends the run."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.text)
        self.trouble = trouble


class EnoughError(Exception):
    """A run that is cut short has had its rounds."""


class ObservedNodes(InProcess):
    """The nodes of one run, called in the order that it wants, and given up when it has enough."""

    def __init__(
        self,
        nodes: Sequence[ObservedNode],
        record: RunRecord,
        spec: CheckSpec,
        settings: Settings,
        observer: Observer,
        trace: Trace,
    ) -> None:
        super().__init__(nodes, record)
        self._trace = trace
        self._kept = 0 if settings.masked else KEPT
        self._record = record
        self._observer = observer
        names = [f"node-{number}" for number in settings.arrival or settings.order]
        self._arrival = {name: place for place, name in enumerate(names)}
        self._most = math.inf if settings.rounds is None else settings.rounds
        self._seconds, self._started = settings.share * spec.seconds, time.monotonic()
        self._long, self._long_seconds = spec.max_rounds, LONG * spec.seconds

    def hello(self, *, reads_first: bool = False, secure: bool = False) -> list[Greeting]:
        """Return the nodes in the order of this run; their data is not looked at before it."""
        greetings = [
            Greeting(
                address,
                node.identity.id,
                bool(node.plan.evaluates),
                secure=self.entry(address) if secure else None,
            )
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
            or (number > LEAST and spent > self._seconds)
            or (number > self._long and spent > self._long_seconds)
        ):
            raise EnoughError
        names = self.names()
        arrival = {address: self._arrival[name] for address, name in names.items()}
        ordered = sorted(messages, key=lambda m: arrival[address_of(m)])
        yield from super().exchange(ordered, what)
        self._observer.node = AGGREGATOR_ID

    def answer(self, message: Message) -> Message:
        """Keep what leaves the node's gate; what was done to it there goes into no record."""
        reply = super().answer(message)
        if isinstance(reply, LocalReply) and reply.unread is not None:
            payload, said = reply.unread
            number = int(message.content["fitins.config"]["round"])  # type: ignore[arg-type]
            if number <= self._kept:
                node = self.nodes[address_of(message)].identity.id
                self._trace.results[number, node] = payload
            reply.unread = payload, {k: v for k, v in said.items() if k not in _TREATMENT}
        return reply


_TREATMENT = ("filters", "disclosure")


class ObservedNode:
    """One node of a run.

    Parameters
    ----------
    node : Node
        It, in this process; not asked for rounds where there is `ask`.
    observer : Observer
        Installed in this process.
    ask : callable, optional
        Carries what is asked of the node to a process of its own.
    """

    evidence = Evidence()

    def __init__(self, node: Node, observer: Observer, ask: Callable[[Ask], Answer] | None) -> None:
        self.identity = node.identity
        self.plan = node.plan
        self.metrics: dict[str, float] = {}
        self._node = node
        self._observer = observer
        self._ask = ask
        self._study: Study | None = None

    def round(self, number: int, aggregate: Payload | None) -> Payload:
        """Run one round on the node."""
        self._observer.node, self._observer.round = self.identity.id, number
        if self._ask is None:
            return self._node.round(number, aggregate)
        carried = self._carried(self._ask, "round", number, aggregate)
        assert carried.payload is not None
        self._study = carried.study
        return carried.payload

    def evaluate(self, aggregate: Payload, rounds: int) -> dict[str, float]:
        """Ask the node to score the last aggregate."""
        self._observer.node = self.identity.id
        if self._ask is None:
            return self._node.evaluate(aggregate, rounds)
        return self._carried(self._ask, "evaluation", rounds, aggregate).scores

    def findings(self) -> list[Mismatch]:
        """Return nothing: a run of a check does not look at data before it."""
        return []

    def study(self) -> Study:
        """Return what the analysis declares."""
        return self._study or self._node.study()

    def weigh_data(self) -> None:
        """Do nothing: no trace needs it."""

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
            raise TroubleError(answer.trouble)
        return answer
