"""``flame-flwr watch --terminal``: a run as a table that stays where it is, also in 80 columns."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from flame_flwr.text.shown_text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, RenderableType
    from rich.table import Table

    from flame_flwr.watch.parsed_runs import LiveNode
    from flame_flwr.watch.run_view import RunView
    from flame_flwr.watch.watched_runs import WatchedRuns

__all__ = ["follow_run", "shown_run"]

_EVERY = 0.5
_OVER = {"completed", "failed"}
_DOUBTFUL = 12
"""Looks after which another state is the last one. A run that begins may have no file yet, a store
may fail once, and by a server's wrong clock a run seems to have ended until it writes again."""

_LONGEST_NAME = 24
_MOST_METRICS = 2
_ROUNDS, _REASONS, _FEWEST_NODES, _OTHER_LINES = 5, 3, 5, 25
_FIRST = ("failed", "gone", "silent", "missing", "computing", "waiting")
_WORDS = {
    "gone": "gone, waited for",
    "missing": "waited for",
    "unknown": "not known",
}
_COLOURS = {"failed": "red", "gone": "red", "silent": "red", "missing": "yellow"}
_COLOURS |= {"computing": "cyan", "answered": "green", "done": "green", "here": "green"}


def follow_run(
    runs: WatchedRuns,
    name: str = "",
    console: Console | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> RunView | None:
    """Show a run until it is over, or Ctrl-C comes; where there is no terminal, once.

    Parameters
    ----------
    runs : WatchedRuns
        The runs.
    name : str
        Which; the newest where it is not said.
    console : Console, optional
        Where to; standard output where it is not given.
    sleep : callable
        Waits for so many seconds.

    Returns
    -------
    RunView or None
        The run as it was last shown; ``None`` where there is none.

    Raises
    ------
    StoreError
        There is no run of this name.
    """
    from rich.console import Console
    from rich.live import Live

    console = console or Console()
    run = _run(runs, name)
    if not console.is_terminal:
        console.print(shown_run(run, runs.place, console))
        return run
    doubtful = 0
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(shown_run(run, runs.place, console), refresh=True)
            going_on = run is None or run.status == "running"
            doubtful = 0 if going_on else doubtful + 1
            if run is not None and (run.status in _OVER or doubtful > _DOUBTFUL):
                return run
            try:
                sleep(_EVERY)
            except KeyboardInterrupt:
                return run
            run = _run(runs, name)


def _run(runs: WatchedRuns, name: str) -> RunView | None:
    chosen = runs.full_name(name) if name else runs.newest()
    return runs.run(chosen) if chosen else None


def shown_run(run: RunView | None, place: str, console: Console) -> RenderableType:
    """Return a run as it is shown; ``None`` says that there is none yet."""
    from rich.console import Group
    from rich.text import Text

    if run is None:
        return Text(f"no runs in {one_line(place, 200)} yet")
    parts: list[RenderableType] = [Text(line) for line in _head(run)]
    if run.nodes:
        room = max(_FEWEST_NODES, console.height - _OTHER_LINES)
        shown = sorted(run.nodes, key=_urgency)[:room]
        parts += ["", _nodes(shown)]
        if hidden := len(run.nodes) - len(shown):
            parts.append(Text(f"and {hidden} more nodes"))
        reasons = [
            f"{one_line(node.name, 30)}: {one_line(node.why, 200)}" for node in shown if node.why
        ]
        parts += map(Text, reasons[:_REASONS])
    if run.history:
        parts += ["", _rounds(run)]
    return Group(*parts)


def _head(run: RunView) -> Iterator[str]:
    yield f"{one_line(run.title or run.app or run.name, 70)}: {run.status}"
    yield f"run {one_line(run.name, 70)}"
    if run.started:  # not of one that cannot be read
        of = f" of {run.most}" if run.most else ""
        ends = "" if run.left is None else f", ends in {_duration(run.left)} at the latest"
        yield f"{run.rounds}{of} rounds, began {_clock(run.started, '%Y-%m-%d %H:%M:%S')}{ends}"
    if run.status == "running":
        since = f", for {_duration(time.time() - run.since)}" if run.since else ""
        yield f"now: {run.doing}{since}"
    if run.said:
        stopped = "it stopped: " if run.status in ("running", "completed") else ""
        yield one_line(f"{stopped}{run.said}", 500)
    if run.private:
        yield "private: nothing exact is shown"
    if run.report:
        yield "its report is report.html"
    if run.nodes:
        counts = Counter(_WORDS.get(node.state, node.state) for node in run.nodes)
        yield f"{len(run.nodes)} nodes: " + ", ".join(f"{n} {word}" for word, n in counts.items())


def _nodes(nodes: list[LiveNode]) -> Table:
    from rich.text import Text

    names = list(dict.fromkeys(key for node in nodes for key in node.metrics))[:_MOST_METRICS]
    table = _table(["node", "state", "seconds", "seen", *names])
    for node in nodes:
        table.add_row(
            Text(one_line(node.name, _LONGEST_NAME)),
            Text(_WORDS.get(node.state, node.state), _COLOURS.get(node.state, "")),
            Text(_number(node.seconds)),
            Text(_clock(node.seen, "%H:%M:%S")),
            *(Text(_number(node.metrics.get(name))) for name in names),
        )
    return table


def _urgency(node: LiveNode) -> int:
    return _FIRST.index(node.state) if node.state in _FIRST else len(_FIRST)


def _rounds(run: RunView) -> Table:
    from rich.text import Text

    last = run.history[-_ROUNDS:]
    names = list(dict.fromkeys(key for each in last for key in each.metrics))[:_MOST_METRICS]
    table = _table(["round", "answered", "failed", "seconds", "change", *names])
    for each in reversed(last):
        numbers = [each.seconds, each.change, *(each.metrics.get(name) for name in names)]
        shown = [str(each.number), str(each.answered), str(each.failed), *map(_number, numbers)]
        table.add_row(*map(Text, shown))
    return table


def _table(titles: list[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(one_line(title, 12), overflow="ellipsis", no_wrap=True)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _clock(seconds: float | None, form: str) -> str:
    """Return a time as this machine's clock shows it; none of what a stranger may have written."""
    try:
        return f"{datetime.fromtimestamp(seconds):{form}}" if seconds else ""
    except (ValueError, OverflowError, OSError):
        return ""


def _duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
