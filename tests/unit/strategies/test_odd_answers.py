"""Answers that fit no other, in whole runs: their sender's failure, as `on-failure` says."""

import numpy as np
import pytest

from flame_flwr.aggregation import Concat, MaxRounds, Mean, Merge, Sum, WeightedMean
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import AnswerError, NodesMissingError
from flame_flwr.results import RunRecord
from flame_flwr.star import StarAnalyzer
from flame_flwr.statistics import Total
from flame_flwr.strategies import ReduceStrategy

DECLARED = {
    "coef": WeightedMean("n"),
    "n": Sum(),
    "loss": Mean(),
    "age": Merge(),
    "rows": Concat(),
}


class Backwards(LocalGrid):
    """The last node answers first."""

    def pull_messages(self, message_ids):
        return list(super().pull_messages(message_ids))[::-1]


class Says(StarAnalyzer):
    """Returns its data; what is odd in it in round 2 only."""

    def analysis_method(self, data, aggregator_results):
        usual, odd = data
        self.flame.report_metrics({"auc": 0.5})
        return usual | (odd if self.num_iterations == 1 else {})


def splits(odd, count=3):
    found = []
    for k in range(1, count + 1):
        x = np.array([0.1 * k, 1e16 * (-1) ** k, 3.0])
        usual = {"coef": x, "n": 10 + k, "loss": 0.1 * k, "age": Total.from_data(x), "rows": x}
        found.append((usual, odd if k == 2 else {}))
    return found


def run(splits, grid_class=LocalGrid, **config):
    record = RunRecord()
    strategy = ReduceStrategy(DECLARED, convergence=MaxRounds(3))
    settings = RunSettings.from_config({"on-failure": "skip", **config})
    try:
        with grid_class(NodePlan(Says, data_type="s3"), splits) as grid:
            strategy.start(grid, settings=settings, record=record)
    finally:
        run.record = record
    return record


ODD = {
    "a text": {"loss": "many"},
    "a shape": {"coef": np.ones(4)},
    "complex": {"coef": np.ones(3, complex)},
    "a list": {"n": [1, 2]},
    "a statistic": {"age": {"mean": 3.0}},
    "rows": {"rows": [1, 2]},
}


@pytest.mark.parametrize("grid_class", [LocalGrid, Backwards])
@pytest.mark.parametrize("name", ODD)
def test_skip_goes_on_with_the_others_numbers(name, grid_class):
    """The others alone, in a run of two, give the aggregate a second time."""
    seen = []
    for nodes in (splits(ODD[name]), splits({})[::2]):
        strategy = ReduceStrategy(DECLARED, convergence=MaxRounds(2))
        settings = RunSettings.from_config({"on-failure": "skip"})
        with grid_class(NodePlan(Says, data_type="s3"), nodes) as grid:
            record = strategy.start(grid, settings=settings).record
        seen.append(record.aggregate)
    one, other = seen
    assert {key: repr(value) for key, value in one.items()} == {
        key: repr(value) for key, value in other.items()
    }
    assert one["coef"].tobytes() == other["coef"].tobytes()


@pytest.mark.parametrize("name", ODD)
def test_skip_leaves_an_odd_node_out(name):
    record = run(splits(ODD[name]))
    assert [list(entry.failed) for entry in record.history] == [[], ["node-1"], []]
    entry = record.history[1]
    for by_node in (entry.node_seconds, entry.node_bytes, entry.node_metrics):
        assert list(by_node) == ["node-0", "node-2"]
    [failure] = record.failures
    assert (failure["round"], failure["node"]) == (2, "node-1")
    assert "round 2, key `" in failure["why"]
    assert ", node-1: " in failure["why"]


@pytest.mark.parametrize("name", ODD)
def test_abort_names_the_odd_node(name):
    with pytest.raises(AnswerError, match=r"round 2, key `[a-z.]+`, node-1: "):
        run(splits(ODD[name]), Backwards, **{"on-failure": "abort"})
    assert len(run.record.history) == 1
    assert [failure["node"] for failure in run.record.failures] == ["node-1"]


def test_too_few_that_fit_end_the_run():
    with pytest.raises(NodesMissingError, match=r"round 2: 2 nodes .* min-nodes is 3.*node-1"):
        run(splits(ODD["a shape"]), **{"min-nodes": 3})
