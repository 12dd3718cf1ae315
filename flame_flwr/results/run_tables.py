"""A run as tables: what a tester shows at a prompt and in a notebook.

They are made of what ``run.json`` says of the run, so that what is not shown there is not in them.
Importing this module imports pandas.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import pandas as pd

from flame_flwr.results.metric_means import metric_names, reported_names, round_means
from flame_flwr.text.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.results.run_record import RoundRecord

__all__ = ["History", "history_frame", "node_frame", "run_html", "run_text"]

_MOST_ROWS = 40


class History(pd.DataFrame):
    """The rounds of a run; ``history[-1]`` is the record of the last one, with each node's part.

    What is selected of it, or computed, is a plain DataFrame or Series.
    """

    # pandas copies and pickles the attributes of these names. There is no `_constructor`, so that
    # what is computed of a history is none any more.
    _metadata = ["_records", "_saved"]
    _records: Sequence[RoundRecord]
    _saved: Sequence[RoundRecord]

    def __getitem__(self, key: Any) -> Any:
        """Return the record of a round by its place, from 0; else what a DataFrame does."""
        if isinstance(key, int):
            return self._records[key]
        return super().__getitem__(key)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is saved: records as they may be shown, for a file may go on to others."""
        state: Any = super().__getstate__()
        return {**state, "_records": self._saved}


def history_frame(
    about: Mapping[str, Any],
    records: Sequence[RoundRecord],
    *,
    saved: Sequence[RoundRecord] = (),
) -> History:
    """Return one row per round.

    Parameters
    ----------
    about : dict
        What ``run.json`` says.
    records : list of RoundRecord
        The rounds, with all there is to know of them.
    saved : list of RoundRecord
        The same as they may be shown.

    Returns
    -------
    History
        By ``round``, from 1: ``nodes`` (how many answered), ``failed``, ``seconds``, ``bytes``
        (of all answers), ``change`` (of the aggregate), a column per metric (its mean over
        the nodes that reported it, weighted where the round's line says so) and ``reason``, why
        the run ended there. A metric that is called like one of these has its place.
    """
    history = about["history"]
    names = reported_names(history)
    rows = [
        {
            "nodes": len(entry["node_seconds"]),
            "failed": len(entry["failed"]),
            "seconds": entry["seconds"],
            "bytes": sum(entry["node_bytes"].values()),
            "change": entry["change"],
            **round_means(entry["node_metrics"], entry["metrics"]),
        }
        for entry in history
    ]
    index = pd.Index([entry["round"] for entry in history], name="round", dtype="int64")
    columns = dict.fromkeys([*_COUNTS, "seconds", "bytes", "change", *names])
    frame = pd.DataFrame(rows, index=index, columns=list(columns))
    # A metric that is called like a count has its place, and need not be whole.
    whole = [name for name in (*_COUNTS, "bytes") if name not in names]
    frame = frame.astype({name: "int64" if name in whole else "float64" for name in columns})
    found = History(
        frame.assign(
            reason=pd.Series([entry["reason"] for entry in history], index, dtype="object")
        )
    )
    found._records, found._saved = records, saved
    return found


def node_frame(about: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row per node: rounds answered, seconds, bytes, metrics of the last round."""
    history = about["history"]
    last = history[-1]["node_metrics"] if history else {}
    names = metric_names([last])
    rows = []
    for node in about["nodes"]:
        answered = [entry for entry in history if node in entry["node_seconds"]]
        rows.append(
            {
                "rounds": len(answered),
                "seconds": sum(entry["node_seconds"][node] for entry in answered),
                "bytes": sum(entry["node_bytes"].get(node, 0) for entry in answered),
                **{name: last.get(node, {}).get(name) for name in names},
            }
        )
    return pd.DataFrame(rows, index=pd.Index(about["nodes"], name="node"))


def run_text(about: Mapping[str, Any]) -> str:
    """Return a run for a prompt."""
    rounds = history_frame(about, ()).to_string(
        max_rows=_MOST_ROWS, formatters=_formats(about), na_rep=""
    )
    return f"{_title(about)}\n{rounds}" if about["history"] else _title(about)


def run_html(about: Mapping[str, Any]) -> str:
    """Return a run for a notebook: why it stopped, its rounds, its nodes, its evaluation."""
    parts = [f"<p>{html.escape(_title(about))}</p>"]
    tables: list[tuple[str, pd.DataFrame]] = []
    if about["history"]:
        tables += [("Rounds", history_frame(about, ())), ("Nodes", node_frame(about))]
    if about["evaluations"]:
        scores = pd.DataFrame.from_dict(about["evaluations"], orient="index")
        tables.append(("Evaluation", scores.rename_axis("node")))
    for title, table in tables:
        shown = table.to_html(max_rows=_MOST_ROWS, formatters=_formats(about), na_rep="")
        parts.append(f"<p><b>{title}</b></p>{shown}")
    return "".join(parts)


_COUNTS = ("nodes", "failed")


def _formats(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return how columns are written: seconds to the hundredth, others to five digits."""
    names = reported_names(about["history"])
    names += metric_names([about["evaluations"]])
    shown = dict.fromkeys(["change", *names], _figure)
    return {"seconds": "{:.2f}".format, **shown}


def _figure(value: float) -> str:
    return "" if value != value else f"{value:.5g}"


def _title(about: Mapping[str, Any]) -> str:
    """Return how many rounds and nodes there were, and why it stopped."""
    counts = f"{counted(about['rounds'], 'round')}, {counted(len(about['nodes']), 'node')}"
    reason = about["reason"]
    return f"StarModelTester: {counts}" + (f"; {reason}" if reason else "")
