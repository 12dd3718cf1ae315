"""A run as a page or a terminal shows it, whether it goes on or is over.

Of one that goes on it is made of its ``live.json``, of one that is over of its ``run.json``. Both
are a stranger's: what they say has been checked for its types, and is text to be escaped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import StoreError
from flame_flwr.results.checked_json import DAMAGE, count, finite, known, metric, objects, pairs
from flame_flwr.results.checked_json import text as checked_text
from flame_flwr.results.live_file import MOST_FAILURES, MOST_METRICS, LiveNode
from flame_flwr.results.metric_means import mean
from flame_flwr.text.sizes import shown_size
from flame_flwr.text.words import form_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flame_flwr.results.live_file import LiveRun

__all__ = ["FileView", "RoundView", "RunView", "view_of_live", "view_of_record"]

_MOST_POINTS = 500
_MOST_NODES = 10_000
_LAST = 10  # rounds that say how long the next ones take

DOING = {
    "starting": "starting",
    "hello": "waiting for the nodes",
    "round": "round {round}",
    "evaluation": "the nodes score the result",
    "finishing": "making the result",
}


@dataclass(frozen=True, slots=True)
class RoundView:
    """A round: its number, how long it took, who answered, and what there is to plot."""

    number: int
    seconds: float
    answered: int
    failed: int
    change: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileView:
    """A file of the run: its name relative to the run's folder, and its size in words."""

    name: str
    size: str


@dataclass(frozen=True, slots=True)
class RunView:
    """A run.

    Attributes
    ----------
    name : str
        The name of its folder.
    status : str
        ``running``, ``completed``, ``failed``, ``ended without a word``, ``unfinished`` or
        ``unreadable``.
    said : str
        Why it stopped, why it failed, or why nothing can be said of it.
    doing : str
        What it does now; empty where it is over.
    since : float or None
        When it began to do that.
    started, ended : float or None
        In seconds since 1970.
    left : float or None
        How many seconds its rounds will take at most, where that can be told.
    weighted_by : dict of str to str
        What the mean of a metric is weighted by.
    """

    name: str
    status: str
    said: str = ""
    title: str = ""
    app: str = ""
    run_id: str = ""
    doing: str = ""
    since: float | None = None
    started: float | None = None
    ended: float | None = None
    left: float | None = None
    rounds: int = 0
    most: int | None = None
    resumed_after: int = 0
    checkpoint: int = 0
    private: bool = False
    expected: int = 0
    nodes: tuple[LiveNode, ...] = ()
    failures: tuple[tuple[int, str, str], ...] = ()
    history: tuple[RoundView, ...] = ()
    weighted_by: dict[str, str] = field(default_factory=dict)
    files: tuple[FileView, ...] = ()
    report: bool = False

    def brief(self) -> RunView:
        """Return it without what only its own page shows."""
        return replace(self, nodes=(), failures=(), history=(), files=(), weighted_by={})


def view_of_live(name: str, live: LiveRun, *, alive: bool) -> RunView:
    """Return a run that has no ``run.json`` yet.

    Parameters
    ----------
    name : str
        The name of its folder.
    live : LiveRun
        What its ``live.json`` says.
    alive : bool
        Whether its writer is.
    """
    said = live.reason
    if not alive:
        said = (
            "its server has stopped writing without saying why: the process was killed, or its "
            "machine is gone or cut off"
        )
    return RunView(
        name=name,
        status="running" if alive else "ended without a word",
        said=said,
        title=live.title,
        app=live.app or live.study.get("analyzer", ""),
        run_id=live.run_id,
        doing=DOING[live.doing].format(round=live.round),
        since=live.since if alive else None,
        started=_moment(live.started),
        ended=None if alive else live.written,
        left=_left(live) if alive else None,
        rounds=live.rounds,
        most=live.most,
        resumed_after=live.resumed_after,
        checkpoint=live.checkpoint,
        private=live.private,
        expected=live.expected,
        nodes=tuple(
            replace(
                node,
                state=node.state if alive or node.state in ("answered", "failed") else "unknown",
                size=form_in_words(node.size),
            )
            for node in live.nodes
        ),
        failures=live.failures,
        history=_thinned(
            RoundView(
                each.number,
                each.seconds,
                each.answered,
                each.failed,
                each.change,
                {key: value for key, (value, _) in each.metrics.items()},
            )
            for each in live.history
        ),
        weighted_by={
            key: by for each in live.history[-1:] for key, (_, by) in each.metrics.items() if by
        },
    )


def view_of_record(name: str, about: dict[str, Any]) -> RunView:
    """Return a run that is over.

    Parameters
    ----------
    name : str
        The name of its folder.
    about : dict
        What its ``run.json`` says.

    Raises
    ------
    StoreError
        It is damaged.
    """
    try:
        return _of_record(name, about)
    except DAMAGE:
        raise StoreError("run.json is damaged: it is not what a run writes") from None


