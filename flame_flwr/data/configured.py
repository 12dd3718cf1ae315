"""What a node's config names as its data: `data` or `datasets`, else a simulation's `data`.

The analyst's run config names data in a simulation only: on a deployment the hospital decides.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from flame_flwr.data.frozen_reads import frozen_reads
from flame_flwr.data.frozen_source import FrozenSource
from flame_flwr.data.frozen_store import FrozenStore
from flame_flwr.data.open_data import open_data, open_datasets
from flame_flwr.data.source import NODE_OPTION, SourceData
from flame_flwr.errors import ConfigError, DataError
from flame_flwr.flower import runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flwr.app import Context

    from flame_flwr.config import NodeSettings, RunSettings
    from flame_flwr.data.cache import Cache
    from flame_flwr.data.source import DataKind

__all__ = ["STUDY", "frozen_folder", "open_configured"]

STUDY = "study"
"""The name of what the registry has frozen for a project that names nothing itself."""


def open_configured(
    kind: str, settings: NodeSettings, run: RunSettings, context: Context
) -> SourceData:
    """Return a node's data for analyses of a type, without reading any of it.

    Parameters
    ----------
    kind : {'s3', 'fhir', 'sql'}
        The analysis's ``data_type``.
    settings : NodeSettings
        The node config.
    run : RunSettings
        The run config.
    context : Context
        Flower's, of this node and run.

    Raises
    ------
    ConfigError
        Neither `data` nor `datasets` in the node config, or an analyst's `data` on a deployment.
    DataError
        The node's registry has nothing for the analysis's tags and project.
    """
    if run.data and runtime() == "deployment":
        raise ConfigError(
            "`data` in the run config is for simulations: on a deployment each hospital "
            "names its data in its own node config"
        )
    cache = _open_cache(settings)
    if settings.datasets:
        from flame_flwr.data.registry import choose, read_registry

        registry = read_registry(Path(settings.datasets))
        datasets = choose(registry, kind, run.tag_list(), run.project_id)
        data = open_datasets(datasets, context, cache)
        kept = [
            _Kept(each.name, each.options.get("freeze") is True, each.subject) for each in datasets
        ]
        return _with_frozen(data, kind, kept, settings, run, context)
    if run.tag_list() and runtime() == "deployment":
        raise DataError(
            "the analysis names tags, and this node has no registry: set `datasets` in its config"
        )
    locations = settings.data or _of_this_node(run.data, context)
    if not locations:
        raise ConfigError(
            "this node's config has neither `data` nor `datasets`: they name what it reads"
        )
    option = NODE_OPTION if settings.data else "`data` in the run config"
    data = open_data(locations, context, cache, option=option)
    kept = [_Kept(f"data-{number}") for number in range(1, len(data.sources) + 1)]
    return _with_frozen(data, kind, kept, settings, run, context)


class _Kept(NamedTuple):
    """How a source is frozen: under which name, and whether for every study or when a run asks.

    `subject` is the column that says whom a row is about.
    """

    name: str
    always: bool = False
    subject: str = ""


def _with_frozen(
    data: SourceData,
    kind: str,
    kept: Sequence[_Kept],
    settings: NodeSettings,
    run: RunSettings,
    context: Context,
) -> SourceData:
    """Return data whose sources are frozen, where the run or the registry wants that."""
    if not run.freeze and not any(each.always for each in kept):
        return data
    folder = frozen_folder(settings, run)
    if not folder:
        raise ConfigError(
            "frozen data needs a folder: set `state-dir` in this node's config, to an absolute path"
        )
    store = FrozenStore.of(settings, folder)
    noted = frozen_reads(context)
    # the nodes of a simulation share a folder, and each has data of its own
    partition = context.node_config.get("partition-id", "")
    suffix = "" if settings.state_dir or partition == "" else f"-of-node-{partition}"
    return SourceData(
        [
            FrozenSource(
                source,
                cast("DataKind", kind),
                store,
                run.project_id,
                run.freeze or STUDY,
                each.name + suffix,
                noted,
                each.subject,
            )
            if run.freeze or each.always
            else source
            for source, each in zip(data.sources, kept, strict=True)
        ]
    )


def frozen_folder(settings: NodeSettings, run: RunSettings) -> str:
    """Return the ``state-dir`` for frozen data; that of the run in a simulation alone, or ''."""
    return settings.state_dir or ("" if runtime() == "deployment" else run.state_dir)


def _of_this_node(data: str, context: Context) -> str:
    """Return what the run config's `data` names for a simulated node.

    Raises
    ------
    ConfigError
        It names data for another number of nodes.
    """
    parts = data.split("|")
    if len(parts) == 1:
        return data
    config = context.node_config
    if len(parts) != config.get("num-partitions"):
        raise ConfigError(
            f"`data` in the run config is for {len(parts)} nodes, with `|` between, and the "
            f"simulation has {config.get('num-partitions')}"
        )
    return parts[int(config["partition-id"])]


def _open_cache(settings: NodeSettings) -> Cache | None:
    """Return the node's `cache-dir`, made; ``None`` without one."""
    if not settings.cache_dir:
        return None
    from flame_flwr.data.cache import Cache

    cache = Cache(Path(settings.cache_dir), settings.cache_gb * 1e9)
    cache.check()
    return cache
