"""The run config: the analyst's keys, each a field of ``RunSettings``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from flame_flwr.config.config_key import SWITCH, check_results, key, keys_of, read_config, read_once
from flame_flwr.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RUN_KEYS", "RunSettings"]

_ASKING = re.compile(r"approval of (?P<nodes>.+?)(?: within (?P<seconds>\d{1,8}) s)?")

_ANSWERS = 32
"""How many of the largest answers the values of a round may take together."""


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
        "a simulation knows it by itself. `approval of ` before it only asks the nodes whether "
        "they have approved the app, and runs nothing",
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
    max_answer_mb: float = key(
        (int, float),
        512.0,
        "megabytes that a node's answer to a round may have; larger ones are that node's failure",
        is_positive=True,
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
        "`package.module:function`; several with `;` between, and a vertical bar between what "
        "nodes have of their own, in order",
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
    freeze: str = key(
        str,
        "",
        "a name: what each node's source gives for the analysis is kept there under it, before "
        "round 1, and read in its place from then on, also by later runs of the project that name "
        "it; see docs/data.md",
        side="node",
        may_be_digits=True,
    )
    tags: str = key(
        str,
        "",
        "which datasets of the nodes' registries are meant: tags that they all have, with commas "
        "between; a simulation has no registry and passes over them",
        side="both",
        may_be_digits=True,
    )
    require_gate: bool = key(
        bool,
        False,
        "take only nodes that run `flame-flwr node start`, where rules, filters and audit log are "
        "out of the analysis's reach; a simulation has none, and passes over it",
    )
    secure: bool | None = key(
        bool,
        False,
        "whether what nodes return leaves them masked, so that the server learns the sums over all "
        "nodes alone; where it is not said, the analysis itself says so; see docs/secure-sums.md",
        side="both",
        unset=None,
    )
    script: str = key(
        str,
        "",
        "the script to run, relative to the app's folder, where the app's components are "
        "`flame_flwr.star.script:server_app` and `:client_app`",
        side="both",
    )
    script_arguments: str = key(
        str,
        "",
        "the script's own arguments, as at a terminal",
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

    approval_within: float | None = None
    """Where nodes are only asked for approval: the seconds that they have for it, from `nodes`."""

    @classmethod
    @read_once
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Check a run config as Flower gives it: flat, dots for tables."""
        settings = cls(**read_config(config, RUN_KEYS, "the run config"))
        check_results(settings.results)
        nodes = settings.nodes
        if isinstance(nodes, str):
            # In here, as Flower refuses keys that an app does not list, and apps list `nodes`.
            if asking := _ASKING.fullmatch(nodes.strip()):
                nodes = asking["nodes"]
                settings = replace(settings, approval_within=float(asking["seconds"] or 0))
            settings = replace(settings, nodes=_names(nodes))
        elif isinstance(nodes, int) and nodes < 0:
            raise ConfigError(f"`nodes` in the run config must not be {nodes}")
        if settings.resume and not settings.checkpoint:
            raise ConfigError(
                "`resume` in the run config needs `checkpoint`: the file to go on from"
            )
        return settings

    @property
    def max_answer_bytes(self) -> int:
        """``max-answer-mb`` in bytes."""
        return int(self.max_answer_mb * 2**20)

    @property
    def round_bytes(self) -> int:
        """What the values of a round may take in memory together, each node an equal part."""
        return _ANSWERS * self.max_answer_bytes

    def tag_list(self) -> list[str]:
        """Return the tags one by one."""
        return [tag.strip() for tag in self.tags.split(",") if tag.strip()]

    def with_round_timeout(self, seconds: float) -> RunSettings:
        """Return the same settings with another ``round-timeout``."""
        return replace(self, round_timeout=seconds)


RUN_KEYS = keys_of(RunSettings)
"""The keys of the run config."""


def _names(text: str) -> tuple[str, ...] | int:
    # A number alone is a count, also in quotes.
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if len(names) == 1 and names[0].isdecimal():
        return int(names[0])
    if len(set(names)) < len(names):
        raise ConfigError("`nodes` in the run config names a node twice", detail=text)
    return names or 0
