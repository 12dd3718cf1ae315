"""Means of metrics over the nodes that are weighted, and by what: for lines, report and events."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flame_flwr.means import by_test_rows
from flame_flwr.metrics import TEST_ROWS, readable, rows_tested

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["metric_names", "of_a_round", "of_scores", "plain", "reported_names"]

Weighted = dict[str, tuple[float, str]]
"""Means by name, with the key of what they are weighted by."""


def of_a_round(
    nodes: Mapping[str, Mapping[str, float]],
    aggregate: Any,
    declared: Mapping[str, str],
    rows: Mapping[str, float | None],
) -> Weighted:
    """Return a round's weighted means: those that the strategy declares, and scores of test data.

    Parameters
    ----------
    nodes : dict of str to dict
        Each node's metrics.
    aggregate : Any
        Has the declared ones, merged as declared.
    declared : dict of str to str
        Their keys, and what weighs them; empty where that is not said.
    rows : dict of str to float or None
        How many rows each node has tested with.
    """
    others = {
        node: {name: value for name, value in metrics.items() if name not in declared}
        for node, metrics in nodes.items()
    }
    found: Weighted = {name: (mean, TEST_ROWS) for name, mean in by_test_rows(others, rows).items()}
    if isinstance(aggregate, dict):
        shared = set(metric_names([nodes])).intersection(declared, aggregate)
        # The aggregate's own value counts: the strategy has weighted it exactly.
        merged = readable({name: plain(aggregate[name]) for name in shared})
        found |= {
            name: (float(value), declared[name])
            for name, value in merged.items()
            if declared[name] and math.isfinite(value)
        }
    return {name: found[name] for name in metric_names([nodes]) if name in found}


def of_scores(evaluations: Mapping[str, Mapping[str, float]]) -> Weighted:
    """Return the evaluation's means that are weighted by ``n_test``, where nodes give it.

    Parameters
    ----------
    evaluations : dict of str to dict
        Each node's scores.
    """
    rows = {node: rows_tested(scores) for node, scores in evaluations.items()}
    means = by_test_rows(evaluations, rows, every=True)
    return {name: (mean, TEST_ROWS) for name, mean in means.items()}


def metric_names(rounds: Iterable[Mapping[str, Mapping[str, float]]]) -> list[str]:
    """Return the names of all metrics, in the order in which they come up.

    Parameters
    ----------
    rounds : iterable of dict
        The metrics of each node, by its name.
    """
    return list(
        dict.fromkeys(name for nodes in rounds for found in nodes.values() for name in found)
    )


def reported_names(history: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of all metrics of the rounds, as ``run.json`` has these."""
    return metric_names(entry["node_metrics"] for entry in history)


def plain(value: Any) -> Any:
    """Return an array with one entry as a number, and anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () else value
