"""``report.html``: one file that shows a run, with no scripts in it and nothing from elsewhere.

It is made of what ``run.json`` says and of the result files, with jinja2 and matplotlib (the
``report`` extra). Names of nodes and contents of files are somebody else's: everything is escaped,
images are data of the page itself, and a Content-Security-Policy forbids the rest.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.metrics import mean
from flame_flwr.results.plots import convergence_plot, metric_plots
from flame_flwr.results.report_files import inline
from flame_flwr.sizes import shown_size

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["render"]

_HERE = Path(__file__).parent
_MOST_ROUNDS = 200
_MOST_NODES = 30
_MOST_METRICS = 20
_ABOUT_FILTERS = frozenset({"filter", "by", "answers", "mechanism"})
"""What `run.json` says of a filter beside its parameters."""
_MOST_ROWS = 100
"""Of a table with a row per node."""
_SHOWN_AS = {"data": "data type"}
"""What `run.json` calls otherwise: there `data` is also where the data is."""
_TRACEBACK = re.compile(
    r"^[ +]*(?:Exception Group )?Traceback \(most recent call last\):$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class _Table:
    """A table; `cut` says what of it is not shown."""

    header: list[str]
    rows: list[list[str]]
    cut: str = ""


def render(about: dict[str, Any], folder: Path, paths: Sequence[Path]) -> bytes:
    """Return the page.

    Parameters
    ----------
    about : dict
        What ``run.json`` says.
    folder : Path
        The run's.
    paths : sequence of Path
        The files to show: the result's first.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _svg_uri
    environment.filters["size"] = shown_size
    environment.filters["moment"] = _moment
    style = (_HERE / "report.css").read_text("utf-8")
    error, traceback = _error(about["error"] or "")
    page = environment.get_template("report.jinja").render(
        about=about,
        error=error,
        traceback=traceback,
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        convergence=convergence_plot(about["history"]),
        metric_plots=metric_plots(about["history"], about["nodes"]),
        settings=_settings(about),
        nodes=_nodes(about),
        rounds=_rounds(about["history"], about["weighted_by"]),
        metrics=_metrics(about),
        reported=_reported(about["history"]),
        per_round=_metrics_per_round(about),
        evaluations=_scores(about["nodes"], about["evaluations"]),
        left=_left(about),
        filters=_filters(about),
        files=inline(folder, paths),
    )
    return page.encode("utf-8", "replace")


def _error(text: str) -> tuple[str, str]:
    """Return what an error says, and the traceback behind it that a node shares."""
    found = _TRACEBACK.search(text)
    start = found.start() if found else len(text)
    return text[:start].rstrip(), text[start:].rstrip()


def _settings(about: dict[str, Any]) -> _Table:
    """Return what the model declares, then what the run was asked for; no two have one name."""
    study = {_SHOWN_AS.get(name, name): text for name, text in about["study"].items()}
    asked = {
        f"{name} (asked for)" if name in study else name: text
        for name, value in sorted(about["parameters"].items())
        if (text := _text(value))
    }
    return _Table(["setting", "value"], [[*row] for row in (study | asked).items()])


def _nodes(about: dict[str, Any]) -> _Table:
    """Return every node: how much data, how many rounds it answered, its seconds and bytes.

    The bytes are of all that has left it, also in a round that then failed.
    """
    rows = []
    for node in about["nodes"]:
        answers = [entry for entry in about["history"] if node in entry["node_seconds"]]
        failed = [failure for failure in about["failures"] if failure["node"] == node]
        rows.append(
            [
                node,
                about["sizes"].get(node, "not said"),
                str(len(answers)),
                f"{sum(entry['node_seconds'][node] for entry in answers):.2f}",
                shown_size(sum(kind["bytes"] for kind in about["left"].get(node, []))),
                "; ".join(f"round {each['round']}: {each['why']}" for each in failed[:5]),
            ]
        )
    absent = [each for each in about["failures"] if each["node"] not in about["nodes"]]
    rows += [[each["node"], "", "0", "", "", each["why"]] for each in absent[:_MOST_NODES]]
    header = ["node", "data", "rounds counted", "seconds of analysis", "sent", "failed"]
    return _first(header, rows)


def _rounds(history: list[dict[str, Any]], weighted_by: dict[str, str]) -> _Table:
    """Return one row per round, as the log has a line."""
    names = _reported(history)[:_MOST_METRICS]
    rows = []
    for entry in history:
        values: dict[str, list[float]] = {}
        for metrics in entry["node_metrics"].values():
            for name, value in metrics.items():
                values.setdefault(name, []).append(value)
        rows.append(
            [
                str(entry["round"]),
                f"{len(entry['node_seconds'])}",
                f"{entry['seconds']:.2f}",
                shown_size(sum(entry["node_bytes"].values())),
                _text(entry["change"]),
                *(
                    _text(entry["metrics"].get(name))
                    if name in weighted_by
                    else _text(mean(values[name]))
                    if name in values
                    else ""
                    for name in names
                ),
                entry["reason"],
            ]
        )
    means = [
        f"{name}, weighted by {weighted_by[name]}" if name in weighted_by else f"mean of {name}"
        for name in names
    ]
    header = ["round", "nodes", "seconds", "received", "change", *means, "why it stopped"]
    return _cut(header, rows)


