"""The tables of a report: what ``run.json`` says, as rows of bounded number.

The page's one macro writes them. pandas' ``to_html`` does not do: it sets a ``style`` on the row of
the header, which the page's Content-Security-Policy forbids. ``Styler.to_html`` can do without, but
neither says of a header what it is the header of, for who has the page read to them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flame_flwr.results.metric_means import mean, metric_names, reported_names
from flame_flwr.results.report_words import DATA, plain_value, setting, why_stopped
from flame_flwr.results.run_record import ALL_NODES
from flame_flwr.text.sizes import shown_size
from flame_flwr.text.words import arguments_in_words, form_in_words, name_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ReportTable", "egress_table", "filters_table", "metrics_per_round", "metrics_table"]
__all__ += ["nodes_table", "rounds_table", "scores_table", "settings_table"]

_MOST_ACROSS = 8
"""Columns that fit on a printed page."""
_MOST_ROUNDS = 200
_MOST_NODES = 30
_MOST_METRICS = 20
_MOST_ROWS = 100
"""Of a table with a row per node."""
_ABOUT_FILTERS = frozenset({"filter", "by", "answers", "mechanism"})
"""What `run.json` says of a filter beside its parameters."""
_SHOWN_AS = {
    "data": "data type",  # in `run.json` it is also where the data is
    "disclosure": "disclosure rules",
    "expects": "expected of the data",
    "max_rounds": "rounds at most",
    "shown": "metrics that are shown",
}
"""What `run.json` calls otherwise."""

_BESIDES = {"of report_metrics": "reported as metrics", "of evaluation_method": "as scores"}
_BESIDE = re.compile("|".join(_BESIDES))


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table; `cut` says what of it is not shown."""

    header: list[str]
    rows: list[list[str]]
    cut: str = ""

    @property
    def parts(self) -> list[tuple[list[str], list[list[str]]]]:
        """Header and rows; of a wide table several, each with the first column, to fit a page."""
        if len(self.header) <= _MOST_ACROSS:
            return [(self.header, self.rows)]
        most = _MOST_ACROSS - 1
        return [
            (
                [*self.header[:1], *self.header[start : start + most]],
                [[*row[:1], *row[start : start + most]] for row in self.rows],
            )
            for start in range(1, len(self.header), most)
        ]

    def with_note(self, hidden: int, what: str) -> ReportTable:
        """Return it with a note on what is not shown, where there is any."""
        return replace(self, cut=f"{self.cut} {hidden} {what}.".strip()) if hidden > 0 else self


def settings_table(about: dict[str, Any]) -> ReportTable:
    """Return what the model declares, then what the run was asked for; no two have one name."""
    study = {_SHOWN_AS.get(name, name): setting(about, name) for name in about["study"]}
    if "data type" in study:
        study["data type"] = DATA.get(study["data type"], study["data type"])
    asked = {
        f"{name} (asked for)" if name in study else name: text
        for key, value in sorted(about["parameters"].items())
        if (text := plain_value(value)) and (name := key.replace("-", " "))
    }
    rows = study | asked | _about_sums(about.get("secure"))
    return ReportTable(["setting", "value"], [[*row] for row in rows.items()])


def _about_sums(secure: Any) -> dict[str, str]:
    """Say what there is to know of secure sums; nothing of a run without."""
    if not secure:
        return {}
    grids = [f"{key} {bits}/{exponent}" for key, (bits, exponent) in secure["grids"].items()]
    said = {"sums": "masked" if secure["masked"] else "on a grid, not masked"}
    said["grids of sums (bits/exponent)"] = ", ".join(grids[:_MOST_ROWS])
    if secure["masked"]:
        named = [f"{name} {each}" for name, each in secure["roster"].items()]
        by = [f"{name}: {each}" for name, each in secure["masked by"].items()]
        said["sums masked by"] = "; ".join(by[:_MOST_ROWS])
        said["roster of sums"] = f"{secure['protocol']}; {'; '.join(named[:_MOST_ROWS])}"
        said["identities of the roster"] = secure["identities"]
        said["in clear beside sums"] = ", ".join(secure["in clear"])
    return said


def nodes_table(about: dict[str, Any]) -> ReportTable:
    """Return every node: how much data, how many rounds it answered, its seconds and bytes.

    The bytes are of all that has left it, also in a round that then failed.
    """
    rows, are_masked = [], bool((about.get("secure") or {}).get("masked"))
    for node in about["nodes"]:
        answers = [entry for entry in about["history"] if node in entry["node_seconds"]]
        failed = [failure for failure in about["failures"] if failure["node"] == node]
        rows.append(
            [
                node,
                form_in_words(about["sizes"].get(node, "not said")),
                str(len(answers)),
                "not said"
                if are_masked
                else f"{sum(entry['node_seconds'][node] for entry in answers):.2f}",
                shown_size(sum(kind["bytes"] for kind in about["left"].get(node, []))),
                "; ".join(f"round {each['round']}: {each['why']}" for each in failed[:5]),
            ]
        )
    # Nodes that did not come to the first round have failed at hello.
    absent = [each for each in about["failures"] if each["node"] not in about["nodes"]]
    rows += [[each["node"], "", "0", "", "", each["why"]] for each in absent[:_MOST_NODES]]
    header = ["node", "data", "rounds counted", "seconds of analysis", "sent", "failed"]
    hospitals = about["hospitals"]
    if hospitals:
        header.insert(1, "hospital")
        for row in rows:
            row.insert(1, hospitals.get(row[0], "not said"))
    return _without_end(header, rows)


