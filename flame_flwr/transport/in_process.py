"""Asking nodes that live in this process, one after another, without Flower's runtimes.

It is for writing, debugging and testing: a debugger works, an exception reaches the caller as
itself. Values pass through the payload codec, so nodes share no objects.
"""

from __future__ import annotations

import secrets
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from flwr.app import (
    ConfigRecord,
    Error,
    Message,
    MessageType,
    MetricRecord,
    RecordDict,
)

from flame_flwr.data.source import SourceData, SplitData
from flame_flwr.errors import NodeFailedError
from flame_flwr.failure.failure import Failure
from flame_flwr.failure.node_notes import noting_node
from flame_flwr.log import logger
from flame_flwr.payload import encode, from_record
from flame_flwr.payload.codec import known_good
from flame_flwr.payload.opaque import look_into
from flame_flwr.privacy.gate import MUST_MASK, Gate, findings_that_leave
from flame_flwr.transport.greeting import Greeting
from flame_flwr.transport.hello_findings import failure_of, refusal, show_table
from flame_flwr.transport.interface import Transport
from flame_flwr.transport.local_message import PREFIX, LocalReply, LocalRequest, address_of
from flame_flwr.transport.process_grid import ProcessGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flwr.serverapp import Grid

    from flame_flwr.data.expect import Mismatch
    from flame_flwr.data.source import NodeData
    from flame_flwr.identity import Identity
    from flame_flwr.payload import Payload
    from flame_flwr.privacy.evidence import Evidence
    from flame_flwr.privacy.secure.part import SecurePart
    from flame_flwr.privacy.secure.roster import Entry
    from flame_flwr.privacy.secure.session import Kind
    from flame_flwr.privacy.study_declaration import Study
    from flame_flwr.results.run_record import RunRecord

__all__ = ["InProcess", "LocalNode", "as_data"]


class LocalNode(Protocol):
    """The calls to a node in this process; :class:`flame_flwr.clients.node.Node` has it."""

    identity: Identity
    plan: Any
    metrics: dict[str, float]
    evidence: Evidence

    def round(self, number: int, aggregate: Payload | None) -> Payload:
        """Analyze its data once."""

    def evaluate(self, aggregate: Payload, rounds: int) -> dict[str, float]:
        """Score the last aggregate."""

    def findings(self) -> list[Mismatch]:
        """Return what is not as expected of its data."""

    def study(self) -> Study:
        """Return what the analysis declares, and has done to its last result."""

    def weigh_data(self) -> None:
        """Count its data."""


def as_data(split: Any) -> NodeData:
    """Return a split as a node's data: sources are read as on a deployment."""
    return split if isinstance(split, SourceData) else SplitData(split)


