"""A node's data as its client opens it, and loads it once; and the rules that come with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.data import served_data
from flame_flwr.data.configured import open_configured

if TYPE_CHECKING:
    from flwr.app import Context

    from flame_flwr.clients.node import Node, NodePlan
    from flame_flwr.config import NodeSettings, RunSettings
    from flame_flwr.data import NodeData
    from flame_flwr.data.registry import Dataset
    from flame_flwr.privacy import DisclosureRule

__all__ = [
    "check_rules",
    "datasets_of",
    "load_once",
    "node_rules",
    "node_subject",
    "open_node_data",
    "registered",
]

_LOADED: dict[tuple[int, int], Any] = {}
"""Data that this process has loaded, by run and node: of one run at a time."""


def open_node_data(
    plan: NodePlan, settings: NodeSettings, run: RunSettings, context: Context
) -> NodeData | None:
    """Return the source of a node's data; ``None`` for ``data_type='none'``.

    In a process of ``flame-flwr node start``, the node itself reads what is on the network.

    Raises
    ------
    ConfigError
        Neither `data` nor `datasets` in the node config, or an analyst's `data` on a deployment.
    DataError
        The node's registry has nothing for the analysis's tags and project.
    """
    if plan.data_type == "none":
        return None
    if served_data.is_served():
        return served_data.open_served(plan.data_type, context)
    return open_configured(plan.data_type, settings, run, context)


def node_rules(settings: NodeSettings, run: RunSettings) -> tuple[DisclosureRule, ...]:
    """Return the disclosure rules of a node, and those of the datasets that a run may read.

    They are of every dataset with the run's tags that is open to its project, whatever type of data
    the analysis says that it reads: an analysis does not choose the rules that hold for it.

    Raises
    ------
    ConfigError
        What names them is no text of rules.
    """
    rules = settings.disclosure_rules()
    for dataset in datasets_of(settings, run):
        rules += _rules_of(dataset)
    return rules


def node_subject(settings: NodeSettings, run: RunSettings) -> str:
    """Return the column that says whom a row is about, as the node's registry has it, or ''."""
    # Of several datasets the first that names one: an analysis counts people by one column.
    said = (dataset.subject for dataset in datasets_of(settings, run))
    return next(filter(None, said), "")


def datasets_of(settings: NodeSettings, run: RunSettings) -> list[Dataset]:
    """Return the datasets with a run's tags that are open to its project, of whatever type.

    Raises
    ------
    ConfigError
        The registry cannot be read.
    """
    tags = set(run.tag_list())
    return [
        each
        for each in registered(settings)
        if tags <= set(each.tags) and each.allows(run.project_id)
    ]


def check_rules(settings: NodeSettings) -> None:
    """See that every rule and filter of a node can be read, those of its registry too.

    Raises
    ------
    ConfigError
        One cannot, or the registry.
    """
    settings.disclosure_rules()
    settings.update_filters()
    for dataset in registered(settings):
        _rules_of(dataset)


def registered(settings: NodeSettings) -> list[Dataset]:
    """Return what is in a node's registry, where it has one.

    Raises
    ------
    ConfigError
        It cannot be read.
    """
    if not settings.datasets:
        return []
    from flame_flwr.data.registry import read_registry

    return read_registry(Path(settings.datasets))


def _rules_of(dataset: Dataset) -> tuple[DisclosureRule, ...]:
    if not dataset.disclosure:
        return ()
    from flame_flwr.privacy.config_text import read_rules

    return read_rules(dataset.disclosure, "`disclosure` in this node's registry")


def load_once(node: Node, context: Context) -> Any:
    """Return a node's data, loaded by the first message of the run in this process."""
    key = (context.run_id, context.node_id)
    if key not in _LOADED:
        for other in [other for other in _LOADED if other[0] != key[0]]:
            del _LOADED[other]  # a worker of a simulation lives on when its run has ended
        _LOADED[key] = node.data()
    data = _LOADED[key]
    if isinstance(data, list) and all(isinstance(files, dict) for files in data):
        # New containers around the same files: what a round drops, the next one has again.
        return [dict(files) for files in data]
    return data
