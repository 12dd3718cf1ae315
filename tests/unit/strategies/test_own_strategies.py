"""A strategy of a user's own is obeyed in every method."""

import numpy as np
import pytest
from mean_analysis import SPLITS, Mean, PlainSteps, Shuffled, Spy, Steps, run

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.clients.node import build
from flame_flwr.errors import (
    NodeFailedError,
)
from flame_flwr.payload import decode, encode, from_record, to_record
from flame_flwr.star import StarModel, StarModelTester
from flame_flwr.strategies import StarStrategy


class Own(StarStrategy):
    """As a user would write it: samples nodes, adds to configs, changes what arrives."""

    def __init__(self, *arguments, sample=2, **more):
        super().__init__(*arguments, **more)
        self.sample = sample
        self.calls = []

    def configure_train(self, server_round, arrays, config, grid):
        config["lr"] = 1.0 / server_round
        messages = list(super().configure_train(server_round, arrays, config, grid))
        self.calls.append(("configure_train", len(messages)))
        return [messages[(server_round + i) % 3] for i in range(self.sample)]

    def aggregate_train(self, server_round, replies):
        arrays, metrics = super().aggregate_train(server_round, replies)
        value = decode(from_record(arrays))
        value["mean"] *= 2
        metrics["own"] = 7
        return to_record(encode(value)), metrics

    def configure_evaluate(self, server_round, arrays, config, grid):
        config["top"] = 3
        return list(super().configure_evaluate(server_round, arrays, config, grid))[:1]

    def aggregate_evaluate(self, server_round, replies):
        metrics = super().aggregate_evaluate(server_round, replies)
        metrics["own"] = 1
        return metrics


def test_a_subclass_is_obeyed_in_every_method():
    strategy = Own(Steps)
    with Spy(NodePlan(Mean, data_type="s3"), SPLITS) as grid:
        result = strategy.start(grid, simple_analysis=False, num_rounds=3)
    record = result.record
    assert [list(entry.node_seconds) for entry in record.history] == [
        ["node-1", "node-2"],
        ["node-0", "node-2"],
        ["node-0", "node-1"],
    ]
    trains = [m for m in grid.sent if m.metadata.message_type == "train"]
    assert [m.content["fitins.config"]["lr"] for m in trains] == [1.0, 1.0, 0.5, 0.5, 1 / 3, 1 / 3]
    assert result.train_metrics_clientapp[1]["own"] == 7
    assert result.evaluate_metrics_clientapp[3]["own"] == 1
    assert list(record.evaluations) == ["node-0"]
    first = sum(0.5 * float(np.sum(split)) for split in SPLITS[1:]) / 3
    sent = decode(from_record(trains[2].content["fitins.parameters"]))
    assert sent["mean"] == 2 * first
    assert record.aggregate["mean"] == decode(from_record(result.arrays))["mean"]
    assert record.result["mean"] == record.aggregate["mean"]
    assert strategy.calls == [("configure_train", 3)] * 3


def test_a_subclass_may_sample_a_single_node():
    record = run(strategy=Own(Steps, sample=1), num_rounds=2).record
    assert [list(entry.node_seconds) for entry in record.history] == [["node-1"], ["node-2"]]


def test_its_summary_is_called_in_this_process_too():
    class Says(StarStrategy):
        said = []

        def summary(self):
            self.said.append(type(self).__name__)

    StarModelTester(SPLITS, Mean, Says(Steps, simple_analysis=True), "s3")
    assert Says.said == ["Says"]


def test_a_subclass_runs_in_the_tester_too():
    over_grid = run(strategy=Own(Steps, simple_analysis=True)).record
    tester = StarModelTester(SPLITS, Mean, Own(Steps, simple_analysis=True), "s3")
    assert tester.result == over_grid.result
    assert tester.result["ids"] == ["node-1", "node-2"]


def test_arrays_changed_in_place_count_too():
    class InPlace(StarStrategy):
        def aggregate_train(self, server_round, replies):
            arrays, metrics = super().aggregate_train(server_round, replies)
            value = decode(from_record(arrays))
            value["mean"] = 1234.5
            changed = to_record(encode(value))
            for key in changed:
                arrays[key] = changed[key]
            return arrays, metrics

    record = run(strategy=InPlace(PlainSteps), num_rounds=1).record
    assert record.aggregate["mean"] == 1234.5
    assert record.result["mean"] == 1234.5


def test_a_subclass_may_aggregate_by_itself():
    class Alone(StarStrategy):
        def aggregate_train(self, server_round, replies):
            values = []
            for reply in replies:
                values.append(decode(from_record(reply.content["fitres.parameters"]))["n"])
            return to_record(encode({"mean": 0.0, "n": sorted(values)})), None

    record = run(strategy=Alone(PlainSteps), num_rounds=2).record
    assert record.result == {"mean": 0.0, "n": [1, 2, 3]}
    assert [entry.round for entry in record.history] == [1, 2]


def test_a_subclass_that_returns_no_arrays_is_told():
    class Forgets(StarStrategy):
        def aggregate_train(self, server_round, replies):
            super().aggregate_train(server_round, replies)
            return None, None

    with pytest.raises(NodeFailedError, match=r"Forgets\.aggregate_train returned no arrays"):
        run(strategy=Forgets(Steps))


class Summing:
    """An aggregation of a user's own: merges on arrival, stops after two rounds."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.order = []

    def begin(self, number):
        self.number = number
        self.total = 0
        self.order.append([])

    def add(self, node, value):
        self.total += value["n"]
        self.order[-1].append(node)

    def finish(self):
        from flame_flwr.aggregation import Finished

        return Finished({"mean": float(self.total)}, self.number == 2, "twice" * (self.number == 2))

    def final(self, aggregate, evaluations):
        return [aggregate["mean"], self.nodes, sorted(evaluations)]


@pytest.mark.parametrize("grid_class", [LocalGrid, Shuffled])
def test_a_subclass_may_bring_its_own_aggregation(grid_class):
    class Merging(StarStrategy):
        def make_aggregation(self, flame, nodes, simple_analysis):
            assert flame.get_id() == "aggregator"
            assert simple_analysis is False
            self.made = Summing(nodes)
            return self.made

    strategy = Merging(Steps)
    record = run(strategy=strategy, grid_class=grid_class).record
    nodes = ("node-0", "node-1", "node-2")
    assert record.result == [6.0, nodes, list(nodes)]
    assert record.history[-1].reason == "twice"
    assert record.converged
    assert [sorted(order) for order in strategy.made.order] == [list(nodes)] * 2


def test_a_subclass_may_change_what_is_built():
    class Tuned(StarStrategy):
        def make_aggregation(self, flame, nodes, simple_analysis):
            self.aggregator_kwargs = {"tolerance": 1e6}
            aggregation = super().make_aggregation(flame, nodes, simple_analysis)
            assert type(aggregation.aggregator) is type(build(Steps, flame, {}))
            return aggregation

    assert len(run(strategy=Tuned(Steps)).record.history) == 2


def test_every_run_of_a_model_copies_the_strategy():
    model = StarModel(Mean, Own(Steps), "s3")
    first, second = model.strategy(), model.strategy()
    assert type(first) is Own
    assert first is not second
