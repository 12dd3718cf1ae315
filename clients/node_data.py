"""Where a node's data comes from: its config's `data` or `datasets`, else the simulation's `data`.

The analyst's run config names data in a simulation only: on a deployment the hospital decides.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.data import open_data
from flame_flwr.data.source import NODE_OPTION
from flame_flwr.errors import ConfigError, DataError
from flame_flwr.flower import runtime

if TYPE_CHECKING:
    from flwr.app import Context

    from flame_flwr.clients.node import Node, NodePlan
    from flame_flwr.config import NodeSettings, RunSettings
    from flame_flwr.data import NodeData
    from flame_flwr.data.cache import Cache
    from flame_flwr.data.registry import Dataset
    from flame_flwr.privacy import DisclosureRule

__all__ = ["load_once", "node_rules", "open_node_data"]

_LOADED: dict[tuple[int, int], Any] = {}
"""Data that this process has loaded, by run and node: of one run at a time."""


def open_node_data(
    plan: NodePlan, settings: NodeSettings, run: RunSettings, context: Context
) -> NodeData | None:
    """Return the source of a node's data; ``None`` for ``data_type='none'``.

    Raises
    ------
    ConfigError
        Neither `data` nor `datasets` in the node config, or an analyst's `data` on a deployment.
    DataError
        The node's registry has nothing for the analysis's tags and project.
    """
    if plan.data_type == "none":
        return None
    if run.data and runtime() == "deployment":
        raise ConfigError(
            "`data` in the run config is for simulations: on a deployment each hospital "
            "names its data in its own node config"
        )
    cache = _open_cache(settings)
    if settings.datasets:
        from flame_flwr.data.open_source import open_datasets

        return open_datasets(_datasets(plan, settings, run), context, cache)
    if run.tag_list() and runtime() == "deployment":
        raise DataError(
            "the analysis names tags, and this node has no registry: set `datasets` in its config"
        )
    locations = settings.data or run.data
    if not locations:
        raise ConfigError(
            "this node's config has neither `data` nor `datasets`: they name what it reads"
        )
    option = NODE_OPTION if settings.data else "`data` in the run config"
    return open_data(locations, context, cache, option=option)


def node_rules(
    plan: NodePlan, settings: NodeSettings, run: RunSettings
) -> tuple[DisclosureRule, ...]:
    """Return the disclosure rules of a node, and those of the datasets that it reads.

    Raises
    ------
    ConfigError
        What names them is no text of rules.
    """
    rules = settings.disclosure_rules()
    if not settings.datasets or plan.data_type == "none":
        return rules
    from flame_flwr.privacy.config_text import read_rules

    for dataset in _datasets(plan, settings, run):
        if dataset.disclosure:
            rules += read_rules(dataset.disclosure, "`disclosure` in this node's registry")
    return rules


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


def _datasets(plan: NodePlan, settings: NodeSettings, run: RunSettings) -> list[Dataset]:
    """Return what of the node's registry the analysis may use."""
    from flame_flwr.data.registry import choose, read_registry

    datasets = read_registry(Path(settings.datasets))
    return choose(datasets, plan.data_type, run.tag_list(), run.project_id)


def _open_cache(settings: NodeSettings) -> Cache | None:
    """Return the node's `cache-dir`, made; ``None`` without one."""
    if not settings.cache_dir:
        return None
    from flame_flwr.data.cache import Cache

    cache = Cache(Path(settings.cache_dir), settings.cache_gb * 1e9)
    cache.check()
    return cache