def _of_record(name: str, about: dict[str, Any]) -> RunView:
    history = [(count(each["round"]), each) for each in objects(about, "history", 10**6)]
    weighted_by = {key: checked_text(by) for key, by in pairs(about, "weighted_by", 500)}
    last = history[-1][1] if history else {}
    names = _strings(about.get("nodes", []))
    heading, study = _table(about, "heading"), _table(about, "study")
    rounds = count(about.get("rounds", 0))
    failures = tuple(
        (count(each["round"]), checked_text(each["node"]), checked_text(each["why"]))
        for each in objects(about, "failures", 10**6)
    )
    at_the_end = {node: why for number, node, why in failures if number > rounds}
    files = [
        FileView(checked_text(each["name"]), shown_size(count(each["bytes"])))
        for key in ("files", "other_files")
        for each in objects(about, key, 10_000)
    ]
    status = checked_text(about.get("status", ""))
    error = about.get("error")
    return RunView(
        name=name,
        status=status if status in ("completed", "failed") else "unreadable",
        said=checked_text(error if error is not None else about.get("reason", "")),
        title=checked_text(heading.get("title", "")),
        app=checked_text(about.get("app") or study.get("analyzer", "")),
        run_id=checked_text(about.get("run_id") or ""),
        started=_moment(checked_text(about.get("started", ""))),
        ended=_moment(checked_text(about.get("finished", ""))),
        rounds=rounds,
        resumed_after=count(about.get("resumed_after", 0)),
        private=about.get("privacy") is not None,
        nodes=tuple(_node(node, last, about, at_the_end) for node in names[:_MOST_NODES]),
        failures=failures[-MOST_FAILURES:],
        history=_thinned(_round(number, each) for number, each in history),
        weighted_by=weighted_by,
        files=tuple(files),
        report=any(file.name == "report.html" for file in files),
    )


def _node(
    name: str, last: dict[str, Any], about: dict[str, Any], at_the_end: dict[str, str]
) -> LiveNode:
    """Return a node as the last round has left it, or the failure that ended the run."""
    failed = dict(pairs(last, "failed", _MOST_NODES)) | at_the_end
    seconds = dict(pairs(last, "node_seconds", _MOST_NODES))
    masked = bool(_table(about, "secure").get("masked"))
    metrics = pairs(dict(pairs(last, "node_metrics", _MOST_NODES)), name, MOST_METRICS)
    return LiveNode(
        name=name,
        state="failed" if name in failed else "done" if name in seconds else "unknown",
        hospital=checked_text(_table(about, "hospitals").get(name, "")),
        seconds=None if masked else known(seconds.get(name)),
        why=checked_text(failed.get(name, "")),
        size=form_in_words(checked_text(_table(about, "sizes").get(name, ""))),
        metrics={key: metric(value) for key, value in metrics},
    )


def _round(number: int, entry: dict[str, Any]) -> RoundView:
    values: dict[str, list[float]] = {}
    of_nodes = dict(pairs(entry, "node_metrics", _MOST_NODES))
    for node in of_nodes:
        for key, value in pairs(of_nodes, node, 500):
            values.setdefault(key, []).append(metric(value))
    weighted = {key: metric(value) for key, value in pairs(entry, "metrics", 500)}
    means = {key: weighted.get(key, mean(found)) for key, found in values.items()}
    return RoundView(
        number,
        finite(entry["seconds"]),
        len(pairs(entry, "node_seconds", _MOST_NODES)),
        len(pairs(entry, "failed", _MOST_NODES)),
        known(entry.get("change")),
        dict(list(means.items())[:MOST_METRICS]),
    )


def _thinned(history: Iterable[RoundView]) -> tuple[RoundView, ...]:
    """Return as many rounds as there are points in a plot, the last one among them."""
    rounds = list(history)
    step = max(1, math.ceil(len(rounds) / _MOST_POINTS))
    return tuple(rounds[::-1][::step][::-1])


def _left(live: LiveRun) -> float | None:
    """Return how long the rounds to come take, if they take as long as the last ones."""
    seconds = [each.seconds for each in live.history[-_LAST:]]
    if live.most is None or not seconds or live.doing != "round":
        return None
    usual = median(seconds)
    now = max(0.0, live.written - live.since)
    to_come = max(0, live.most - live.rounds - 1) * usual
    return to_come + max(0.0, usual - now) if live.rounds < live.most else 0.0


def _table(about: dict[str, Any], key: str) -> dict[str, Any]:
    """Return an object; an empty one where there is none."""
    return {} if about.get(key) is None else dict(pairs(about, key, _MOST_NODES))


def _strings(value: Any) -> Sequence[str]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return [checked_text(each) for each in value]


def _moment(text: str) -> float | None:
    """Return a time of a run's in seconds since 1970."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