def rounds_table(history: list[dict[str, Any]], weighted_by: Mapping[str, str]) -> ReportTable:
    """Return one row per round, as the log has a line."""
    names = reported_names(history)[:_MOST_METRICS]
    means = [
        f"{name}, weighted by {weighted_by[name]}" if name in weighted_by else f"mean of {name}"
        for name in names
    ]
    # a model that goes from node to node: an older run says nothing of that
    lines = [", ".join(entry.get("order", ())[:_MOST_NODES]) for entry in history]
    in_turn = any(lines)
    rows = [
        [
            str(entry["round"]),
            str(len(entry["node_seconds"])),
            *([line] if in_turn else []),
            f"{entry['seconds']:.2f}",
            shown_size(sum(entry["node_bytes"].values())),
            _text(entry["change"]),
            *(_mean(entry, name, weighted=name in weighted_by) for name in names),
            why_stopped(entry["reason"]),
        ]
        for entry, line in zip(history, lines, strict=True)
    ]
    through = ["through"] if in_turn else []
    header = ["round", "nodes", *through, "seconds", "received", "change", *means, "why it stopped"]
    return _without_middle(header, rows)


def _mean(entry: Mapping[str, Any], name: str, *, weighted: bool) -> str:
    """Return a metric's mean in a round; where it should be weighted and is not, nothing."""
    if weighted:
        return _text(entry["metrics"].get(name))
    values = [found[name] for found in entry["node_metrics"].values() if name in found]
    return _text(mean(values)) if values else ""


def metrics_table(about: dict[str, Any]) -> ReportTable:
    """Return the metrics of the last round, per node."""
    history = about["history"]
    return scores_table(about["nodes"], history[-1]["node_metrics"] if history else {})


def scores_table(nodes: list[str], scores: Mapping[str, Mapping[str, float]]) -> ReportTable:
    """Return numbers by name, a row per node."""
    names = metric_names([scores])
    shown = names[:_MOST_METRICS]
    rows = [
        [node, *(_text(scores[node].get(name)) for name in shown)]
        for node in [*nodes, ALL_NODES]
        if node in scores
    ]
    table = _without_end(["node", *shown], rows if names else [])
    return table.with_note(len(names) - len(shown), "more metrics are in run.json")


def metrics_per_round(about: dict[str, Any]) -> list[tuple[str, ReportTable]]:
    """Return a table per metric: rounds by nodes."""
    history, nodes = about["history"], about["nodes"][:_MOST_NODES]
    if len(history) < 2:
        return []
    tables = []
    for name in reported_names(history)[:_MOST_METRICS]:
        given = [(entry["round"], entry["node_metrics"]) for entry in history]
        rows = [
            [str(number), *(_text(found.get(node, {}).get(name)) for node in nodes)]
            for number, found in given
        ]
        table = _without_middle(["round", *nodes], rows)
        hidden = len(about["nodes"]) - len(nodes)
        tables.append((name, table.with_note(hidden, "more nodes are in history.csv")))
    return tables


def egress_table(about: dict[str, Any]) -> ReportTable:
    """Return what left each node: of which form, how often, in which rounds, how many bytes."""
    rows = []
    # Of a run that goes on with a checkpoint, there may be nodes that are no longer there.
    gone = [node for node in about["left"] if node not in about["nodes"]]
    for node in [*(node for node in about["nodes"] if node in about["left"]), *gone]:
        for kind in about["left"][node]:
            first, last = kind["first_round"], kind["last_round"]
            rounds = str(first) if first == last else f"{first} to {last}"
            size = shown_size(kind["bytes"])
            what = _BESIDE.sub(lambda found: _BESIDES[found[0]], kind["what"])
            rows.append([node, form_in_words(what), str(kind["answers"]), rounds, size])
    return _without_end(["node", "what", "times", "rounds", "bytes"], rows)


def filters_table(about: dict[str, Any]) -> ReportTable:
    """Return what each node says that it did to its results, and the budget that it has spent."""
    rows = []
    for node, said in about["filters"].items():
        for one in said["filters"]:
            given = {key: value for key, value in one.items() if key not in _ABOUT_FILTERS}
            name = name_in_words(f"{one.get('filter', '')}")
            name += f" ({arguments_in_words(given)})" if given else ""
            rows.append([node, name, str(one.get("by", "")), str(one.get("answers", "")), ""])
        if "epsilon" in said:
            budget = f"epsilon {_text(said['epsilon'])}, delta {_text(said['delta'])}"
            rows[-1][-1] = f"{budget}, {said['holds']}"  # once: it is of all the node's filters
    return _without_end(
        ["node", "filter", "set by", "answers", "budget spent by all of them"], rows
    )


def _without_end(header: list[str], rows: list[list[str]]) -> ReportTable:
    """Return a table with a row per node, as far as it is not too long."""
    hidden = len(rows) - _MOST_ROWS
    return ReportTable(header, rows[:_MOST_ROWS]).with_note(hidden, "more rows are in run.json")


def _without_middle(header: list[str], rows: list[list[str]]) -> ReportTable:
    """Return a table with a row per round; of a long one its beginning and its end."""
    hidden, half = len(rows) - _MOST_ROUNDS, _MOST_ROUNDS // 2
    kept = rows if hidden <= 0 else rows[:half] + rows[-half:]
    return ReportTable(header, kept).with_note(hidden, "rounds in the middle are in history.csv")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return "" if value is None else str(value)
