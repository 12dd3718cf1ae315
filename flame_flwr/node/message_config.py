"""A node's config as the process of a message gets it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flame_flwr.clients.node_data import node_rules
from flame_flwr.config import NODE_KEYS, NodeSettings, RunSettings
from flame_flwr.data.credentials import refuse_in_url
from flame_flwr.errors import ConfigError
from flame_flwr.privacy.config_text import write_text
from flame_flwr.privacy.rules import NoisyMinMax

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["message_config"]

_NODES_OWN = {"audit-log", "audit-journal", "cache-dir", "datasets", "disclosure"}
_NODES_OWN |= {"answers-per-day", "epsilon-total", "identity-key", "peers"}
"""What the node alone reads and writes; where that is, an analysis need not know."""


def message_config(node_config: Mapping[str, Any], run_config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node config as the process of a message gets it.

    What stands in it by mistake goes no further: unknown keys, which are refused by their names,
    have no values, and there is no `data` with a password in it. The node itself opens its data,
    keeps its log and refuses what cannot be. Its rules, and those of the datasets for this run, are
    told without the secret of any: they act in the node.

    Examples
    --------
    >>> message_config({"name": "a", "secret": "x", "data": "s3://me:mine@study"}, {})
    {'name': 'a', 'secret': '', 'data': ''}
    >>> message_config({"disclosure": "NoisyMinMax(0.1, 0.2, secret='x'), MinCount(5)"}, {})
    {'disclosure': 'NoisyMinMax(low=0.1, high=0.2), MinCount()'}
    """
    shown: dict[str, Any] = {}
    for key, value in node_config.items():
        known = key in NODE_KEYS or "." in key  # of a table of the app's own
        if key not in _NODES_OWN:
            shown[key] = value if known and not _has_password(key, value) else ""
    if rules := _without_secrets(node_config, run_config):
        shown["disclosure"] = rules
    return shown


def _without_secrets(node_config: Mapping[str, Any], run_config: Mapping[str, Any]) -> str:
    """Return a node's rules as text, also where files have them; of wrong ones nothing."""
    try:
        settings, run = NodeSettings.from_config(node_config), RunSettings.from_config(run_config)
        rules = dict.fromkeys(node_rules(settings, run))
    except ConfigError:
        return ""  # what is wrong is the gate's to say
    return write_text(
        replace(rule, secret=None) if isinstance(rule, NoisyMinMax) else rule for rule in rules
    )


def _has_password(key: str, value: object) -> bool:
    if key != "data" or not isinstance(value, str):
        return False
    try:
        for location in value.split(";"):
            refuse_in_url(location.strip(), "`data`")
    except ConfigError:
        return True
    return False
