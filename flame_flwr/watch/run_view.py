"""A run as a page or a terminal shows it, whether it goes on or is over.

Of one that goes on it is made of its ``live.json``, of one that is over of its ``run.json``. Both
are a stranger's: what they say has been checked for its types, and is text to be escaped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING

from flame_flwr.results.live_file import MOST_FAILURES, MOST_METRICS
from flame_flwr.results.metric_means import round_means
from flame_flwr.results.report_words import why_stopped
from flame_flwr.text.sizes import shown_size
from flame_flwr.text.words import form_in_words
from flame_flwr.watch.parsed_runs import LiveNode, RecordedRound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flame_flwr.watch.parsed_runs import LiveRun, RecordedRun

__all__ = ["FileView", "RoundView", "RunView", "view_of_live", "view_of_record"]

_MOST_POINTS = 500
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
    said = why_stopped(live.reason)
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
                each.round,
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


def view_of_record(name: str, about: RecordedRun) -> RunView:
    """Return a run that is over.

    Parameters
    ----------
    name : str
        The name of its folder.
    about : RecordedRun
        What its ``run.json`` says.
    """
    error = about.error
    files = [FileView(each.name, shown_size(each.bytes)) for each in about.files]
    files += [FileView(each.name, shown_size(each.bytes)) for each in about.other_files]
    return RunView(
        name=name,
        status=about.status if about.status in ("completed", "failed") else "unreadable",
        said=why_stopped(about.reason) if error is None else error,
        title=about.heading.title,
        app=about.app or about.study.get("analyzer", ""),
        run_id=about.run_id,
        started=_moment(about.started),
        ended=_moment(about.finished),
        rounds=about.rounds,
        resumed_after=about.resumed_after,
        private=about.privacy is not None,
        nodes=tuple(_nodes(about)),
        failures=about.failures[-MOST_FAILURES:],  # the last ones are those that ended it
        history=_thinned(map(_round, about.history)),
        weighted_by=about.weighted_by,
        files=tuple(files),
        report=any(file.name == "report.html" for file in files),
    )


def _nodes(about: RecordedRun) -> Iterator[LiveNode]:
    """Give the nodes as the last round has left them, or the failure that ended the run."""
    last = about.history[-1] if about.history else RecordedRound(0, 0.0)
    # The round that ended the run is not in its history.
    at_the_end = {each.node: each.why for each in about.failures if each.round > about.rounds}
    failed = last.failed | at_the_end
    masked = bool((about.secure or {}).get("masked"))
    for name in about.nodes:
        answered = name in last.node_seconds
        yield LiveNode(
            name=name,
            state="failed" if name in failed else "done" if answered else "unknown",
            hospital=about.hospitals.get(name, ""),
            seconds=None if masked else last.node_seconds.get(name),
            why=failed.get(name, ""),
            size=form_in_words(about.sizes.get(name, "")),
            metrics=last.node_metrics.get(name, {}),
        )


def _round(entry: RecordedRound) -> RoundView:
    means = round_means(entry.node_metrics, entry.metrics)
    return RoundView(
        entry.round,
        entry.seconds,
        len(entry.node_seconds),
        len(entry.failed),
        entry.change,
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
    usual = median(seconds)  # one slow round says little of the others
    now = max(0.0, live.written - live.since)
    to_come = max(0, live.most - live.rounds - 1) * usual
    return to_come + max(0.0, usual - now) if live.rounds < live.most else 0.0


def _moment(text: str) -> float | None:
    """Return a time of a run's in seconds since 1970."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
