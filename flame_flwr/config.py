"""Every configuration key, declared once: a field of ``RunSettings`` or ``NodeSettings``.

The run config is the analyst's (``[tool.flwr.app.config]`` and ``--run-config``); the node
config is the hospital's (``flower-supernode --node-config``). A key that is not here is refused,
unless it stands in a table of the app's own (``[tool.flwr.app.config.mine]``, read as
``mine.key``), which the framework leaves alone. Where a name or an id is expected,
a whole number is the text of its digits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from flame_flwr.config_keys import (
    SWITCH,
    ConfigKey,
    Side,
    check_extra,
    check_max_rounds,
    check_results,
    key,
    keys_of,
    read_config,
)
from flame_flwr.errors import ConfigError
from flame_flwr.identity import AGGREGATOR_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.privacy import DisclosureRule, UpdateFilter

__all__ = [
    "NODE_KEYS",
    "RUN_KEYS",
    "ConfigKey",
    "NodeSettings",
    "RunSettings",
    "Side",
    "check_extra",
    "check_max_rounds",
    "check_results",
]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The run config, checked. Attributes are :data:`RUN_KEYS`, with ``_`` for ``-``.

    Raises
    ------
    ConfigError
        From :meth:`from_config`, for an unknown key or a value that cannot be.

    Examples
    --------
    >>> RunSettings.from_config({"nodes": "a, b", "max-rounds": 5}).nodes
    ('a', 'b')
    """

    nodes: int | tuple[str, ...] = key(
        (int, str),
        0,
        "how many nodes to wait for, or their names with commas between; "
        "a simulation knows it by itself",
    )
    min_nodes: int = key(
        int, 2, 'with on-failure = "skip": go on with at least so many nodes', is_positive=True
    )
    on_failure: str = key(
        str,
        "abort",
        '"abort" ends the run when a node fails, "skip" goes on without it, "wait" waits until '
        "`round-timeout` for one whose process or SuperNode has died",
        choices=("abort", "skip", "wait"),
    )
    node_timeout: float = key(
        (int, float),
        600.0,
        "seconds to wait for the expected nodes, and for their hello; where they look at their "
        "data first, `expects`, their hello has `round-timeout`",
        is_positive=True,
    )
    round_timeout: float = key(
        (int, float), 3600.0, "seconds to wait for the answers of a round", is_positive=True
    )
    max_rounds: int = key(
        int,
        1000,
        "the run fails when it has not converged after so many rounds",
        is_positive=True,
    )
    results: str = key(
        str,
        "",
        "where the results go: a folder on the server's host, an absolute path, or an object "
        "store, `s3://bucket/prefix`; `~/flame-results` where empty",
    )
    checkpoint: str = key(
        str,
        "",
        "file that holds the analysis after every round, and is removed when it is complete: an "
        "absolute path on the server's host, or `s3://bucket/name`",
    )
    resume: bool = key(bool, False, "go on with the analysis in `checkpoint`")
    analysis_id: str = key(
        str, "analysis", "what `flame.get_analysis_id()` returns", side="both", may_be_digits=True
    )
    project_id: str = key(
        str, "project", "what `flame.get_project_id()` returns", side="both", may_be_digits=True
    )
    state_dir: str = key(
        str,
        "",
        "folder, an absolute path, for what the aggregator keeps on the server's host with "
        "`save_intermediate_data`; in a simulation also for what the nodes keep",
        side="both",
        is_path=True,
    )
    data: str = key(
        str,
        "",
        "simulation only: a node's data, `{partition-id}` filled in: an absolute path, "
        "`file:///path`, `s3://bucket/prefix`, `fhir+https://server/base` or "
        "`package.module:function`; several with `;` between",
        side="node",
    )
    report: str = key(
        str,
        "auto",
        '"on" writes `report.html` beside the results, "off" does not, "auto" does where the '
        "`report` extra is installed",
        choices=SWITCH,
    )
    tensorboard: str = key(
        str,
        "auto",
        '"on" writes events for TensorBoard beside the results, "off" does not, "auto" does where '
        "the `tensorboard` extra is installed",
        choices=SWITCH,
    )
    tags: str = key(
        str,
        "",
        "which datasets of the nodes' registries are meant: tags that they all have, with commas "
        "between; a simulation has no registry and passes over them",
        side="both",
        may_be_digits=True,
    )
    script: str = key(
        str,
        "",
        "the script to run, relative to the app's folder, where the app's components are "
        "`flame_flwr.star.script:server_app` and `:client_app`",
        side="both",
    )
    strategy: str = key(
        str,
        "",
        "a strategy of an installed package, in place of the model's own; see docs/plugins.md",
    )
    client: str = key(
        str,
        "",
        "a client of a package that is installed on every node; see docs/plugins.md",
        side="node",
    )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Check a run config as Flower gives it: flat, dots for tables."""
        settings = cls(**read_config(config, RUN_KEYS, "the run config"))
        check_results(settings.results)
        nodes = settings.nodes
        if isinstance(nodes, str):
            settings = replace(settings, nodes=_names(nodes))
        elif isinstance(nodes, int) and nodes < 0:
            raise ConfigError(f"`nodes` in the run config must not be {nodes}")
        if settings.resume and not settings.checkpoint:
            raise ConfigError(
                "`resume` in the run config needs `checkpoint`: the file to go on from"
            )
        return settings

    def tag_list(self) -> list[str]:
        """Return the tags one by one."""
        return [tag.strip() for tag in self.tags.split(",") if tag.strip()]

    def with_round_timeout(self, seconds: float) -> RunSettings:
        """Return the same settings with another ``round-timeout``."""
        return replace(self, round_timeout=seconds)


_node_key = partial(key, side="node")


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """The node config, checked. Attributes are :data:`NODE_KEYS`, with ``_`` for ``-``.

    ``share_tracebacks`` and ``share_size`` are ``None`` where the node does not say.

    Examples
    --------
    >>> NodeSettings.from_config({"name": " hospital-a "}).name
    'hospital-a'
    """

    name: str = _node_key(
        str,
        "",
        "the node's id in the analysis; without it, Flower's node id",
        may_be_digits=True,
    )
    data: str = _node_key(str, "", "what this node reads; forms as in the run config's `data`")
    datasets: str = _node_key(
        str,
        "",
        "in place of `data`: the node's registry, a file `datasets.toml`, an absolute path",
        is_path=True,
    )
    cache_dir: str = _node_key(
        str,
        "",
        "folder, an absolute path, that keeps what was read from an object store for the next "
        "round, by key and ETag; made for this user alone",
        is_path=True,
    )
    cache_gb: float = _node_key(
        (int, float), 10, "how large `cache-dir` may become, in GB", is_positive=True
    )
    state_dir: str = _node_key(
        str,
        "",
        "folder, an absolute path, for what analyses keep on this node: with "
        "`save_intermediate_data`, and their analyzers, so that they outlive the SuperNode; made "
        "for this user alone; set `name` with it",
        is_path=True,
    )
    state_days: float = _node_key(
        (int, float),
        30,
        "days after which the state of an analysis that nobody went on with is removed",
        is_positive=True,
    )
    audit_log: str = _node_key(
        str,
        "",
        "file, an absolute path, that gets a line for every answer that leaves this node",
        is_path=True,
    )
    disclosure: str = _node_key(
        str,
        "",
        "rules on the statistics and tables that leave, such as `MinCount(5), MaxRows(200)`, or "
        "the absolute path of a file with them; see docs/disclosure.md",
    )
    filters: str = _node_key(
        str,
        "",
        "filters on results, after those of the analysis, such as `Clip(1.0), TopFraction(0.25)`; "
        "see docs/update-filters.md",
    )
    share_tracebacks: bool | None = _node_key(
        bool,
        False,
        "whether the text of an error may leave the node (in a simulation it may)",
        unset=None,
    )
    share_size: bool | None = _node_key(
        bool,
        False,
        "whether it may leave the node how much data it has, such as `3 files, 1.2 MB`, for the "
        "report (in a simulation it may)",
        unset=None,
    )
    partition_id: int | None = _node_key(int, 0, "set by Flower's simulation runtime", unset=None)
    num_partitions: int = _node_key(int, 0, "set by Flower's simulation runtime")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Check a node config as Flower gives it."""
        settings = cls(**read_config(config, NODE_KEYS, "the node config"))
        settings = replace(settings, name=settings.name.strip())
        if settings.name == AGGREGATOR_ID:
            raise ConfigError(f"`name` in the node config must not be `{AGGREGATOR_ID}`")
        if settings.data and settings.datasets:
            raise ConfigError("the node config has `data` or `datasets`, not both")
        return settings

    def disclosure_rules(self) -> tuple[DisclosureRule, ...]:
        """Return the node's own disclosure rules.

        Raises
        ------
        ConfigError
            `disclosure` in the node config names none, or a file that cannot be read.
        """
        if not self.disclosure:
            return ()
        from flame_flwr.privacy.config_text import read_rules

        return read_rules(self.disclosure, "`disclosure` in the node config")

    def update_filters(self) -> tuple[UpdateFilter, ...]:
        """Return the node's own filters on results.

        Raises
        ------
        ConfigError
            `filters` in the node config names none.
        """
        if not self.filters.strip():
            return ()
        from flame_flwr.privacy.config_text import read_filters

        return read_filters(self.filters, "`filters` in the node config")


RUN_KEYS = keys_of(RunSettings)
"""The keys of the run config."""

NODE_KEYS = keys_of(NodeSettings)
"""The keys of the node config."""


def _names(text: str) -> tuple[str, ...] | int:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if len(names) == 1 and names[0].isdecimal():
        return int(names[0])
    if len(set(names)) < len(names):
        raise ConfigError("`nodes` in the run config names a node twice", detail=text)
    return names or 0
