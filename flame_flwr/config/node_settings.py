"""The node config: the hospital's keys, each a field of ``NodeSettings``."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from flame_flwr.config.config_key import key, keys_of, read_config, read_once
from flame_flwr.errors import ConfigError
from flame_flwr.identity import AGGREGATOR_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.privacy import DisclosureRule, UpdateFilter

__all__ = ["NODE_KEYS", "NodeSettings"]

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
    hospital: str = _node_key(
        str,
        "",
        "the hospital's real name, which reports then show beside `name`; without it they show "
        "`name` alone",
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
        "run, by key and ETag; made for this user alone",
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
    freeze_days: float = _node_key(
        (int, float),
        365,
        "days after which frozen data is removed from `state-dir`; see `flame-flwr data freeze`",
        is_positive=True,
    )
    freeze_gb: float = _node_key(
        (int, float),
        10,
        "how much data all projects may have frozen together, in GB",
        is_positive=True,
    )
    audit_log: str = _node_key(
        str,
        "",
        "file, an absolute path, that gets a line for every answer that leaves this node; each "
        "line is chained to the one before it, see `flame-flwr node log --verify`",
        is_path=True,
    )
    audit_journal: bool = _node_key(
        bool,
        False,
        "whether systemd's journal gets every line of the audit log, too, where who changes the "
        "file cannot change it",
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
    answers_per_day: int = _node_key(
        int,
        0,
        "how many answers about one dataset leave in a day (UTC), for all projects together; 0 is "
        "no limit. A dataset's own entry in the registry goes first; see `flame-flwr node ledger`",
    )
    epsilon_total: float = _node_key(
        (int, float),
        0,
        "how much epsilon the noise of all answers about one dataset may come to, for all projects "
        "together; 0 is no limit, and answers without noise have none. A dataset's own entry in "
        "the registry goes first; see `flame-flwr node ledger`",
    )
    secure: str = _node_key(
        str,
        "",
        '"require" lets nothing leave this node but secure sums, and hello; see '
        "docs/secure-sums.md",
        choices=("", "require"),
    )
    secure_min_nodes: int = _node_key(
        int, 3, "secure sums with fewer nodes are refused; never fewer than 3", is_positive=True
    )
    secure_with: str = _node_key(
        str,
        "",
        "the names of all nodes, with commas between, with which alone this node takes part in "
        "secure sums; empty for any that `peers` names",
    )
    identity_key: str = _node_key(
        str,
        "",
        "the file of this hospital's identity, an absolute path, as `flame-flwr node identity` "
        "makes it: what secure sums are signed with",
        is_path=True,
    )
    peers: str = _node_key(
        str,
        "",
        "the file `peers.toml`, an absolute path, with the public keys of all hospitals; see "
        "`flame-flwr node peers`",
        is_path=True,
    )
    pickle: str = _node_key(
        str,
        "as-declared",
        '"never" lets no pickle come to this node or leave it; "as-declared" does for analyses '
        'that declare `payload="pickle"`: whoever sends a pickle runs code where it is loaded',
        choices=("as-declared", "never"),
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
        "whether it may leave the node how much data it has, such as `3 files, 1.2 MB; 143 "
        "people`, for the report (in a simulation it may)",
        unset=None,
    )
    memory_gb: float = _node_key(
        (int, float),
        0,
        "memory that the processes of one message may have together, in GB (with `flame-flwr "
        "node start`); 0 is four fifths of the machine's",
    )
    cpu_minutes: float = _node_key(
        (int, float),
        0,
        "processor time that one message may take, over all cores, in minutes (with `flame-flwr "
        "node start`); 0 is no limit but `message-timeout`",
    )
    message_timeout: float = _node_key(
        (int, float),
        86_400,
        "seconds after which the processes of a message that has no answer yet are ended (with "
        "`flame-flwr node start`); a day, as some analyses take hours",
        is_positive=True,
    )
    state_mb: float = _node_key(
        (int, float),
        1000,
        "what one analysis may keep in the node's memory from round to round, in MB (with "
        "`flame-flwr node start`); all together may four times as much, then the state of the one "
        "unused for longest is forgotten there, and is left in `state-dir`. As much may lie there "
        "of one analysis, and four times as much of what a project keeps",
        is_positive=True,
    )
    sandbox: str = _node_key(
        str,
        "auto",
        '"bwrap": messages run in bubblewrap\'s sandbox, or not at all; "auto": in it where the '
        "machine has it, as found when the node starts, else behind the kernel's Landlock where it "
        'has that; "off": in none (with `flame-flwr node start`)',
        choices=("auto", "bwrap", "off"),
    )
    approval: str = _node_key(
        str,
        "required",
        '"required" runs the apps that this hospital has approved, and keeps others for a look at '
        'them; "none" runs every app that the server sends. `flame-flwr node start` '
        "alone looks at it: a simulation, a run in this process and Flower's own SuperNode run "
        "every app",
        choices=("required", "none"),
    )
    partition_id: int | None = _node_key(int, 0, "set by Flower's simulation runtime", unset=None)
    num_partitions: int = _node_key(int, 0, "set by Flower's simulation runtime")

    @classmethod
    @read_once
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Check a node config as Flower gives it."""
        settings = cls(**read_config(config, NODE_KEYS, "the node config"))
        settings = replace(settings, name=settings.name.strip())
        if settings.name == AGGREGATOR_ID:
            raise ConfigError(f"`name` in the node config must not be `{AGGREGATOR_ID}`")
        if len(settings.hospital) > 200 or not settings.hospital.isprintable():
            raise ConfigError(
                "`hospital` in the node config must be one line, of up to 200 characters"
            )
        # 0 stands for no limit in these, so that `is_positive` will not do.
        for name in ("memory-gb", "cpu-minutes", "answers-per-day", "epsilon-total"):
            if not 0 <= getattr(settings, name.replace("-", "_")) < math.inf:
                raise ConfigError(
                    f"`{name}` in the node config must be 0 or a finite number above 0"
                )
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


NODE_KEYS = keys_of(NodeSettings)
"""The keys of the node config."""
