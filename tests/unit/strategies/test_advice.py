"""What a message about a declared strategy proposes can be declared there, and helps."""

import re

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAdam, FedMedian

import flame_flwr.aggregation as aggregation
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
    Sum,
    WeightedMean,
)
from flame_flwr.errors import DataError, FlameError, ModelError
from flame_flwr.star import StarAnalyzer, StarModelTester
from flame_flwr.statistics import Moments
from flame_flwr.strategies import MergeStatistics, ReduceStrategy, WeightedFedAvg


class Says(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data


def run(strategy, splits, **more):
    return StarModelTester(splits, Says, strategy, "s3", **more)


def proposed(strategy, splits):
    """Return what the message proposes, by name."""
    with pytest.raises(FlameError) as caught:
        run(strategy(), splits)
    found = re.findall(r'(\w+)="(\w+)"', caught.value.message)
    assert found, caught.value.message
    return found, caught.value.message


GOOD = {"model": np.ones(3), "local_n_samples": 5, "loss": 1.0}
BAD = [
    {"local_n_samples": 5, "loss": 1.0},
    {"model": np.ones(3), "local_n_samples": 5},
    {"model": np.ones(3), "loss": 1.0},
    {**GOOD, "model": np.ones(4)},
    {**GOOD, "local_n_samples": -1},
    {**GOOD, "local_n_samples": np.nan},
    {**GOOD, "model": np.array([1.0, np.inf, 1.0])},
    {**GOOD, "loss": np.nan},
]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("server", [None, FedAdam(), FedMedian()])
def test_of_weighted_fedavg(server, bad):
    def strategy(**more):
        return WeightedFedAvg(metrics=["loss"], server=server, **more)

    splits = [GOOD, bad, GOOD]
    found, _ = proposed(strategy, splits)
    for name, word in found:
        result = run(strategy(**{name: word}), splits).result
        if word != "keep":
            assert result["model"].tolist() == [1.0] * 3
            assert result["loss"] == 1.0

        class Declared(WeightedFedAvg):
            metrics = ("loss",)

        setattr(Declared, name, word)
        run(Declared(server=server), splits)


@pytest.mark.parametrize("server", [None, FedAdam(), FedMedian()])
def test_of_weighted_fedavg_where_nobody_has_a_weight(server):
    def strategy(**more):
        return WeightedFedAvg(metrics=["loss"], server=server, convergence=MaxRounds(2), **more)

    found, _ = proposed(strategy, [{**GOOD, "local_n_samples": 0}] * 2)
    assert found == [("zero_total", "none")]
    got = run(strategy(zero_total="none"), [{**GOOD, "local_n_samples": 0}] * 2)
    assert got.result == {"model": None, "loss": None}


def test_of_merge_statistics():
    splits = [{"a": Moments.from_data([1.0, 3.0])}, {}]
    found, _ = proposed(MergeStatistics, splits)
    assert found == [("missing", "skip")]
    assert run(MergeStatistics(missing="skip"), splits).result["a"]["mean"] == 2.0


MISSING = [
    (Sum, 1),
    (Mean, 1),
    (WeightedMean, 1),
    (Min, 1),
    (Max, 1),
    (MergeCounts, {"a": 1}),
    (Concat, [1]),
    (PerNode, 1),
    (Merge, Moments.zero()),
    (Function, 1),
    (lambda **more: FlowerReduction(FedMedian(), by="local_n_samples", **more), 1.0),
    (lambda **more: FlowerReduction(FedAdam(), by="local_n_samples", **more), 1.0),
]


@pytest.mark.parametrize(("reduction", "value"), MISSING)
def test_of_every_reduction_without_its_key(reduction, value):
    def strategy(**more):
        return ReduceStrategy({"x": reduction(**more)})

    splits = [{"x": value, "local_n_samples": 1}, {"local_n_samples": 1}]
    found, _ = proposed(strategy, splits)
    assert found == [("missing", "skip")]
    run(strategy(missing="skip"), splits)


@pytest.mark.parametrize("value", [np.ones(2), [1.0, 2.0], {"a": 1.0}, np.array(np.nan)])
@pytest.mark.parametrize("reduction", [each for each, value in MISSING if value == 1])
def test_of_every_reduction_that_computes(reduction, value):
    if reduction in (PerNode, Function):
        return

    def strategy(**more):
        return ReduceStrategy({"x": reduction(**more)})

    splits = [{"x": 1.0, "local_n_samples": 3}] * 2 + [{"x": value, "local_n_samples": 3}]
    found, _ = proposed(strategy, splits)
    for name, word in found:
        got = run(strategy(**{name: word}), splits).result["x"]
        assert word == "keep" or got == (2.0 if reduction is Sum else 1.0)


def test_of_tables_with_other_columns():
    import pandas as pd

    splits = [{"x": pd.DataFrame({"a": [1], "b": [2]})}, {"x": pd.DataFrame({"a": [3]})}]
    found, _ = proposed(lambda **more: ReduceStrategy({"x": Concat(**more)}), splits)
    assert found == [("columns", "common"), ("columns", "all")]
    for name, word in found:
        run(ReduceStrategy({"x": Concat(**{name: word})}), splits)


@pytest.mark.parametrize("make", [WeightedFedAvg, lambda: ReduceStrategy({"model": Mean()})])
def test_what_cannot_be_added_up_can_be_kept_as_is_said(make):
    splits = [{**GOOD, "model": "text"}] * 2
    with pytest.raises(DataError, match=r"declare PerNode\(\), Concat\(\) or a function .*ReduceS"):
        run(make(), splits)
    for reduction in (PerNode(), len):
        run(ReduceStrategy({"model": reduction}), splits)
    run(ReduceStrategy({"model": Concat()}), [{"model": ["text"]}] * 2)


@pytest.mark.parametrize(
    "make",
    [
        WeightedFedAvg,
        lambda **more: WeightedFedAvg(server=FedAdam(), **more),
        lambda **more: ReduceStrategy({"x": {"y": PerNode()}, "model": {"a": Mean()}}, **more),
        lambda **more: ReduceStrategy(Mean(), **more),
        MergeStatistics,
    ],
)
def test_the_convergence_that_is_proposed_works(make):
    splits = [{"x": {"y": 1}, "model": {"a": 1.0}, "local_n_samples": 1}] * 2
    if make is MergeStatistics:
        splits = [Moments.zero()] * 2
    with pytest.raises(ModelError, match="no convergence: give it one, such as conv") as caught:
        run(make(), splits, simple_analysis=False)
    text = caught.value.message.partition("convergence=")[2]
    convergence = eval(text, vars(aggregation))
    assert isinstance(convergence, type(MaxRounds(1) | DeltaNorm(None, 1.0)) | MaxRounds)
    tester = run(make(convergence=convergence), splits, simple_analysis=False)
    assert tester.rounds in (2, 10)
