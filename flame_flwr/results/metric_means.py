"""Means of metrics over the nodes, weighted or plain, and the line that shows them."""

from __future__ import annotations

import math
import operator
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from flame_flwr.metrics import LONGEST, TEST_ROWS, is_of_tests, readable, rows_tested
from flame_flwr.text.shown_text import shown_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "by_test_rows",
    "mean",
    "metric_names",
    "of_a_round",
    "of_scores",
    "plain",
    "reported_names",
    "round_means",
    "summary",
    "weighted_mean",
]

_IN_A_LINE = 6
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


def of_all_nodes(evaluations: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Return the evaluation's means of the scores that all nodes gave.

    They are those of :func:`of_scores`, and plain ones of all others.

    Parameters
    ----------
    evaluations : dict of str to dict
        Each node's scores; of one node at least.
    """
    scores, weighted = list(evaluations.values()), of_scores(evaluations)
    return {
        name: weighted[name][0]
        if name in weighted
        else float(sum(score[name] for score in scores) / len(scores))
        for name in scores[0]
        if all(name in score for score in scores)
    }


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


def by_test_rows(
    nodes: Mapping[str, Mapping[str, float]],
    rows: Mapping[str, float | None],
    *,
    every: bool = False,
) -> dict[str, float]:
    """Return the means of scores of test data, weighted by the rows that each node has tested with.

    Left out are those that a node gave without saying how many rows it tested with: of these only
    the plain mean is known.

    Parameters
    ----------
    nodes : dict of str to dict
        Each node's numbers.
    rows : dict of str to float or None
        How many rows each has tested with.
    every : bool
        All numbers are scores of test data, as in an evaluation, but for whole numbers, which are
        counts. By default those are whose name begins with ``test_``.

    Examples
    --------
    >>> scores = {"a": {"test_loss": 1.0}, "b": {"test_loss": 4.0}, "c": {}}
    >>> by_test_rows(scores, {"a": 90, "b": 10, "c": None})
    {'test_loss': 1.3}
    """
    names = dict.fromkeys(name for numbers_of in nodes.values() for name in numbers_of)
    found = {}
    for name in names:
        values = {node: said[name] for node, said in nodes.items() if name in said}
        counts = all(isinstance(value, int) for value in values.values())  # such as true positives
        if name == TEST_ROWS or not (is_of_tests(name) or (every and not counts)):
            continue
        mean = weighted_mean([(value, rows.get(node)) for node, value in values.items()])
        if mean is not None:
            found[name] = mean
    return found


def weighted_mean(pairs: Iterable[tuple[float, float | None]]) -> float | None:
    """Return ``sum(w * x) / sum(w)``; ``None`` where a weight is unknown, or all are zero.

    Parameters
    ----------
    pairs : iterable of (float, float or None)
        Values with their weights. The value of a weight of zero is not looked at; another that is
        not finite gives ``None`` too.
    """
    counted = [(value, weight) for value, weight in pairs if weight != 0]
    weights = [weight for _, weight in counted if weight is not None]
    if not counted or len(weights) < len(counted):
        return None
    if not all(math.isfinite(value) for value, _ in counted):
        return None
    values = [value for value, _ in counted]
    # fsum rounds once: the order in which nodes answer does not show in the last digits.
    with suppress(OverflowError):
        mean = math.fsum(map(operator.mul, values, weights)) / math.fsum(weights)
        if math.isfinite(mean):
            return mean
    shares = list(map(Fraction, weights))  # too large for floats, and slow
    return float(sum(map(operator.mul, map(Fraction, values), shares)) / sum(shares))


def summary(
    nodes: Iterable[Mapping[str, float]], weighted: Mapping[str, tuple[float, str]] | None = None
) -> str:
    """Return several nodes' metrics for a line: the mean of each, and its range.

    Where no weight is named it is the plain mean over the nodes.

    Parameters
    ----------
    nodes : iterable of dict
        Each node's.
    weighted : dict of str to (float, str), optional
        Means that are not plain, and what they are weighted by.

    Examples
    --------
    >>> summary([{"loss": 0.25, "auc": 0.9}, {"loss": 0.75}])
    'loss 0.5 (0.25 to 0.75), auc 0.9'
    >>> summary([{"loss": 0.25}, {"loss": 0.75}], {"loss": (0.3, "n")})
    'loss 0.3 (weighted by n, 0.25 to 0.75)'
    """
    weighted = weighted or {}
    labels = {_shown(name): (value, _shown(by)) for name, (value, by) in weighted.items()}
    values: dict[str, list[float]] = {}
    for metrics in nodes:
        for name, value in metrics.items():
            values.setdefault(_shown(name), []).append(value)
    parts = [
        f"{name} {_spread(found, *labels.get(name, ()))}"
        for name, found in list(values.items())[:_IN_A_LINE]
    ]
    hidden = len(values) - len(parts)
    return ", ".join([*parts, f"and {hidden} more"] if hidden else parts)


def round_means(
    nodes: Mapping[str, Mapping[str, float]], weighted: Mapping[str, float]
) -> dict[str, float]:
    """Return the mean of each metric of a round: weighted where it is in `weighted`, else plain."""
    values = {
        name: [found[name] for found in nodes.values() if name in found]
        for name in metric_names([nodes])
    }
    return {
        name: weighted[name] if name in weighted else mean(found) for name, found in values.items()
    }


def mean(values: Iterable[float]) -> float:
    """Return the plain mean; nan where one of them is no number. No value is too large."""
    found = [float(value) for value in values]
    if not found or not all(map(math.isfinite, found)):
        return math.nan
    try:
        return math.fsum(found) / len(found)
    except OverflowError:  # of the sum: the mean itself is between the smallest and the largest
        return float(sum(map(Fraction, found)) / len(found))


def _shown(text: str) -> str:
    return shown_text(text, LONGEST)


def _spread(values: list[float], weighted: float | None = None, by: str = "") -> str:
    odd = sum(not math.isfinite(value) for value in values)
    # Of a weighted mean all numbers that count are finite: see `weighted_mean`.
    if odd and weighted is None:
        return f"{values[0]:g}" if len(values) == 1 else f"not finite at {odd} of {len(values)}"
    low, high = min(values), max(values)
    spread = "" if low == high else f"{low:.4g} to {high:.4g}"
    if odd:  # at nodes of weight 0, which do not count
        spread = f"not finite at {odd} of {len(values)}"
    if weighted is not None:
        return f"{weighted:.4g} ({', '.join(filter(None, (f'weighted by {by}', spread)))})"
    text = f"{mean(values):.4g}"
    return f"{text} ({spread})" if spread else text
