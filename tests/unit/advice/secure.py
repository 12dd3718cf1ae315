"""Advice about secure sums: what a message proposes can be summed, or run."""

from __future__ import annotations

from typing import Any

import pandas as pd

from flame_flwr.aggregation import Function, MergeCounts, PerNode, Sum, WeightedMean
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.clients.node import NodePlan
from flame_flwr.config import RunSettings
from flame_flwr.statistics import ValueCounts
from flame_flwr.strategies import MergeStatistics, ReduceStrategy, StarStrategy

from .case import NAMES, Case, Echo, arguments, run, value_of

_THREE = [{"x": 1.0, "n": 2}] * 3


def _declared(mistake: Any, value: Any = 1.0, **names: Any) -> Any:
    """Sum a key as is declared wrongly, or as the message says."""

    def attempt(code: str | None) -> None:
        reduction = value_of(code and code.replace("...", "'n'"), mistake, **names)
        run([{"x": value, "n": 2}] * 3, ReduceStrategy({"x": reduction}, secure=True))

    return attempt


def _counts(code: str | None) -> None:
    code = code and code.replace("...", "'f', 'm'")
    reduction = value_of(code, MergeCounts())
    run([{"x": {"f": 3}}] * 3, ReduceStrategy({"x": reduction}, secure=True))


def _by(code: str | None) -> None:
    by = arguments(code) or {"by": lambda answer: answer["n"]}
    run(_THREE, ReduceStrategy({"x": WeightedMean(**by)}, secure=True))


def _labels(code: str | None) -> None:
    column = ["f", "m"]
    code = code and code.replace("...", "'f', 'm'")
    counts = value_of(code, ValueCounts.from_data(column), ValueCounts=ValueCounts, column=column)
    run([{"x": counts}] * 3, MergeStatistics(secure=True))


def _series(code: str | None) -> None:
    series = pd.Series([1.0, 2.0])
    value = value_of(code and f"series{code}", series, series=series)
    run([{"x": value}] * 3, ReduceStrategy({"x": Sum()}, secure=True))


def _weightless(code: str | None) -> None:
    reduction = value_of(code and code.replace("by=...", "by='n'"), WeightedMean("n"))
    run([*_THREE, {"n": 0}], ReduceStrategy({"x": reduction}, secure=True))


class _Scored(Echo):
    def evaluation_method(self, data: Any, result: Any) -> Any:
        return {"auc": 0.5, "n_test": 3}


def _scores(code: str | None) -> None:
    run(_THREE, ReduceStrategy({"n": Sum()}, secure=True, **arguments(code)), _Scored)


def _written(code: str | None) -> None:
    names = NAMES | {"ReduceStrategy": ReduceStrategy}
    code = code and code.replace("'coef'", "'x'")
    run(_THREE, eval(code, names) if code else StarStrategy(None), secure=True)


def _runs(strategy: Any, config: dict[str, Any], *, node: dict[str, Any] | None = None) -> None:
    plan = NodePlan(Echo, data_type="s3", secure=strategy.secure is True)
    with LocalGrid(plan, _THREE, run_config=config) as grid:
        for context in grid.contexts.values():
            context.node_config = {**context.node_config, **(node or {})}
        settings = RunSettings.from_config({"nodes": 3, **config})
        strategy.start(grid, settings=settings)


def _required(code: str | None) -> None:
    given = arguments(code) if code and " = " not in code else {}
    config = {"secure": True} if code and " = " in code else {}
    _runs(ReduceStrategy({"n": Sum()}, **given), config, node={"secure": "require"})


def _on_failure(code: str | None) -> None:
    config = {"on-failure": "skip" if code is None else code.strip('"')}
    _runs(ReduceStrategy({"n": Sum()}, secure=True), config)


SECURE = [
    Case("no sum, a mean", r"is no sum: .* (WeightedMean\(by=\.\.\.\)),", _declared(PerNode())),
    Case("no sum, a function", r"declare (Sum\(\)), Mean\(\), Weig", _declared(Function(max))),
    Case(
        "no sum, counts",
        r"is no sum: .* (MergeCounts\(labels=\[\.\.\.\]\)) or",
        lambda code: _counts(code) if code else _declared(PerNode())(None),
    ),
    Case("counts without labels", r"name them, (MergeCounts\(labels=\[\.\.\.\]\)), as", _counts),
    Case("weighted by a function", r'name the key of the weight, (by="n")', _by),
    Case("labels that are found", r"the same, (ValueCounts\.from_data\(.*?\]\))", _labels),
    Case("labels of a Series", r"would send in clear: send (\.to_numpy\(\)),", _series),
    Case("weight 0 without a form", r"such as (WeightedMean\(by=\.\.\., like=0\.0\))", _weightless),
    Case("scores", r"are merged, (score_sums=\{'auc': WeightedMean\('n_test'\)\})", _scores),
    Case("a written aggregator", r"such as (ReduceStrategy\(\{'n'.*secure=True\))", _written),
    Case("a node that requires it", r"declare (secure=True) in the model, or", _required),
    Case("a run that requires it", r"or `(secure = true)` in the run config", _required),
    Case("nodes left out", r'Use ("abort"), or "wait", which', _on_failure),
]
"""What is declared, and what runs."""
