"""The run of an analysis in this process: its nodes made, its strategy's rounds run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.clients.node import Node
from flame_flwr.data.kept_values import open_kept_values
from flame_flwr.errors import NotConvergedError
from flame_flwr.identity import Identity
from flame_flwr.run_reminder import ran
from flame_flwr.transport.in_process import LocalTransport, as_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.clients import StarClient
    from flame_flwr.clients.node import NodePlan
    from flame_flwr.config import RunSettings
    from flame_flwr.results.record import RunRecord
    from flame_flwr.strategies import StarStrategy

__all__ = ["run_local", "speaks_messages"]

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
        link = LocalTransport(strategy, _nodes(plan, splits, settings))
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
    from flame_flwr.clients.local_grid import LocalGrid

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
        store = (
            open_kept_values(state_dir, project, name, where="the run config")
            if state_dir
            else None
        )
        identity = Identity(name, ids, settings.analysis_id, project)
        nodes.append(Node(plan, identity, as_data(split), store))
    return nodes


def speaks_messages(strategy: StarStrategy) -> bool:
    """Tell whether a strategy overrides Flower's Message methods, and so needs real messages."""
    from flame_flwr.strategies import StarStrategy

    own = type(strategy)
    return any(getattr(own, m) is not getattr(StarStrategy, m) for m in _MESSAGE_METHODS)
