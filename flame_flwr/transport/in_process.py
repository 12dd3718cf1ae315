"""The in-process runtime: nodes are called one after another, without Flower's messages.

It is for writing, debugging and testing: a debugger works, an exception reaches the caller as
itself. Values pass through the payload codec, so nodes share no objects.
"""

from __future__ import annotations

from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from flame_flwr.data.source import SourceData, SplitData
from flame_flwr.errors import NodeFailedError
from flame_flwr.failure.where import where
from flame_flwr.log import logger
from flame_flwr.transport.exchange import counted
from flame_flwr.transport.interface import Reply
from flame_flwr.transport.participation import failure_of, show_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flame_flwr.clients.node import Node
    from flame_flwr.data.source import NodeData
    from flame_flwr.payload import Payload
    from flame_flwr.strategies import StarStrategy

__all__ = ["LocalTransport", "as_data"]


def as_data(split: Any) -> NodeData:
    """Return a split as a node's data: sources are read as on a deployment."""
    return split if isinstance(split, SourceData) else SplitData(split)


class LocalTransport:
    """Carries rounds to nodes that live in this process.

    Parameters
    ----------
    strategy : StarStrategy
        Collects the answers.
    nodes : sequence of Node
        In participant order.
    """

    def __init__(self, strategy: StarStrategy, nodes: Sequence[Node]) -> None:
        self._strategy = strategy
        self._nodes = nodes
        self.absent: dict[str, str] = {}

    def hello(self) -> tuple[tuple[str, ...], bool]:
        """Return the nodes' ids, and whether their analyzer evaluates, after a look at their data.

        Raises
        ------
        NodeFailedError
            A node's data is not what the analysis expects.
        """
        if self._nodes[0].plan.expects:
            self._look()
        return tuple(node.identity.id for node in self._nodes), self._nodes[0].plan.evaluates

    def train(self, number: int, aggregate: Payload | None) -> Payload:
        """Run one round on every node."""
        logger.info("--- Round %d ---", number)
        return self._strategy.collect(number, self._answers(number, aggregate))

    def evaluate(self, number: int, aggregate: Payload) -> None:
        """Evaluate on every node."""
        self._strategy.collect_evaluations(self._scores(number, aggregate))

    def _look(self) -> None:
        found = {node.identity.id: node.findings() for node in self._nodes}
        failures = {node: failure_of(said) for node, said in found.items()}
        show_table(
            (node, failures[node] is None, [finding.text for finding in said])
            for node, said in found.items()
        )
        lines = [f"  {node}: {why}" for node, why in failures.items() if why is not None]
        if lines:
            raise NodeFailedError(
                f"before round 1, {counted(len(lines))} cannot take part:\n" + "\n".join(lines)
            )

    def _answers(self, number: int, aggregate: Payload | None) -> Iterator[Reply]:
        for node in self._nodes:
            started = perf_counter()
            with where(node.identity.id, f"round {number}"), self._noted(number, node, ""):
                payload = node.round(number, aggregate)
            report = node.filters.report() if node.filters is not None else []
            rules = node.disclosure.names if node.disclosure is not None else []
            seconds = perf_counter() - started
            yield Reply(
                node.identity.id,
                payload,
                seconds=seconds,
                metrics=node.metrics,
                filters=report,
                size=node.size() if number == 1 else "",
                disclosure=rules,
            )

    def _scores(self, number: int, aggregate: Payload) -> Iterator[Reply]:
        for node in self._nodes:
            with where(node.identity.id, "evaluation"), self._noted(number, node, "evaluation"):
                scores = node.evaluate(aggregate, number)
            yield Reply(node.identity.id, metrics=scores)

    @contextmanager
    def _noted(self, number: int, node: Node, what: str) -> Iterator[None]:
        """Have the record say which node failed, and why."""
        try:
            yield
        except Exception as error:
            self._strategy.note_error(number, node.identity.id, what, error)
            raise
