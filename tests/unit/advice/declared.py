"""Advice about declared strategies: what a message proposes can be declared there, and helps."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from flwr.serverapp.strategy import (
    DifferentialPrivacyClientSideFixedClipping,
    DifferentialPrivacyServerSideFixedClipping,
    FedAdam,
    FedAvg,
    FedMedian,
    FedProx,
    FedXgbBagging,
    FedXgbCyclic,
    QFedAvg,
    Strategy,
)

from flame_flwr.aggregation import MaxRounds, Mean, PerNode
from flame_flwr.statistics import Moments
from flame_flwr.strategies import (
    FedNova,
    MergeStatistics,
    ReduceStrategy,
    Scaffold,
    WeightedFedAvg,
)

from .case import Attempt, Case, Echo, arguments, run, value_of

GOOD = {"model": np.ones(3), "local_n_samples": 5, "loss": 1.0}
BAD = {
    "no model": {"local_n_samples": 5, "loss": 1.0},
    "no metric": {"model": np.ones(3), "local_n_samples": 5},
    "no weight": {"model": np.ones(3), "loss": 1.0},
    "a weight below zero": {**GOOD, "local_n_samples": -1},
    "a weight of NaN": {**GOOD, "local_n_samples": np.nan},
    "another shape": {**GOOD, "model": np.ones(4)},
    "infinity": {**GOOD, "model": np.array([1.0, np.inf, 1.0])},
    "a metric of NaN": {**GOOD, "loss": np.nan},
}
PROPOSED = {
    "missing": r'or declare (missing="skip") to leave the node out of this key',
    "bad_weight": r'or declare (bad_weight="skip") to leave it out',
    "differing": r'or declare (differing="skip") to leave the fewer out',
    "non_finite": r'or declare (non_finite="skip") to leave its whole answer out',
    "keep": r'declare (non_finite="skip" to leave its whole answer out of the round, or "keep") to',
}
OF_BAD = {
    **dict.fromkeys(("no model", "no metric"), ("missing",)),
    **{name: ("bad_weight",) for name in BAD if "weight" in name},
    "another shape": ("differing",),
    **dict.fromkeys(("infinity", "a metric of NaN"), ("non_finite", "keep")),
}
SERVERS: dict[str, Callable[[], Strategy | None]] = {
    "no server": lambda: None,
    "FedAdam": FedAdam,
    "FedMedian": FedMedian,
}


def _words(code: str | None) -> dict[str, Any]:
    """Return what is declared, of one word or of the last of two."""
    return arguments(code and re.sub(r'="\w+" .* or (?=")', "=", code))


def _fedavg(bad: dict[str, Any], make: Callable[[], Strategy | None]) -> Attempt:
    """Merge an odd answer between two good ones, which are alike."""

    def attempt(code: str | None) -> None:
        given, splits = _words(code), [GOOD, bad, GOOD]
        declared = WeightedFedAvg(metrics=["loss"], server=make(), **given)
        by_class = type("Declared", (WeightedFedAvg,), {"metrics": ("loss",), **given})
        results = [run(splits, strategy) for strategy in (declared, by_class(server=make()))]
        for result in results:
            if "keep" not in given.values():
                assert result["model"].tolist() == [1.0] * 3
                assert result["loss"] == 1.0

    return attempt


def _of_no_weight(make: Callable[[], Strategy | None]) -> Attempt:
    def attempt(code: str | None) -> None:
        strategy = WeightedFedAvg(
            metrics=["loss"], server=make(), convergence=MaxRounds(2), **arguments(code)
        )
        result = run([{**GOOD, "local_n_samples": 0}] * 2, strategy)
        assert result == {"model": None, "loss": None}

    return attempt


def _statistics(code: str | None) -> None:
    splits = [{"a": Moments.from_data([1.0, 3.0])}, {}]
    assert run(splits, MergeStatistics(**arguments(code)))["a"]["mean"] == 2.0


def _converging(make: Callable[..., Any]) -> Attempt:
    def attempt(code: str | None) -> None:
        strategy = make(**arguments(code))
        split = {"x": {"y": 1}, "model": {"a": 1.0}, "local_n_samples": 1}
        values = [Moments.zero() if make is MergeStatistics else split] * 2
        run(values, strategy, simple_analysis=False)

    return attempt


def _of_flowers(make: Callable[[], Strategy]) -> Attempt:
    """Give a strategy of Flower's as `server`; its filters in place of it."""

    def attempt(code: str | None) -> None:
        given = arguments(code)
        run([GOOD] * 2, WeightedFedAvg(server=FedAvg() if given else make()), **given)

    return attempt


def _fedprox(code: str | None) -> None:
    """Have the analyzer say that it trains with the term."""
    name, _, mu = (code or "").partition(" = ")
    analyzer = type("Drawn", (Echo,), {name: float(mu)}) if code else Echo
    run([GOOD] * 2, WeightedFedAvg(server=FedProx(proximal_mu=10)), analyzer)


