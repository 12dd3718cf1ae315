"""Reads ``live.json``, which may be torn, of another version, or made by a stranger who means harm.

A store is not trusted, and a folder may hold anything. What is returned has the types that it says,
and limits on what there is of it; texts are as they came, for whoever shows them to escape.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import StoreError
from flame_flwr.results.checked_json import (
    DAMAGE,
    count,
    finite,
    known,
    metric,
    objects,
    one_of,
    pairs,
    text,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LIVE", "LIVE_VERSION", "LiveNode", "LiveRound", "LiveRun", "is_live", "parse_live"]

LIVE = "live.json"
"""The file's name, beside the results."""

LIVE_VERSION = 1
"""Of the file's form; one that is read has the same."""

LARGEST = 8 * 2**20
"""Bytes; a thousand nodes and rounds have fewer."""

MOST_METRICS = 8
"""Metrics of a round and of a node, as many as the report plots."""

MOST_FAILURES = 50
_MOST_NODES = 10_000
_MOST_ROUNDS = 10_000

_DOING = frozenset({"starting", "hello", "round", "evaluation", "finishing"})
_STATES = frozenset(
    {"here", "missing", "computing", "waiting", "answered", "failed", "gone", "done"}
)


@dataclass(frozen=True, slots=True)
class LiveNode:
    """A node of a run: its name, what it does, the last sign of it, its seconds and metrics."""

    name: str
    state: str
    hospital: str = ""
    seen: float | None = None
    seconds: float | None = None
    why: str = ""
    size: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveRound:
    """A round that is over; its metrics are means, each with what it is weighted by."""

    number: int
    seconds: float
    answered: int
    failed: int
    change: float | None = None
    metrics: dict[str, tuple[float, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run as its server has last written it.

    Attributes
    ----------
    written : float
        When, in seconds since 1970, by the server's clock.
    beat : float
        Seconds after which there is another file, as long as its writer lives.
    doing : {'starting', 'hello', 'round', 'evaluation', 'finishing'}
        What the run does.
    """

    written: float
    beat: float
    doing: str
    started: str = ""
    run_id: str = ""
    app: str = ""
    title: str = ""
    study: dict[str, str] = field(default_factory=dict)
    round: int = 0
    since: float = 0.0
    most: int | None = None
    rounds: int = 0
    resumed_after: int = 0
    checkpoint: int = 0
    private: bool = False
    reason: str = ""
    expected: int = 0
    nodes: tuple[LiveNode, ...] = ()
    failures: tuple[tuple[int, str, str], ...] = ()
    history: tuple[LiveRound, ...] = ()


def parse_live(content: bytes) -> LiveRun:
    """Return what a ``live.json`` says.

    Parameters
    ----------
    content : bytes
        The file, whole.

    Raises
    ------
    StoreError
        It is torn, of another version, or none: the message says which.

    Examples
    --------
    >>> parse_live(b'{"live": 1, "written": 1.5, "beat": 5, "doing": "hello"}').doing
    'hello'
    >>> parse_live(b'{"live": 1, "writ')
    Traceback (most recent call last):
        ...
    flame_flwr.errors.StoreError: live.json is torn: it is not what a run writes
    """
    about = _object(content)
    version = about.get("live")
    if version != LIVE_VERSION or isinstance(version, bool):
        raise StoreError(
            f"live.json is of version {version!r:.20}, and this is one for {LIVE_VERSION}: look at "
            "the run with the flame-flwr that runs it"
        )
    try:
        return _run(about)
    except DAMAGE:
        raise StoreError("live.json is damaged: it is not what a run writes") from None


def is_live(path: Path) -> bool:
    """Tell whether a file is a ``live.json`` that a run has written, of whatever version."""
    try:
        if path.is_symlink() or path.stat().st_size > LARGEST:
            return False
        return _object(path.read_bytes()).keys() >= {"live", "written", "beat", "doing"}
    except (OSError, StoreError):
        return False


def _object(content: bytes) -> dict[str, Any]:
    if len(content) > LARGEST:
        raise StoreError(f"live.json has more than {LARGEST} bytes: it is not what a run writes")
    try:
        about = json.loads(content)
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict):
        raise StoreError("live.json is torn: it is not what a run writes")
    return about


def _run(about: dict[str, Any]) -> LiveRun:
    return LiveRun(
        written=finite(about["written"]),
        beat=min(max(finite(about["beat"]), 0.1), 3600.0),
        doing=one_of(about["doing"], _DOING),
        started=text(about.get("started", "")),
        run_id=text(about.get("run_id") or ""),
        app=text(about.get("app", "")),
        title=text(about.get("title", "")),
        study={text(key): text(value) for key, value in pairs(about, "study", 100)},
        round=count(about.get("round", 0)),
        since=finite(about.get("since", 0.0)),
        most=None if about.get("most") is None else count(about["most"]),
        rounds=count(about.get("rounds", 0)),
        resumed_after=count(about.get("resumed_after", 0)),
        checkpoint=count(about.get("checkpoint", 0)),
        private=about.get("private") is True,
        reason=text(about.get("reason", "")),
        expected=count(about.get("expected", 0)),
        nodes=tuple(_node(each) for each in objects(about, "nodes", _MOST_NODES)),
        failures=tuple(_failure(each) for each in objects(about, "failures", MOST_FAILURES)),
        history=tuple(_round(each) for each in objects(about, "history", _MOST_ROUNDS)),
    )


def _node(about: dict[str, Any]) -> LiveNode:
    metrics = pairs(about, "metrics", MOST_METRICS)
    return LiveNode(
        name=text(about["name"]),
        state=one_of(about["state"], _STATES),
        hospital=text(about.get("hospital", "")),
        seen=known(about.get("seen")),
        seconds=known(about.get("seconds")),
        why=text(about.get("why", "")),
        size=text(about.get("size", "")),
        metrics={text(name): metric(value) for name, value in metrics},
    )


def _round(about: dict[str, Any]) -> LiveRound:
    metrics = pairs(about, "metrics", MOST_METRICS)
    return LiveRound(
        number=count(about["round"]),
        seconds=finite(about["seconds"]),
        answered=count(about["answered"]),
        failed=count(about["failed"]),
        change=known(about.get("change")),
        metrics={text(name): (metric(value), text(by)) for name, (value, by) in metrics},
    )


def _failure(about: dict[str, Any]) -> tuple[int, str, str]:
    return count(about["round"]), text(about["node"]), text(about["why"])