def _metrics(about: dict[str, Any]) -> _Table:
    """Return the metrics of the last round, per node."""
    history = about["history"]
    return _scores(about["nodes"], history[-1]["node_metrics"] if history else {})


def _scores(nodes: list[str], scores: dict[str, dict[str, float]]) -> _Table:
    names = _names([scores])
    more = len(names) - _MOST_METRICS
    names = names[:_MOST_METRICS]
    rows = [
        [node, *(_text(scores[node].get(name)) for name in names)]
        for node in nodes
        if node in scores
    ]
    table = _first(["node", *names], rows if names else [])
    cut = f"{table.cut} {more} more metrics are in run.json." if more > 0 else table.cut
    return _Table(table.header, table.rows, cut.strip())


def _metrics_per_round(about: dict[str, Any]) -> list[tuple[str, _Table]]:
    """Return a table per metric: rounds by nodes."""
    history, nodes = about["history"], about["nodes"][:_MOST_NODES]
    if len(history) < 2:
        return []
    more = len(about["nodes"]) - len(nodes)
    tables = []
    for name in _reported(history)[:_MOST_METRICS]:
        rows = [
            [
                str(entry["round"]),
                *(_text(entry["node_metrics"].get(node, {}).get(name)) for node in nodes),
            ]
            for entry in history
        ]
        table = _cut(["round", *nodes], rows)
        cut = f"{table.cut} {more} more nodes are in history.csv." if more else table.cut
        tables.append((name, _Table(table.header, table.rows, cut.strip())))
    return tables


def _left(about: dict[str, Any]) -> _Table:
    """Return what left each node: what of, how often, in which rounds, bytes."""
    rows = []
    # Of a run that goes on with a checkpoint, there may be nodes that are no longer there.
    gone = [node for node in about["left"] if node not in about["nodes"]]
    for node in [node for node in about["nodes"] if node in about["left"]] + gone:
        for kind in about["left"][node]:
            first, last = kind["first_round"], kind["last_round"]
            rounds = str(first) if first == last else f"{first} to {last}"
            size = shown_size(kind["bytes"])
            rows.append([node, kind["what"], str(kind["answers"]), rounds, size])
    return _first(["node", "what", "times", "rounds", "bytes"], rows)


def _filters(about: dict[str, Any]) -> _Table:
    """Return what each node says that it did to its results, and the budget that it has spent."""
    rows = []
    for node, said in about["filters"].items():
        for one in said["filters"]:
            given = [f"{key}={value}" for key, value in one.items() if key not in _ABOUT_FILTERS]
            name = f"{one.get('filter', '')}({', '.join(given)})"
            rows.append([node, name, str(one.get("by", "")), str(one.get("answers", "")), ""])
        if "epsilon" in said:
            budget = f"epsilon {_text(said['epsilon'])}, delta {_text(said['delta'])}"
            rows[-1][-1] = f"{budget}, {said['holds']}"
    return _first(["node", "filter", "set by", "answers", "budget spent by all of them"], rows)


def _names(scores: Any) -> list[str]:
    """Return the metrics' names, in the order in which they come up."""
    return list(
        dict.fromkeys(name for nodes in scores for metrics in nodes.values() for name in metrics)
    )


def _reported(history: list[dict[str, Any]]) -> list[str]:
    """Return the names of all metrics of the rounds."""
    return _names(entry["node_metrics"] for entry in history)


def _first(header: list[str], rows: list[list[str]]) -> _Table:
    """Leave out the end of a table with a row per node."""
    hidden = len(rows) - _MOST_ROWS
    cut = f"{hidden} more rows are in run.json." if hidden > 0 else ""
    return _Table(header, rows[:_MOST_ROWS], cut)


def _cut(header: list[str], rows: list[list[str]]) -> _Table:
    """Leave out the middle of a long table."""
    if len(rows) <= _MOST_ROUNDS:
        return _Table(header, rows)
    half = _MOST_ROUNDS // 2
    hidden = f"{len(rows) - _MOST_ROUNDS} rounds in the middle are in history.csv."
    return _Table(header, rows[:half] + rows[-half:], hidden)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return "" if value is None else str(value)


def _moment(text: str) -> str:
    """Return a time of ``run.json``, which is in UTC, as people read it."""
    return text.replace("T", " ").replace("+00:00", " UTC")


def _svg_uri(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
