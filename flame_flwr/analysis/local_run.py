"""The run of an analysis in this process: its nodes made, its strategy's rounds run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.clients.node import Node
from flame_flwr.config import RunSettings
from flame_flwr.data.kept_values import open_kept_values
from flame_flwr.errors import NotConvergedError
from flame_flwr.identity import Identity
from flame_flwr.processes.run_reminder import ran
from flame_flwr.transport.in_process import InProcess, as_data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.clients import StarClient
    from flame_flwr.clients.node import NodePlan
    from flame_flwr.results.run_record import RunRecord
    from flame_flwr.strategies import StarStrategy
    from flame_flwr.strategies.declaration import Declaration
    from flame_flwr.transport.process_grid import ProcessGrid

__all__ = ["run_declared", "run_local"]


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

    The nodes are called directly; only a client of a user's own gets Flower's client layer, over a
    Grid in this process.

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
        with _grid(plan, splits, settings, record, client) as grid:
            strategy.start(grid, settings=settings, record=record, simple_analysis=simple_analysis)
    except NotConvergedError:  # it names a key of a run config: here it is a parameter
        raise NotConvergedError.after(len(record.history), "max_rounds") from None


def run_declared(
    declaration: Declaration, splits: Sequence[Any], config: Mapping[str, Any], record: RunRecord
) -> None:
    """Run a declared analysis in this process; see :func:`run_local`.

    Parameters
    ----------
    declaration : Declaration
        What is run.
    splits, record
        As for :func:`run_local`.
    config : dict
        Keys of the run config: ``max-rounds``, ``state-dir``.
    """
    run_local(
        declaration.strategy(),
        declaration.plan,
        splits,
        RunSettings.from_config(config),
        record,
        declaration.simple_analysis,
        declaration.client,
    )


def _grid(
    plan: NodePlan,
    splits: Sequence[Any],
    settings: RunSettings,
    record: RunRecord,
    client: type[StarClient] | None,
) -> ProcessGrid:
    """Return the nodes of this process, behind clients where there are any of a user's own."""
    if client is None:
        return InProcess(_nodes(plan, splits, settings), record)
    from flame_flwr.clients.local_grid import LocalGrid

    config = {
        "analysis-id": settings.analysis_id,
        "project-id": settings.project_id,
        "state-dir": settings.state_dir,
    }
    return LocalGrid(plan, splits, client, config)


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
