"""``node.toml``, what a hospital's node reads, keeps and lets leave, as it is provisioned."""

from __future__ import annotations

import json
import subprocess
import textwrap
from typing import TYPE_CHECKING, Any

from flame_flwr.config import NODE_KEYS
from flame_flwr.deploy.text_templates import text_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.deploy.federation import Hospital, Server

__all__ = ["default_config", "node_toml"]

_RULES = "MinCount(5), MaxBins(50), MaxRows(200)"
"""The disclosure rules of a hospital that names none: what leaves by accident is mostly small
groups, statistics as long as the data, and the data."""

_EXPLAINED = {
    "approval": "approval.txt",
    "disclosure": "disclosure.txt",
    "pickle": "pickle.txt",
    "sandbox": "sandbox.txt",
}
"""Files with what `node.toml` says of a key beside its meaning: what happens without it."""

_COMMENT: dict[str, Any] = {
    "width": 80,
    "initial_indent": "# ",
    "subsequent_indent": "# ",
    "break_long_words": False,
    "break_on_hyphens": False,
}


def default_config(home: str, server: Server) -> dict[str, Any]:
    """Return the node config of a hospital whose entry says nothing.

    Parameters
    ----------
    home : str
        Where the node keeps what it writes.
    server : Server
        One that only its own host can reach is a trial on one machine: apps need no approval
        there, and the sandbox is as found on this host.
    """
    has_sandbox = not server.is_local or _can_sandbox()
    config = {
        "data": "",
        "state-dir": f"{home}/state",
        "audit-log": f"{home}/audit.jsonl",
        "approval": "none" if server.is_local else "required",
        "disclosure": _RULES,
        "pickle": "never",
        "sandbox": "bwrap" if has_sandbox else "off",
        "identity-key": f"{home}/identity.key",
        "peers": f"{home}/peers.toml",
    }
    return {key: value for key, value in config.items() if key in NODE_KEYS}


def node_toml(hospital: Hospital) -> str:
    """Return the file that ``flame-flwr node start --node-config`` reads."""
    lines = [
        "# What this node reads, keeps and lets leave. It is the hospital's to change;",
        "# restart the node afterwards.",
    ]
    config: Mapping[str, Any] = {"name": hospital.name, **hospital.node_config}
    for key, value in config.items():
        more = [text_file(_EXPLAINED[key]).rstrip()] if key in _EXPLAINED else []
        doc = f"{NODE_KEYS[key].doc}{'.' if more else ''}"  # sentences follow it
        about = textwrap.fill(doc, **_COMMENT)
        lines += ["", about, *more, f"{key} = {_toml(value)}"]
    return "\n".join(lines) + "\n"


def _can_sandbox() -> bool:
    """Tell whether bubblewrap is installed on this host, and may open namespaces."""
    command = ["bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "true"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=10)  # noqa: S603  (no input)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _toml(value: object) -> str:
    """Write a text, number or boolean as TOML; texts here have no control characters."""
    return json.dumps(value, ensure_ascii=False)
