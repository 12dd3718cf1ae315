"""Asking nodes that live in this process, one after another, without Flower's runtimes.

It is for writing, debugging and testing: a debugger works, an exception reaches the caller as
itself. Values pass through the payload codec, so nodes share no objects.
"""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from flwr.app import (
    ConfigRecord,
    Error,
    Message,
    MessageType,
    MetricRecord,
    RecordDict,
)

from flame_flwr.data.source import SourceData, SplitData
from flame_flwr.failure.failure import Failure
from flame_flwr.failure.where import where
from flame_flwr.log import logger
from flame_flwr.payload import from_record
from flame_flwr.transport.greeting import Greeting
from flame_flwr.transport.interface import Transport
from flame_flwr.transport.local_reply import LocalReply
from flame_flwr.transport.participation import failure_of, refusal, show_table
from flame_flwr.transport.process_grid import ProcessGrid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flwr.serverapp import Grid

    from flame_flwr.data.expect import Mismatch
    from flame_flwr.data.source import NodeData
    from flame_flwr.identity import Identity
    from flame_flwr.payload import Payload
    from flame_flwr.privacy import Disclosure
    from flame_flwr.privacy.filter_chain import FilterChain
    from flame_flwr.results.record import RunRecord

__all__ = ["InProcess", "LocalNode", "as_data"]


class LocalNode(Protocol):
    """What is asked of a node; :class:`flame_flwr.clients.node.Node` has it."""

    identity: Identity
    plan: Any
    metrics: dict[str, float]
    filters: FilterChain | None
    disclosure: Disclosure | None

    def round(self, number: int, aggregate: Payload | None) -> Payload:
        """Analyze its data once."""

    def evaluate(self, aggregate: Payload, rounds: int) -> dict[str, float]:
        """Score the last aggregate."""

    def findings(self) -> list[Mismatch]:
        """Return what is not as expected of its data."""

    def size(self) -> str:
        """Return how much data it has."""


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
        self._last: tuple[Any, Payload] | None = None

    @property
    def grid(self) -> Grid:
        """The Grid that this is itself."""
        return self

    def hello(self, *, reads_first: bool = False) -> list[Greeting]:
        """Return who the nodes are, after a look at their data where the analysis expects some.

        Raises
        ------
        NodeFailedError
            A node's data is not what the analysis expects.
        """
        greetings = [_greeting(address, node) for address, node in self.nodes.items()]
        if any(greeting.findings is not None for greeting in greetings):
            show_table(greetings)
        if any(greeting.failure for greeting in greetings):
            raise refusal(greetings)
        self.take_part(greetings)
        return greetings

    def exchange(self, messages: Sequence[Message], what: str) -> Iterator[Message]:
        """Yield the nodes' replies; each node is called when its reply is asked for.

        Raises
        ------
        Exception
            What user code raises on a node.
        """
        if what != "evaluation":
            logger.info("--- %s ---", what.capitalize())
        names = self.names()
        self.asked = {
            self.number(message): names[message.metadata.dst_node_id] for message in messages
        }
        self._last = None
        return map(self.answer, messages)

    def answer(self, message: Message) -> Message:
        """Call the node that a message goes to, and put what it returns into a reply."""
        node = self.nodes.get(message.metadata.dst_node_id)
        if node is None:
            return Message(Error(1, f"no node {message.metadata.dst_node_id}"), reply_to=message)
        if message.metadata.message_type == MessageType.EVALUATE:
            return self._evaluation(node, message)
        config = message.content["fitins.config"]
        number = _round(config)
        aggregate = self._aggregate(message.content.get("fitins.parameters"))
        started = perf_counter()
        with where(node.identity.id, f"round {number}"), self._noted(number, node, ""):
            payload = node.round(number, aggregate)
        said = {**node.metrics, **_treatment(node), "seconds": perf_counter() - started}
        if "analyzers" in config and (size := node.size()):
            said["size"] = size
        return LocalReply(payload, said, message)

    def _evaluation(self, node: LocalNode, message: Message) -> Message:
        number = _round(message.content["evaluateins.config"])
        aggregate = self._aggregate(message.content["evaluateins.parameters"])
        with where(node.identity.id, "evaluation"), self._noted(number, node, "evaluation"):
            scores = node.evaluate(aggregate, number)
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

    @contextmanager
    def _noted(self, number: int, node: LocalNode, what: str) -> Iterator[None]:
        """Have the record say which node failed, and why."""
        try:
            yield
        except Exception as error:
            # In a private run an error's text may hold exact figures.
            failure = Failure.of(error, share=self._record.public.exact)
            why = f"{what}: {failure}" if what else str(failure)
            self._record.failures.append({"round": number, "node": node.identity.id, "why": why})
            raise


def _greeting(address: int, node: LocalNode) -> Greeting:
    """Return what a node says; its data is read where the analysis expects something of it."""
    found = tuple(node.findings()) if node.plan.expects else None
    return Greeting(
        address,
        node.identity.id,
        bool(node.plan.evaluates),
        failure=failure_of(found or ()),
        findings=found,
    )


def _round(config: Any) -> int:
    """Return the number of the round that a message asks for."""
    return int(config["round"])


def _treatment(node: LocalNode) -> dict[str, str]:
    """Return what was done to a node's last result before it left."""
    said = {}
    if node.filters is not None:
        said["filters"] = json.dumps(node.filters.report())
    if node.disclosure is not None:
        said["disclosure"] = json.dumps(node.disclosure.names)
    return said