def _algorithm(make: Callable[[], ReduceStrategy]) -> Attempt:
    """Have the analyzer say that it trains for a strategy, and send what that merges."""
    beside = {"control_change": np.ones(3), "local_steps": 2, "rows_per_step": 2.5}
    beside |= {"buffer_values": {}}
    answer = {**GOOD, **beside, "model": {"w": np.ones(3)}, "start": {"w": np.ones(3)}}

    def attempt(code: str | None) -> None:
        name, _, value = (code or "").partition(" = ")
        analyzer = type("Trained", (Echo,), {name: value.strip('"')}) if code else Echo
        run([answer] * 2, make(), analyzer)

    return attempt


def _trees(make: Callable[[], Strategy]) -> Attempt:
    def attempt(code: str | None) -> None:
        strategy: Any = WeightedFedAvg(server=make()) if code is None else None
        for merge in (value_of(code, PerNode()), len):  # a function of the list, too
            run([{"model": b"trees"}] * 2, strategy or ReduceStrategy({"model": merge}))

    return attempt


def _texts(make: Callable[[], Any]) -> Attempt:
    """Merge what is no number with a mean, then as the message says."""

    def attempt(code: str | None) -> None:
        text = ["text"] if code == "Concat()" else "text"
        reduction = len if code and "function" in code else value_of(code, None)
        strategy = ReduceStrategy({"model": reduction}) if code else make()
        run([{**GOOD, "model": text}] * 2, strategy)

    return attempt


_PRIVATE = {
    "client side": lambda: DifferentialPrivacyClientSideFixedClipping(FedAvg(), 1.0, 1.0, 2),
    "server side": lambda: DifferentialPrivacyServerSideFixedClipping(FedAvg(), 1.0, 1.0, 2),
}
_FILTERS = r"StarModel\(\.\.\., (filters=\[.*?\])\)"
_CONVERGENCE = (
    r"give it one, such as (convergence=MaxRounds\(10\)(?: \| DeltaNorm\(.*?\)|\{norm\})?)"
)

DECLARED = [
    *(
        Case(f"WeightedFedAvg, {server}, {bad}: {word}", PROPOSED[word], _fedavg(BAD[bad], make))
        for server, make in SERVERS.items()
        for bad, words in OF_BAD.items()
        for word in words
    ),
    *(
        Case(
            f"WeightedFedAvg, {server}, weights of zero",
            r'or declare (zero_total="none") to have None',
            _of_no_weight(make),
        )
        for server, make in SERVERS.items()
    ),
    Case("FedProx's term", r"Say `(fedprox_mu = (?:10|\{mu\}))` in that class", _fedprox),
    *(
        Case(
            f"training for {make.__name__}",
            rf'Say `(algorithm = "(?:{make.__name__.lower()}|\{{needed\}})")` in that class',
            _algorithm(make),
        )
        for make in (Scaffold, FedNova)
    ),
    Case("MergeStatistics, missing", r'or declare (missing="skip")', _statistics),
    *(
        Case(f"rounds without an end, {name}", _CONVERGENCE, _converging(make))
        for name, make in {
            "WeightedFedAvg": WeightedFedAvg,
            "FedAdam": lambda **more: WeightedFedAvg(server=FedAdam(), **more),
            "keys": lambda **more: ReduceStrategy(
                {"x": {"y": PerNode()}, "model": {"a": Mean()}}, **more
            ),
            "the whole": lambda **more: ReduceStrategy(Mean(), **more),
            "MergeStatistics": MergeStatistics,
        }.items()
    ),
    *(
        Case(f"{name} privacy of Flower's", _FILTERS, _of_flowers(make))
        for name, make in _PRIVATE.items()
    ),
    Case(
        "privacy of Flower's, clipping",
        r"StarModel\(\.\.\., filters=\[.*?\]\), or (Clip\(1\.0\));",
        lambda code: _of_flowers(_PRIVATE["client side"])(code and f"filters=[{code}]"),
    ),
    *(
        Case(f"trees, {make.__name__}", r"in a ReduceStrategy, with (PerNode\(\))", _trees(make))
        for make in (FedXgbBagging, FedXgbCyclic)
    ),
    Case(
        "QFedAvg",
        r"that they send, with (WeightedFedAvg\(by=\"loss\"\))",
        lambda code: run(
            [GOOD] * 2,
            value_of(code, None, WeightedFedAvg=WeightedFedAvg)
            or WeightedFedAvg(server=QFedAvg(client_learning_rate=0.1)),
        ),
    ),
    *(
        Case(f"no number, {name}, {which}", pattern, _texts(make))
        for name, make in {
            "WeightedFedAvg": WeightedFedAvg,
            "Mean": lambda: ReduceStrategy({"model": Mean()}),
        }.items()
        for which, pattern in {
            "PerNode": r"or declare (PerNode\(\)), Concat",
            "Concat": r"or declare PerNode\(\), (Concat\(\)) or a function",
            "a function": r"Concat\(\) or (a function of the list) for it in a ReduceStrategy",
        }.items()
    ),
]
