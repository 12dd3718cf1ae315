"""Advice about reductions and convergence."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from flwr.serverapp.strategy import FedAdam, FedAvg, FedMedian

from flame_flwr.aggregation import (
    Concat,
    DeltaNorm,
    FlowerReduction,
    Function,
    Max,
    MaxRounds,
    Mean,
    Merge,
    MergeCounts,
    Min,
    PerNode,
    Plateau,
    Sum,
    WeightedMean,
)
from flame_flwr.star import (
    StarModel,
)
from flame_flwr.statistics import Moments
from flame_flwr.strategies import ReduceStrategy

from .case import Attempt, Case, Echo, First, arguments, run, value_of


def reduced(make: Callable[..., Any], *values: Any, **given: Any) -> Attempt:
    """Merge values, with the reduction that the code's arguments make."""
    return lambda code: run(list(values), ReduceStrategy(make(**given, **arguments(code))))


def at_key(make: Callable[..., Any], *values: Any, **given: Any) -> Attempt:
    """Merge what stands at the key ``x``."""

    def attempt(code: str | None) -> Any:
        return run(list(values), ReduceStrategy({"x": make(**given, **arguments(code))}))

    return attempt


def _odd_one(make: Callable[..., Any], odd: Any) -> Attempt:
    """Merge an odd value after two of 1.0, of which alone the result is to come."""

    def attempt(code: str | None) -> None:
        given = {"by": "n"} if make is WeightedMean else {}
        splits = [{"x": x, "n": 3} for x in (1.0, 1.0, odd)]
        result = run(splits, ReduceStrategy({"x": make(**given, **arguments(code))}))
        assert result["x"] == (2.0 if make is Sum else 1.0)

    return attempt


def _flowers(**given: Any) -> FlowerReduction:
    return FlowerReduction(FedAvg(), **given)


_EVERY = {"Function": lambda **more: Function(len, **more), "FlowerReduction": _flowers}
_EVERY |= {kind.__name__: kind for kind in (Sum, Mean, Min, Max, MergeCounts, PerNode)}
_TEXTS = pd.DataFrame({"a": ["x"]})

MISSING = r'or declare (missing="skip") to leave the node out of this key'
DIFFERING = r'or declare (differing="skip") to leave the fewer out'
ZERO = r'or declare (zero_total="none") to have None'
NON_FINITE = r'or declare (non_finite="skip") to leave its whole answer out of the round'
BAD = r'or declare (bad_weight="skip") to leave it out'

REDUCTIONS = [
    *(
        Case(f"missing, {name}", MISSING, at_key(kind, {"x": value}, {"y": 1}))
        for name, kind in _EVERY.items()
        for value in [collections.Counter("a") if name == "MergeCounts" else np.array([1.0])]
    ),
    *(
        Case(
            f"missing, {type(server).__name__}",
            MISSING,
            at_key(
                lambda server=server, **more: FlowerReduction(server, by="n", **more),
                {"x": 1.0, "n": 1},
                {"n": 1},
            ),
        )
        for server in (FedAdam(), FedMedian())
    ),
    Case("missing, Concat", MISSING, at_key(Concat, {"x": [1]}, {})),
    Case("missing, Merge", MISSING, at_key(Merge, {"x": Moments.from_data([1])}, {})),
    Case("missing, WeightedMean", MISSING, at_key(WeightedMean, {"x": 1, "n": 2}, {}, by="n")),
    *(
        Case(f"{about}, {kind.__name__}", pattern, _odd_one(kind, odd))
        for kind in (Sum, Mean, Min, Max, WeightedMean)
        for about, pattern, odd in [
            ("an array", DIFFERING, np.ones(2)),
            ("a list", DIFFERING, [1.0, 2.0]),
            ("a dict", DIFFERING, {"a": 1.0}),
            ("NaN", NON_FINITE, np.array(np.nan)),
        ]
    ),
    Case("weights of zero", ZERO, at_key(WeightedMean, {"x": 1.0, "n": 0}, by="n")),
    Case(
        "a bad weight", BAD, at_key(WeightedMean, {"x": 1.0, "n": 1}, {"x": 1.0, "n": -1}, by="n")
    ),
    Case(
        "a bad weight, Flower's",
        BAD,
        at_key(_flowers, *({"x": 1.0, "n": n} for n in (1, -1)), by="n"),
    ),
    Case(
        "other columns, in common",
        r'Declare (columns="common") or',
        reduced(Concat, pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1], "b": [1]})),
    ),
    Case(
        "other columns, all",
        r'or (columns="all") to go on',
        reduced(Concat, pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1], "b": [1]})),
    ),
    *(
        Case(
            f"no number, {pattern}",
            pattern,
            lambda code: run([_TEXTS, _TEXTS], ReduceStrategy(value_of(code, Sum()))),
        )
        for pattern in (r"declare (PerNode\(\)),", r"PerNode\(\), (Concat\(\)) or")
    ),
    Case(
        "texts one after another",
        r"cannot be put one after another: use (PerNode\(\))",
        lambda code: run(["a", "b"], ReduceStrategy(value_of(code, Concat()))),
    ),
    *(
        Case(
            f"no reduction, {pattern}",
            pattern,
            lambda code: run(
                [{"x": 1.0, "n": 1}],
                ReduceStrategy({"x": value_of(code and code.replace("...", "'n'"), 3)}),
            ),
        )
        for pattern in (
            r"is no reduction: declare (Sum\(\)),",
            r"is no reduction: .* (Mean\(\)),",
            r"is no reduction: .* (WeightedMean\(by=\.\.\.\)),",
        )
    ),
    Case(
        "no strategy of Flower's",
        r"takes one of Flower's strategies, such as (FedAdam\(eta=0\.1\))",
        lambda code: FlowerReduction(value_of(code, "FedAdam")),
    ),
    Case(
        "no reductions",
        r"declare its reductions: \{?\w+(?:\.__name__)?\}?\((\{\{?'coef': Mean\(\)\}\}?)\)",
        lambda code: ReduceStrategy(*([value_of(code, None)] if code else [])),
    ),
    Case(
        "no convergence",
        r"convergence must be (MaxRounds\(\.\.\.\), DeltaNorm\(\.\.\.\), Plateau\(\.\.\.\))",
        lambda code: (
            StarModel(Echo, First, "s3", convergence=3) if code is None else _each_convergence(code)
        ),
    ),
]


def _each_convergence(code: str) -> None:
    made = {"MaxRounds": MaxRounds(3), "DeltaNorm": DeltaNorm("x", 1.0), "Plateau": Plateau("x", 3)}
    for name in re.findall(r"\w+", code):
        StarModel(Echo, First, "s3", convergence=made[name] | made["MaxRounds"])
        StarModel(Echo, First, "s3", convergence=made[name] & made["MaxRounds"])
