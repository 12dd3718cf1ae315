"""Declared strategies, run: in process, over messages, resumed, checked when they are built."""

import logging

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAdam
from keeping_client import keeps

from flame_flwr.aggregation import (
    Concat,
    MaxRounds,
    PerNode,
    Plateau,
    Sum,
)
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import ModelError
from flame_flwr.results import RunRecord
from flame_flwr.results.checkpoint import Checkpoint
from flame_flwr.star import StarAnalyzer, StarModelTester
from flame_flwr.statistics import RowCount
from flame_flwr.strategies import MergeStatistics, ReduceStrategy, StarStrategy, WeightedFedAvg

from .regression import (
    SPLITS,
    Regression,
    Shuffled,
    over_messages,
    plain,
    plain_round,
)


def test_weighted_fedavg_is_the_formula():
    tester = StarModelTester(
        SPLITS, Regression, WeightedFedAvg(metrics=["loss"], convergence=MaxRounds(6)), "s3"
    )
    path = plain(6)
    np.testing.assert_allclose(tester.result["model"]["coef"], path[-1], rtol=1e-12)
    losses = [np.mean((y - x @ path[-2]) ** 2) for x, y in SPLITS]
    sizes = [len(y) for _, y in SPLITS]
    assert tester.result["loss"] == pytest.approx(np.average(losses, weights=sizes), rel=1e-12)
    assert tester.rounds == 6
    assert tester.converged
    assert tester.history[-1].reason == "6 rounds are done"
    assert list(tester.evaluations) == ["node-0", "node-1", "node-2"]


def test_weights_may_be_equal_or_a_score():
    equal = StarModelTester(
        SPLITS, Regression, WeightedFedAvg(by=None, convergence=MaxRounds(3)), "s3"
    )
    np.testing.assert_allclose(equal.result["model"]["coef"], plain(3, [1, 1, 1])[-1], rtol=1e-12)
    losses = [np.mean(y**2) for _, y in SPLITS]
    squares = [loss**2 for loss in losses]
    for by, weights in (("loss", losses), (lambda answer: answer["loss"] ** 2, squares)):
        once = WeightedFedAvg(by=by, convergence=MaxRounds(1))
        coef = StarModelTester(SPLITS, Regression, once, "s3").result["model"]["coef"]
        np.testing.assert_allclose(coef, plain(1, weights)[-1], rtol=1e-12)


def test_the_bits_are_alike_in_every_runtime():
    def strategy():
        return WeightedFedAvg(convergence=MaxRounds(5))

    local = StarModelTester(SPLITS, Regression, strategy(), "s3").result["model"]["coef"]
    for grid_class in (LocalGrid, Shuffled):
        record = over_messages(strategy(), grid_class=grid_class)
        assert record.result["model"]["coef"].tobytes() == local.tobytes()
        assert record.result["model"]["coef"].flags.writeable
        assert len(record.evaluations) == 3


@pytest.mark.parametrize("count", [1, 40])
def test_one_node_and_forty(count):
    splits = [SPLITS[i % 3] for i in range(count)]
    record = over_messages(WeightedFedAvg(convergence=MaxRounds(2)), splits)
    expected = plain(2, splits=splits)[-1]
    np.testing.assert_allclose(record.result["model"]["coef"], expected, rtol=1e-12)
    assert len(record.nodes) == count


class Failing(Regression):
    def analysis_method(self, data, aggregator_results):
        if self.num_iterations == 1 and self.id == "node-1":
            raise ValueError("no")
        return super().analysis_method(data, aggregator_results)


def test_a_node_is_missing_in_its_rounds_only():
    record = over_messages(
        WeightedFedAvg(convergence=MaxRounds(3)),
        analyzer=Failing,
        settings={"on-failure": "skip", "min-nodes": 2},
    )
    coef = plain_round(plain_round(np.zeros(3)), SPLITS[::2])
    coef = plain_round(coef)
    np.testing.assert_allclose(record.result["model"]["coef"], coef, rtol=1e-12)
    assert list(record.history[1].failed) == ["node-1"]


# ---- declaring and subclassing ---------------------------------------------------------------


def test_a_wrong_declaration_is_found_when_built():
    with pytest.raises(ModelError, match="ReduceStrategy: declare its reductions"):
        ReduceStrategy()
    with pytest.raises(ModelError, match=r"first\['a'\]: 4 is no reduction"):
        ReduceStrategy(Sum(), first={"a": 4})
    with pytest.raises(ModelError, match="convergence must be"):
        ReduceStrategy(Sum(), convergence=4)
    with pytest.raises(ModelError, match="metrics must be a list of keys"):
        WeightedFedAvg(metrics="loss")
    with pytest.raises(ModelError, match="bad_weight must be one of"):
        WeightedFedAvg(bad_weight="zero")


