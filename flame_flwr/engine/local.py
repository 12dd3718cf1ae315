"""The in-process runtime: nodes are called one after another, without Flower's messages.

It is for writing, debugging and testing: a debugger works, an exception reaches the caller as
itself. Values pass through the payload codec, so nodes share no objects.
"""

from __future__ import annotations

from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from flame_flwr.clients.node import Node
from flame_flwr.data.local_store import open_store
from flame_flwr.data.source import SourceData, SplitData
from flame_flwr.engine.exchange import counted
from flame_flwr.engine.failure import Place, add_hint, place_of
from flame_flwr.engine.link import Reply
from flame_flwr.engine.participation import failure_of, show_table
from flame_flwr.errors import NodeFailedError, NotConvergedError
from flame_flwr.identity import Identity
from flame_flwr.log import logger
from flame_flwr.unrun import ran

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flame_flwr.clients import StarClient
    from flame_flwr.clients.node import NodePlan
    from flame_flwr.config import RunSettings
    from flame_flwr.data.source import NodeData
    from flame_flwr.payload import Payload
    from flame_flwr.results.record import RunRecord
    from flame_flwr.strategies import StarStrategy

__all__ = ["LocalLink", "as_data", "run_local", "speaks_messages", "where"]

_MESSAGE_METHODS = (
    "configure_train",
    "aggregate_train",
    "configure_evaluate",
    "aggregate_evaluate",
    "start",
)


def run_local(
    strategy: StarStrategy,
    plan: NodePlan,
    splits: Sequence[Any],
    settings: RunSettings,
    record: RunRecord,
    simple_analysis: bool,
    client: type[StarClient] | None = None,
) -> None:
    """Run an analysis in this process, with one node per split, ``node-0``, ``node-1``, ....

    A strategy that overrides Flower's Message methods, and a client of a user's own, get real
    messages, over a Grid in this process; every other run is spared them.

    Parameters
    ----------
    strategy : StarStrategy
        For this run only.
    plan : NodePlan
        The model's part for nodes.
    splits : sequence
        Each node's data: any object, handed over as it is, or a :class:`SourceData` to read.
    settings : RunSettings
        Its ids, ``max-rounds``, and ``state-dir``: without one, what nodes keep ends with this
        process.
    record : RunRecord
        Filled as the run goes on.
    simple_analysis : bool
        One round and no more, where the strategy itself does not say.
    client : type of StarClient, optional
        A user's own.

    Raises
    ------
    ModelError
        Filters with noise, and no dp-accounting for their budget.
    """
    ran()
    if plan.filters:
        from flame_flwr.privacy.budget import can_account

        can_account(plan.filters)
    try:
        if client is not None or speaks_messages(strategy):
            _run_messages(strategy, plan, splits, settings, record, simple_analysis, client)
            return
        link = LocalLink(strategy, _nodes(plan, splits, settings))
        strategy.run(link, settings, record, simple_analysis=simple_analysis)
    except NotConvergedError:
        raise NotConvergedError.after(len(record.history), "max_rounds") from None


def _run_messages(
    strategy: StarStrategy,
    plan: NodePlan,
    splits: Sequence[Any],
    settings: RunSettings,
    record: RunRecord,
    simple_analysis: bool,
    client: type[StarClient] | None,
) -> None:
    from flame_flwr.clients import StarClient
    from flame_flwr.engine.local_grid import LocalGrid

    config = {
        "analysis-id": settings.analysis_id,
        "project-id": settings.project_id,
        "state-dir": settings.state_dir,
    }
    with LocalGrid(plan, splits, client or StarClient, config) as grid:
        strategy.start(grid, settings=settings, record=record, simple_analysis=simple_analysis)


def _nodes(plan: NodePlan, splits: Sequence[Any], settings: RunSettings) -> list[Node]:
    ids = tuple(f"node-{i}" for i in range(len(splits)))
    project, state_dir = settings.project_id, settings.state_dir
    nodes = []
    for name, split in zip(ids, splits, strict=True):
        store = open_store(state_dir, project, name, where="the run config") if state_dir else None
        identity = Identity(name, ids, settings.analysis_id, project)
        nodes.append(Node(plan, identity, as_data(split), store))
    return nodes


def speaks_messages(strategy: StarStrategy) -> bool:
    """Tell whether a strategy overrides Flower's Message methods, and so needs real messages."""
    from flame_flwr.strategies import StarStrategy

    own = type(strategy)
    return any(getattr(own, m) is not getattr(StarStrategy, m) for m in _MESSAGE_METHODS)


def as_data(split: Any) -> NodeData:
    """Return a split as a node's data: sources are read as on a deployment."""
    return split if isinstance(split, SourceData) else SplitData(split)


class LocalLink:
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


@contextmanager
def where(node: str, what: str) -> Iterator[None]:
    """Say on which node and in which round an exception of user code came up.

    Raises
    ------
    NodeFailedError
        In place of ``sys.exit``, which would end the program with a code of its own.
    """
    try:
        yield
    except SystemExit as error:
        place = place_of(error.__traceback__)
        raise NodeFailedError(
            f"{node}, {what}: user code called sys.exit at {place}; "
            "return a value or raise an error instead"
        ) from error
    except (Exception, KeyboardInterrupt) as error:
        add_hint(error, Place(f"in {node}, {what}"))
        raise