class InProcess(ProcessGrid, Transport):
    """Nodes in this process: their own functions are called, with no client in between.

    Parameters
    ----------
    nodes : sequence of LocalNode
        In participant order.
    record : RunRecord
        Is told which node has raised an exception, before that goes on to the caller.

    Attributes
    ----------
    nodes : dict of int to LocalNode
        By their addresses.
    """

    def __init__(self, nodes: Sequence[LocalNode], record: RunRecord) -> None:
        ProcessGrid.__init__(self, len(nodes))
        Transport.__init__(self, secrets.token_hex(16))
        self.nodes = dict(enumerate(nodes, start=1))
        self._record = record
        # Of the study's rules only: a hospital's has its own.
        self._gates = {address: Gate(node.identity.id) for address, node in self.nodes.items()}
        self._last: tuple[Any, Payload] | None = None
        self._parts: dict[int, SecurePart] = {}

    @property
    def grid(self) -> Grid:
        """The Grid that this is itself."""
        return self

    def hello(self, *, reads_first: bool = False, secure: bool = False) -> list[Greeting]:
        """Return who the nodes are, after a look at their data if the analysis expects any.

        Raises
        ------
        NodeFailedError
            A node's data is not what the analysis expects.
        """
        greetings = [
            _greeting(address, node, self._found(address), self.entry(address) if secure else None)
            for address, node in self.nodes.items()
        ]
        if any(greeting.findings is not None for greeting in greetings):
            show_table(greetings)
        if any(greeting.failure for greeting in greetings):
            raise refusal(greetings)
        self.take_part(greetings)
        return greetings

    def _found(self, address: int) -> tuple[Mismatch, ...] | None:
        """Return the findings that may leave a node; ``None`` if nothing is expected."""
        node = self.nodes[address]
        if not node.plan.expects:
            return None
        return tuple(findings_that_leave(node.study().rules, node.findings()))

    def entry(self, address: int) -> Entry:
        """Return a node's keys for secure sums, which it has from now on."""
        part = self._parts[address] = _part(self.session, self.nodes[address])
        return part.hello()

    def exchange(self, messages: Sequence[Message], what: str) -> Iterator[Message]:
        """Yield the nodes' replies; each node is called when its reply is asked for.

        Raises
        ------
        Exception
            What user code raises on a node.
        """
        if what != "evaluation":
            logger.info("--- %s ---", what[:1].upper() + what[1:])
        names = self.names()
        self.asked = {self.number(message): names[address_of(message)] for message in messages}
        self._last = None  # a strategy may send a record of its own again, with other arrays in it
        return map(self.answer, messages)

    def answer(self, message: Message) -> Message:
        """Call the node that a message goes to, and put what it returns into a reply."""
        address = address_of(message)
        node = self.nodes.get(address)
        if node is None:
            return Message(Error(1, f"no node {address}"), reply_to=message)
        kind, arrays, config = _read(message)
        aggregate = self._aggregate(arrays)
        number, is_first = int(config["round"]), "analyzers" in config
        asking = self._asking(address, kind, config, aggregate)
        if kind == MessageType.EVALUATE:
            return self._evaluation(node, number, aggregate, message, asking)
        if is_first:  # the reply to the first message says how much data there is
            node.weigh_data()
        started = perf_counter()
        with noting_node(node.identity.id, f"round {number}"):
            try:
                payload = node.round(number, aggregate)
                self._last = arrays, known_good(aggregate)  # this node has decoded it
                study = node.study()
                passed = self._gates[address].result(
                    payload, study, number, aggregate, node.metrics, sparse=asking is None
                )
                # Masked after the gate: rules and filters must see what the numbers are.
                if asking is not None:
                    masked = asking(look_into(passed.payload).value, node.study().sums)
                    return LocalReply(encode(np.frombuffer(masked, np.uint8)), {}, message)
            except Exception as error:
                self._note(error, number, node, "")
                raise
        said = {**node.metrics, **passed.said(), "seconds": perf_counter() - started}
        if is_first and (size := node.evidence.words(passed.people)):
            said["size"] = size
        return LocalReply(passed.payload, said, message)

    def sender(self, reply: Message) -> str:
        """Return the name of the node that a reply comes from."""
        if isinstance(reply, LocalReply) and isinstance(reply.reply_to, LocalRequest):
            return self.asked.get(reply.reply_to.message_id, "an unknown node")
        return super().sender(reply)

    def request(self, kind: str, address: int, *carried: Any, **about: Any) -> Message:
        """Return a message to a node, without records yet."""
        return LocalRequest(kind, address, *carried, **about)

    def _asking(
        self, address: int, kind: str, config: Any, aggregate: Payload
    ) -> Callable[..., bytes] | None:
        """Return what masks the answer to a question; ``None`` where answers are not masked."""
        part, node = self._parts.get(address), self.nodes[address]
        if part is None:
            if node.plan.secure:
                raise NodeFailedError(MUST_MASK)
            return None
        of: Kind = "train" if kind == MessageType.TRAIN else "evaluate"
        question = part.question(of, config, aggregate)
        return partial(part.answer, question)

    def _evaluation(
        self,
        node: LocalNode,
        number: int,
        aggregate: Payload,
        message: Message,
        asking: Callable[..., bytes] | None,
    ) -> Message:
        with noting_node(node.identity.id, "evaluation"):
            try:
                scores: Any = node.evaluate(aggregate, number)
                if asking is not None:
                    scores = {"sums": asking(scores)}
            except Exception as error:
                self._note(error, number, node, "evaluation: ")
                raise
        records: dict[str, Any] = {
            "evaluateres.metrics": ConfigRecord(dict(scores)),
            "evaluateres.loss": MetricRecord({"loss": 0.0}),
            "evaluateres.num_examples": MetricRecord({"num_examples": 1}),
        }
        return Message(RecordDict(records), reply_to=message)

    def _aggregate(self, arrays: Any) -> Payload:
        """Return what a message carries; messages of a round share it, so it is read once."""
        if self._last is None or arrays is not self._last[0]:
            self._last = arrays, from_record(arrays or {})
        return self._last[1]

    def _note(self, error: Exception, number: int, node: LocalNode, what: str) -> None:
        """Note in the record which node failed, and why."""
        # In a private run an error's text may hold exact figures.
        why = f"{what}{Failure.of(error, share=self._record.public.exact)}"
        self._record.failures.append({"round": number, "node": node.identity.id, "why": why})


def _part(session: str, node: LocalNode) -> SecurePart:
    """Return a node's part in secure sums, with an identity that is made up."""
    from flame_flwr.privacy.secure.context import IN_PROCESS
    from flame_flwr.privacy.secure.part import Rules, SecurePart
    from flame_flwr.privacy.secure.session import SecureSession

    kept = SecureSession(session, node.identity.id)
    return SecurePart(kept, session, IN_PROCESS, {}, Rules())


def _greeting(
    address: int, node: LocalNode, found: tuple[Mismatch, ...] | None, entry: Entry | None
) -> Greeting:
    """Return what a node says."""
    return Greeting(
        address,
        node.identity.id,
        bool(node.plan.evaluates),
        failure=failure_of(found or ()),
        findings=found,
        secure=entry,
    )


def _read(message: Message) -> tuple[str, Any, Any]:
    """Return a message's type, its arrays and its config."""
    if isinstance(message, LocalRequest) and not message.made:
        return message.kind, *message.unread  # type: ignore[misc]
    kind, content = message.metadata.message_type, message.content
    prefix = PREFIX.get(kind, "fitins")
    return kind, content.get(f"{prefix}.parameters"), content[f"{prefix}.config"]
