"""The last aggregate and the result may be changed, however the run ends and wherever it runs."""

import numpy as np
import pandas as pd
import pytest
from flwr.serverapp.strategy import FedAdam, FedMedian

from flame_flwr.aggregation import (
    Concat,
    DeltaNorm,
    FlowerReduction,
    Max,
    MaxRounds,
    Mean,
    Min,
    PerNode,
    Sum,
    WeightedMean,
)
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import NodeFailedError, NotConvergedError
from flame_flwr.results import RunRecord
from flame_flwr.results.checkpoint import Checkpoint
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
from flame_flwr.strategies import ReduceStrategy, StarStrategy

SHAPE = (70, 80)  # arrays that travel as themselves, not in the header
KEYS = ("sum", "mean", "weighted", "min", "max", "rows", "nodes", "first", "median", "adam")


class Arrays(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        if data == "fails" and self.num_iterations == 1:
            raise ValueError
        number = 1.0 if data == "fails" else data
        return {
            **{key: np.full(SHAPE, number + self.num_iterations) for key in KEYS},
            "n": 3,
            "table": pd.DataFrame({"x": np.full(1000, number)}),
        }


class Merged(ReduceStrategy):
    reductions = {
        "sum": Sum(),
        "mean": Mean(),
        "weighted": WeightedMean("n"),
        "min": Min(),
        "max": Max(),
        "rows": Concat(),
        "nodes": PerNode(),
        "first": lambda values: values[0],
        "median": FlowerReduction(FedMedian()),
        "adam": FlowerReduction(FedAdam()),
        "table": Sum(),
    }
    convergence = MaxRounds(9)


class Two(Merged):
    convergence = MaxRounds(2)


class Passes(Two):
    """Puts arrays of the aggregate before into its own."""

    def update(self, merged, last):
        return merged if last is None else {**merged, "before": last["mean"], "sum": last["sum"]}


class Begun(Merged):
    initial = {"mean": np.zeros(SHAPE)}


class Last(StarAggregator):
    def aggregation_method(self, analysis_results):
        return {"sum": sum(result["sum"] for result in analysis_results), **analysis_results[0]}

    def has_converged(self, result, last_result):
        return self.num_iterations >= 3


def hand_written():
    return StarStrategy(Last, simple_analysis=False)


def arrays(value):
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [found for part in value for found in arrays(part)] if isinstance(value, list) else []


def check(*values):
    """See that arrays are writable and own their memory, and that tables take a number."""
    for value in values:
        found = arrays(value)
        assert found
        for array in found:
            assert array.flags.writeable
            assert array.flags.owndata
            array += 1
        value["table"].loc[0, "x"] = 5.0


def over_messages(strategy, *, config=None, splits=(1.0, 2.0), **start):
    record = RunRecord()
    with LocalGrid(NodePlan(Arrays, data_type="s3"), list(splits)) as grid:
        try:
            settings = RunSettings.from_config(config or {})
            strategy.start(grid, settings=settings, record=record, **start)
        except NotConvergedError:
            assert record.result is None
    return record


@pytest.mark.parametrize("strategy", [Two, Passes, Begun, hand_written])
@pytest.mark.parametrize("rounds", [None, 1, 2])
def test_after_convergence_and_after_num_rounds(strategy, rounds):
    record = over_messages(strategy(), num_rounds=rounds)
    check(record.aggregate)
    if record.result is not record.aggregate:
        check(record.result)


@pytest.mark.parametrize("strategy", [Merged, hand_written])
def test_after_max_rounds(strategy):
    check(over_messages(strategy(), config={"max-rounds": 2}).aggregate)


def test_after_a_failure():
    record = RunRecord()
    grid = LocalGrid(NodePlan(Arrays, data_type="s3"), [1.0, "fails"])
    with grid, pytest.raises(NodeFailedError, match="node-1 failed in round 2"):
        Merged().start(grid, record=record)
    assert len(record.history) == 1
    check(record.aggregate)


def test_where_another_convergence_ends_it():
    strategy = Merged(convergence=MaxRounds(9) | DeltaNorm("mean", 1e9))
    check(over_messages(strategy).aggregate)


@pytest.mark.parametrize("strategy", [Two, Passes, Last])
def test_in_process(strategy):
    tester = StarModelTester([1.0, 2.0], Arrays, strategy, "s3", simple_analysis=False)
    check(tester.aggregate)
    if tester.result is not tester.aggregate:
        check(tester.result)


@pytest.mark.parametrize("strategy", [Merged, hand_written])
def test_where_a_run_goes_on_with_a_checkpoint(strategy, tmp_path):
    place, about = str(tmp_path / "kept"), {"app": "a"}
    first, record = Checkpoint(place, about), RunRecord()
    plan = NodePlan(Arrays, data_type="s3")
    with LocalGrid(plan, [1.0, 2.0]) as grid:
        strategy().start(grid, num_rounds=2, record=record, checkpoint=first)
    kept = Checkpoint(place, about).open(resume=True)
    other = RunRecord()
    other.go_on(kept.record)
    assert np.array_equal(other.aggregate["mean"], record.aggregate["mean"])
    check(other.aggregate)
