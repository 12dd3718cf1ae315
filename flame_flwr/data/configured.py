"""What a node's config names as its data: `data` or `datasets`, else a simulation's `data`.

The analyst's run config names data in a simulation only: on a deployment the hospital decides.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.data.open_data import open_data
from flame_flwr.data.source import NODE_OPTION
from flame_flwr.errors import ConfigError, DataError
from flame_flwr.flower import runtime

if TYPE_CHECKING:
    from flwr.app import Context

    from flame_flwr.config import NodeSettings, RunSettings
    from flame_flwr.data.cache import Cache
    from flame_flwr.data.registry import Dataset
    from flame_flwr.data.source import SourceData

__all__ = ["chosen_datasets", "open_configured"]


def open_configured(
    kind: str, settings: NodeSettings, run: RunSettings, context: Context
) -> SourceData:
    """Return a node's data for analyses of a type, without reading any of it.

    Parameters
    ----------
    kind : {'s3', 'fhir'}
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
        from flame_flwr.data.open_data import open_datasets

        return open_datasets(chosen_datasets(kind, settings, run), context, cache)
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


def chosen_datasets(kind: str, settings: NodeSettings, run: RunSettings) -> list[Dataset]:
    """Return what of the node's registry an analysis may use.

    Raises
    ------
    ConfigError
        The registry cannot be read.
    DataError
        There is nothing of this type for the analysis's tags and project.
    """
    from flame_flwr.data.registry import choose, read_registry

    datasets = read_registry(Path(settings.datasets))
    return choose(datasets, kind, run.tag_list(), run.project_id)


def _open_cache(settings: NodeSettings) -> Cache | None:
    """Return the node's `cache-dir`, made; ``None`` without one."""
    if not settings.cache_dir:
        return None
    from flame_flwr.data.cache import Cache

    cache = Cache(Path(settings.cache_dir), settings.cache_gb * 1e9)
    cache.check()
    return cache