class Rate(WeightedFedAvg):
    """Half way to the mean, from a model to begin with."""

    by = "local_n_samples"
    metrics = ("loss",)
    convergence = staticmethod(lambda new, last: new["rounds"] == 3)
    initial = {"model": {"coef": np.ones(3)}, "rounds": 0}

    def update(self, merged, last):
        coef = (merged["model"]["coef"] + last["model"]["coef"]) / 2
        self.losses = [*getattr(self, "losses", []), merged["loss"]]
        return {"model": {"coef": coef}, "rounds": last["rounds"] + 1}

    def finalize(self, aggregate, evaluations):
        return aggregate["model"]["coef"], self.losses, evaluations


def half_way(rounds):
    coef, losses = np.ones(3), []
    for _ in range(rounds):
        sizes = [len(y) for _, y in SPLITS]
        losses.append(np.average([np.mean((y - x @ coef) ** 2) for x, y in SPLITS], weights=sizes))
        coef = (plain_round(coef) + coef) / 2
    return coef, losses


def test_a_subclass_declares_by_attributes():
    coef, losses, evaluations = StarModelTester(SPLITS, Regression, Rate, "s3").result
    expected = half_way(3)
    np.testing.assert_allclose(coef, expected[0], rtol=1e-12)
    np.testing.assert_allclose(losses, expected[1], rtol=1e-12)
    assert list(evaluations) == ["node-0", "node-1", "node-2"]


class Momentum(Rate):
    """With an optimiser and a patience that remember."""

    server = FedAdam(eta=0.3)
    convergence = MaxRounds(6) | Plateau("patience", 4, min_delta=0.5)

    def update(self, merged, last):
        return {**super().update(merged, last), "patience": 1.0}


def rounds_of(kind, grid, most, place=None, *, resume=False):
    """Run an analysis up to a round; return the strategy and the run's record."""
    strategy, record = kind(), RunRecord()
    checkpoint = None if place is None else Checkpoint(str(place), {"app": "a"})
    config = {"resume": True, "checkpoint": str(place)} if resume else {}
    strategy.start(
        grid,
        num_rounds=most,
        settings=RunSettings.from_config(config),
        record=record,
        simple_analysis=False,
        checkpoint=checkpoint,
    )
    return strategy, record


@pytest.mark.parametrize("kind", [Rate, Momentum])
def test_a_resumed_run_gives_the_same_bits(kind, tmp_path):
    plan = NodePlan(Regression, data_type="s3")
    with LocalGrid(plan, SPLITS) as grid:
        one, whole = rounds_of(kind, grid, 5)
    with LocalGrid(plan, SPLITS, keeps()) as grid:
        rounds_of(kind, grid, 2, tmp_path / "kept")
        other, record = rounds_of(kind, grid, 5, tmp_path / "kept", resume=True)
    assert record.resumed_after == 2
    assert [r.reason for r in record.history] == [r.reason for r in whole.history]
    if kind is Momentum:
        assert whole.history[-1].reason == "`patience` has not become better for 4 rounds"
    coef = record.aggregate["model"]["coef"]
    assert coef.tobytes() == whole.aggregate["model"]["coef"].tobytes()
    assert other.losses == one.losses
    assert len(one.losses) == len(whole.history) > 2


def test_the_first_round_may_be_reduced_differently():
    class TwoKinds(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            if aggregator_results is None:
                return {"names": [self.id]}
            return {"n": data}

    class Both(ReduceStrategy):
        first = {"names": Concat()}
        reductions = {"n": PerNode()}
        convergence = MaxRounds(2)

        def update(self, merged, last):
            return {**(last or {}), **merged}

    result = StarModelTester([3, 4], TwoKinds, Both, "s3").result
    assert result == {"names": ["node-0", "node-1"], "n": {"node-0": 3, "node-1": 4}}


def test_statistics_are_merged_and_reported():
    class Counting(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return {"all": RowCount(data), "by": [RowCount(1)]}

    result = StarModelTester([3, 4], Counting, MergeStatistics(RowCount), "s3").result
    assert (result["all"]["rows"], result["by"][0]["rows"]) == (7, 2)


def test_keys_that_no_reduction_takes_are_said_once(caplog):
    with caplog.at_level(logging.INFO, "flame_flwr"):
        StarModelTester(
            SPLITS, Regression, WeightedFedAvg(convergence=MaxRounds(3)), "s3", quiet=False
        )
    said = [r.getMessage() for r in caplog.records if "no reduction" in r.getMessage()]
    assert said == ["no reduction is declared for loss: not merged"]


def test_a_strategy_that_overrides_messages_still_converges():
    class Own(WeightedFedAvg):
        def configure_train(self, server_round, arrays, config, grid):
            config["more"] = 1
            return super().configure_train(server_round, arrays, config, grid)

    tester = StarModelTester(SPLITS, Regression, Own(convergence=MaxRounds(4)), "s3")
    np.testing.assert_allclose(tester.result["model"]["coef"], plain(4)[-1], rtol=1e-12)
    assert isinstance(Own(), StarStrategy)
