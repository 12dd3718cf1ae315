"""Every configuration key, in one table, and the checks of their values.

The run config is the analyst's (``[tool.flwr.app.config]`` and ``--run-config``); the node
config is the hospital's (``flower-supernode --node-config``). A key that is not here is refused,
unless it stands in a table of the app's own (``[tool.flwr.app.config.mine]``, read as
``mine.key``), which the framework leaves alone. Where a name or an id is expected,
a whole number is the text of its digits.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ConfigError
from flame_flwr.identity import AGGREGATOR_ID
from flame_flwr.object_store import check_url, is_url

if TYPE_CHECKING:
    from flame_flwr.privacy import DisclosureRule, UpdateFilter

__all__ = [
    "NODE_KEYS",
    "RUN_KEYS",
    "ConfigKey",
    "NodeSettings",
    "RunSettings",
    "check_extra",
    "check_max_rounds",
    "check_results",
]


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """One configuration key.

    Parameters
    ----------
    type : type or tuple of types
        What a value may be.
    default : Any
        The value where the key is not given.
    doc : str
        What it is for, one line: the README's table is made of these.
    """

    type: type | tuple[type, ...]
    default: Any
    doc: str


RUN_KEYS: dict[str, ConfigKey] = {
    "nodes": ConfigKey(
        (int, str),
        0,
        "how many nodes to wait for, or their names with commas between; "
        "a simulation knows it by itself",
    ),
    "min-nodes": ConfigKey(int, 2, 'with on-failure = "skip": go on with at least so many nodes'),
    "on-failure": ConfigKey(
        str,
        "abort",
        '"abort" ends the run when a node fails, "skip" goes on without it, "wait" waits until '
        "`round-timeout` for one whose process or SuperNode has died",
    ),
    "node-timeout": ConfigKey(
        (int, float),
        600.0,
        "seconds to wait for the expected nodes, and for their hello; where they look at their "
        "data first, `expects`, their hello has `round-timeout`",
    ),
    "round-timeout": ConfigKey((int, float), 3600.0, "seconds to wait for the answers of a round"),
    "max-rounds": ConfigKey(
        int, 1000, "the run fails when it has not converged after so many rounds"
    ),
    "results": ConfigKey(
        str,
        "",
        "where the results go: a folder on the server's host, an absolute path, or an object "
        "store, `s3://bucket/prefix`; `~/flame-results` where empty",
    ),
    "checkpoint": ConfigKey(
        str,
        "",
        "file that holds the analysis after every round, and is removed when it is complete: an "
        "absolute path on the server's host, or `s3://bucket/name`",
    ),
    "resume": ConfigKey(bool, False, "go on with the analysis in `checkpoint`"),
    "analysis-id": ConfigKey(str, "analysis", "what `flame.get_analysis_id()` returns"),
    "project-id": ConfigKey(str, "project", "what `flame.get_project_id()` returns"),
    "state-dir": ConfigKey(
        str,
        "",
        "folder, an absolute path, for what the aggregator keeps on the server's host with "
        "`save_intermediate_data`; in a simulation also for what the nodes keep",
    ),
    "data": ConfigKey(
        str,
        "",
        "simulation only: a node's data, `{partition-id}` filled in: an absolute path, "
        "`file:///path`, `s3://bucket/prefix`, `fhir+https://server/base` or "
        "`package.module:function`; several with `;` between",
    ),
    "report": ConfigKey(
        str,
        "auto",
        '"on" writes `report.html` beside the results, "off" does not, "auto" does where the '
        "`report` extra is installed",
    ),
    "tensorboard": ConfigKey(
        str,
        "auto",
        '"on" writes events for TensorBoard beside the results, "off" does not, "auto" does where '
        "the `tensorboard` extra is installed",
    ),
    "tags": ConfigKey(
        str,
        "",
        "which datasets of the nodes' registries are meant: tags that they all have, with commas "
        "between; a simulation has no registry and passes over them",
    ),
    "script": ConfigKey(
        str,
        "",
        "the script to run, relative to the app's folder, where the app's components are "
        "`flame_flwr.star.script:server_app` and `:client_app`",
    ),
    "strategy": ConfigKey(
        str,
        "",
        "a strategy of an installed package, in place of the model's own; see docs/plugins.md",
    ),
    "client": ConfigKey(
        str, "", "a client of a package that is installed on every node; see docs/plugins.md"
    ),
}

NODE_KEYS: dict[str, ConfigKey] = {
    "name": ConfigKey(str, "", "the node's id in the analysis; without it, Flower's node id"),
    "data": ConfigKey(str, "", "what this node reads; forms as in the run config's `data`"),
    "datasets": ConfigKey(
        str,
        "",
        "in place of `data`: the node's registry, a file `datasets.toml`, an absolute path",
    ),
    "cache-dir": ConfigKey(
        str,
        "",
        "folder, an absolute path, that keeps what was read from an object store for the next "
        "round, by key and ETag; made for this user alone",
    ),
    "cache-gb": ConfigKey((int, float), 10, "how large `cache-dir` may become, in GB"),
    "state-dir": ConfigKey(
        str,
        "",
        "folder, an absolute path, for what analyses keep on this node: with "
        "`save_intermediate_data`, and their analyzers, so that they outlive the SuperNode; made "
        "for this user alone; set `name` with it",
    ),
    "state-days": ConfigKey(
        (int, float),
        30,
        "days after which the state of an analysis that nobody went on with is removed",
    ),
    "audit-log": ConfigKey(
        str,
        "",
        "file, an absolute path, that gets a line for every answer that leaves this node",
    ),
    "disclosure": ConfigKey(
        str,
        "",
        "rules on the statistics and tables that leave, such as `MinCount(5), MaxRows(200)`, or "
        "the absolute path of a file with them; see docs/disclosure.md",
    ),
    "filters": ConfigKey(
        str,
        "",
        "filters on results, after those of the analysis, such as `Clip(1.0), TopFraction(0.25)`; "
        "see docs/update-filters.md",
    ),
    "share-tracebacks": ConfigKey(
        bool, False, "whether the text of an error may leave the node (in a simulation it may)"
    ),
    "share-size": ConfigKey(
        bool,
        False,
        "whether it may leave the node how much data it has, such as `3 files, 1.2 MB`, for the "
        "report (in a simulation it may)",
    ),
    "partition-id": ConfigKey(int, 0, "set by Flower's simulation runtime"),
    "num-partitions": ConfigKey(int, 0, "set by Flower's simulation runtime"),
}


_MAYBE_DIGITS = {"analysis-id", "name", "project-id", "tags"}
"""Texts that may be digits alone: without quotes, Flower makes a number of project-id=2024."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The run config, checked. Attributes are :data:`RUN_KEYS`, with ``_`` for ``-``.

    Raises
    ------
    ConfigError
        From :meth:`from_config`, for an unknown key or a value that cannot be.
    """

    nodes: int | tuple[str, ...]
    min_nodes: int
    on_failure: str
    node_timeout: float
    round_timeout: float
    max_rounds: int
    results: str
    checkpoint: str
    resume: bool
    analysis_id: str
    project_id: str
    state_dir: str
    data: str
    report: str
    tensorboard: str
    tags: str
    script: str
    strategy: str
    client: str

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> RunSettings:
        """Check a run config as Flower gives it: flat, dots for tables."""
        values = _checked(config, RUN_KEYS, "the run config")
        if isinstance(values["nodes"], str):
            values["nodes"] = _names(values["nodes"])
        for key in ("min-nodes", "max-rounds", "node-timeout", "round-timeout"):
            if not 0 < values[key] < math.inf:
                raise ConfigError(
                    f"`{key}` in the run config must be a finite number above 0, not {values[key]}"
                )
        _check_path("state-dir", values["state-dir"], "the run config")
        check_results(values["results"])
        if not isinstance(values["nodes"], tuple) and values["nodes"] < 0:
            raise ConfigError(f"`nodes` in the run config must not be {values['nodes']}")
        if values["on-failure"] not in ("abort", "skip", "wait"):
            raise ConfigError(
                '`on-failure` in the run config is "abort", "skip" or "wait", not '
                f'"{values["on-failure"]}"'
            )
        for key in ("report", "tensorboard"):
            check_extra(values[key], f"`{key}` in the run config")
        if values["resume"] and not values["checkpoint"]:
            raise ConfigError(
                "`resume` in the run config needs `checkpoint`: the file to go on from"
            )
        return cls(**{key.replace("-", "_"): value for key, value in values.items()})

    def tag_list(self) -> list[str]:
        """Return the tags one by one."""
        return [tag.strip() for tag in self.tags.split(",") if tag.strip()]

    def with_round_timeout(self, seconds: float) -> RunSettings:
        """Return the same settings with another ``round-timeout``."""
        return replace(self, round_timeout=seconds)


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """The node config, checked. Attributes are :data:`NODE_KEYS`, with ``_`` for ``-``.

    ``share_tracebacks`` and ``share_size`` are ``None`` where the node does not say.
    """

    name: str
    data: str
    datasets: str
    cache_dir: str
    cache_gb: float
    state_dir: str
    state_days: float
    audit_log: str
    disclosure: str
    filters: str
    share_tracebacks: bool | None
    share_size: bool | None
    partition_id: int | None
    num_partitions: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> NodeSettings:
        """Check a node config as Flower gives it."""
        values = _checked(config, NODE_KEYS, "the node config")
        name = values["name"].strip()
        if name == AGGREGATOR_ID:
            raise ConfigError(f"`name` in the node config must not be `{AGGREGATOR_ID}`")
        for key in ("state-dir", "audit-log", "datasets", "cache-dir"):
            _check_path(key, values[key], "the node config")
        for key in ("state-days", "cache-gb"):
            if not 0 < values[key] < math.inf:
                raise ConfigError(f"`{key}` in the node config must be a finite number above 0")
        if values["data"] and values["datasets"]:
            raise ConfigError("the node config has `data` or `datasets`, not both")
        return cls(
            name=name,
            data=values["data"],
            datasets=values["datasets"],
            cache_dir=values["cache-dir"],
            cache_gb=values["cache-gb"],
            state_dir=values["state-dir"],
            state_days=values["state-days"],
            audit_log=values["audit-log"],
            disclosure=values["disclosure"],
            filters=values["filters"],
            share_tracebacks=config.get("share-tracebacks"),
            share_size=config.get("share-size"),
            partition_id=config.get("partition-id"),
            num_partitions=values["num-partitions"],
        )

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


def check_max_rounds(max_rounds: Any) -> None:
    """Check `max_rounds` as Python code names it, where no config does.

    Raises
    ------
    ConfigError
        It is no ``int`` above 0.
    """
    if isinstance(max_rounds, bool) or not isinstance(max_rounds, int):
        raise ConfigError(f"max_rounds must be int, not {type(max_rounds).__name__}")
    if max_rounds < 1:
        raise ConfigError(f"max_rounds must be at least 1, not {max_rounds}")


def check_extra(asked: Any, where: str) -> None:
    """Check what is said of a report or of events: ``"auto"``, ``"on"`` or ``"off"``.

    Raises
    ------
    ConfigError
        It is something else.
    """
    if asked not in ("auto", "on", "off"):
        raise ConfigError(f'{where} is "auto", "on" or "off", not {asked!r}')


def check_results(results: str) -> None:
    """Check `results` of the run config: an absolute path, an ``s3://`` URL, or empty.

    Raises
    ------
    ConfigError
        It is something else, or a URL with a password in it, which is then not in the message.
    """
    if is_url(results):
        check_url(results, "`results` in the run config")
    elif results and not os.path.isabs(os.path.expanduser(results)):
        raise ConfigError(
            f"`results` in the run config must be an absolute path or an s3:// URL, not {results}: "
            "Flower's processes have working directories of their own"
        )


def _checked(
    config: Mapping[str, Any], keys: Mapping[str, ConfigKey], where: str
) -> dict[str, Any]:
    for name, value in config.items():
        if "." in name:
            continue
        if name not in keys:
            near = difflib.get_close_matches(name, keys, n=1)
            mend = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(keys)}"
            raise ConfigError(f"unknown key `{name}` in {where}; {mend}")
        allowed = keys[name].type
        boolean = isinstance(value, bool) and allowed is not bool
        if name in _MAYBE_DIGITS and isinstance(value, int) and not boolean:
            continue
        if boolean or not isinstance(value, allowed):
            types = allowed if isinstance(allowed, tuple) else (allowed,)
            expected = " or ".join(kind.__name__ for kind in types)
            raise ConfigError(
                f"`{name}` in {where} must be {expected}, not {type(value).__name__}",
                detail=repr(value),
            )
    values = {name: config.get(name, key.default) for name, key in keys.items()}
    return {name: str(value) if name in _MAYBE_DIGITS else value for name, value in values.items()}


def _check_path(key: str, path: str, where: str) -> None:
    if path and not os.path.isabs(path):
        raise ConfigError(
            f"`{key}` in {where} must be an absolute path, because Flower's processes have "
            "working directories of their own",
            detail=path,
        )


def _names(text: str) -> tuple[str, ...] | int:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if len(names) == 1 and names[0].isdecimal():
        return int(names[0])
    if len(set(names)) < len(names):
        raise ConfigError("`nodes` in the run config names a node twice", detail=text)
    return names or 0
