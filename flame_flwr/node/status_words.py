"""What a node does, and what its gate lets through, in words."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flame_flwr.config import NODE_KEYS
from flame_flwr.data.local_paths import missing_paths
from flame_flwr.errors import ConfigError
from flame_flwr.privacy.config_text import read_filters, read_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flame_flwr.config import NodeSettings
    from flame_flwr.node.node_status import NodeStatus

__all__ = ["about_gate", "about_node", "troubles"]

_GATE: dict[str, Callable[[Any], str]] = {
    "approval": {
        "required": "only apps that this hospital has approved run",
        "none": "every app that the server sends runs",
    }.__getitem__,
    "sandbox": {
        "auto": "what this machine has; above is what was found at the start",
        "bwrap": "apps run in bubblewrap's sandbox",
        "off": "none: an app may do what the node's user may",
    }.__getitem__,
    "disclosure": lambda rules: (
        _if_read(read_rules, "disclosure", rules)
        or "no rules: what an analysis returns leaves as it is"
    ),
    "filters": lambda filters: _if_read(read_filters, "filters", filters) or "none",
    "answers-per-day": lambda most: f"{most} for a dataset" if most else "not limited",
    "epsilon-total": lambda most: f"{most:g} for a dataset" if most else "not limited",
    "secure": {
        "": "sums leave masked where the analysis asks for it",
        "require": "nothing leaves but secure sums",
    }.__getitem__,
    "pickle": lambda said: f"{said}",
    "audit-log": lambda path: path or "none: nothing tells later what left this node",
    "audit-journal": lambda on: "each line goes to systemd's journal, too" if on else "not asked",
    "share-tracebacks": lambda on: (
        "the text of errors leaves, which may hold a value" if on else "the text of errors stays"
    ),
    "hospital": lambda name: f"reports say that this is {name}" if name else "no name in reports",
    "share-size": lambda on: (
        "how much data there is leaves" if on else "how much data there is stays"
    ),
    "memory-gb": lambda gb: f"{gb:g} GB for a message" if gb else "not set",
    "cpu-minutes": lambda minutes: f"{minutes:g} minutes for a message" if minutes else "not set",
    "state-mb": lambda mb: f"{mb:g} MB in memory from round to round",
    "message-timeout": lambda seconds: f"{seconds:g} s for a message" if seconds else "not set",
    "data": lambda data: data or "",
    "datasets": lambda path: path or "",
    "state-dir": lambda path: path or "none: analyses do not outlive this node",
}
"""The keys of a node's config that say what the gate does, and each value in words.

A key that this version of the node does not have is left out.
"""

_HIDDEN_WHEN_EMPTY = {"data", "datasets"}


def about_node(settings: NodeSettings, status: NodeStatus | None) -> Iterator[str]:
    """Say what is known of a node, a line after the other; what follows the first is set in.

    Parameters
    ----------
    settings : NodeSettings
        As they stand in its ``node.toml``.
    status : NodeStatus or None
        What it has last written; ``None`` where it never has.
    """
    name = f"node {settings.name or 'without a name'}"
    if status is None:
        yield f"{name}: has never run here, or has neither `audit-log` nor `state-dir`"
        return
    if status.runs:
        yield f"{name}: runs, as process {status.pid}"
        yield f"  since {_when(status.started)}"
    elif status.ended:
        yield f"{name}: was stopped, {_when(status.ended)}"
    else:
        yield f"{name}: does not run; the last sign of it was at {_when(status.written)}"
    yield "  " + ", ".join(f"{what} {number}" for what, number in status.versions.items())
    if status.stock:
        yield "  Flower's own SuperNode: ungated, the rules act in the app's own process"
        return
    if status.sandbox:
        yield f"  {status.sandbox}"
    if status.last_contact is None:
        yield "  the server has not taken a call yet: see the node's log"
    else:
        yield f"  last contact with the server: {_when(status.last_contact)}"
    if status.clock is not None:
        where = "ahead of" if status.clock > 0 else "behind"
        yield f"  its clock: {abs(status.clock):.0f} s {where} the server's"
    yield f"  answered since it was started: {_count(status.answers, 'message')}"
    if status.runs and (message := status.message):
        yield (
            f"  answers now: {message.get('kind')} of run {message.get('run')}, project "
            f"{message.get('project') or '?'}, app {message.get('app')}"
        )


def about_gate(settings: NodeSettings) -> Iterator[tuple[str, str]]:
    """Say what the gate does: keys of the node config, and each value in words."""
    for key, in_words in _GATE.items():
        if key not in NODE_KEYS:
            continue
        value = getattr(settings, key.replace("-", "_"))
        words = in_words(value)
        if words or key not in _HIDDEN_WHEN_EMPTY:
            yield key, words


def troubles(
    settings: NodeSettings, status: NodeStatus | None, why_nothing_runs: str = ""
) -> list[str]:
    """Say what keeps a node from its work."""
    found = [f"no app runs at it: {why_nothing_runs}"] if why_nothing_runs else []
    if status is not None and status.trouble:
        found.append(f"no answer leaves it: {status.trouble}")
    missing = missing_paths(settings)
    return found + [f"there is no {path}, which its config names as its data" for path in missing]


def _if_read(read: Callable[[str, str], Any], key: str, text: str) -> str:
    """Return a text of rules or filters, or why it is none: nothing of it holds then."""
    if not text:
        return ""
    try:
        read(text, f"`{key}`")
    except ConfigError as error:
        if not isinstance(error.__cause__, OSError):  # who asks may not be who may read a file
            return f"cannot be read, so the node does not start: {error.message}"
    return text


def _when(seconds: float) -> str:
    """Return a time, and how long ago it was."""
    try:
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
    ago = max(0.0, time.time() - seconds)
    units = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))
    unit, length = next((each for each in units if ago >= each[1]), units[-1])
    return f"{text}, {_count(int(ago / length), unit)} ago"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
