"""``StarStrategy``: the one loop over messages, with the same numbers as in process."""

import math

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp.strategy import Result
from mean_analysis import (
    SPLITS,
    Mean,
    PlainSteps,
    Shuffled,
    Spy,
    Steps,
    run,
    settings,
    without_times,
)

from flame_flwr.clients import NodePlan
from flame_flwr.errors import (
    PayloadError,
)
from flame_flwr.payload import decode, encode, from_record, to_record
from flame_flwr.results import RunRecord
from flame_flwr.star import StarModelTester
from flame_flwr.strategies import StarResult, StarStrategy


@pytest.mark.parametrize("simple", [False, True])
@pytest.mark.parametrize("aggregator", [Steps, PlainSteps])
def test_messages_and_process_give_the_same_run(aggregator, simple):
    tester = StarModelTester(SPLITS, Mean, aggregator, "s3", simple_analysis=simple)
    record = run(aggregator, simple=simple).record
    assert record.result == tester.result
    assert len(record.history) == tester.rounds
    assert record.converged == tester.converged
    assert without_times(record.history) == without_times(tester.record.history)
    assert (tester.rounds == 1) is simple


def test_the_numbers_are_those_of_a_plain_loop():
    data = [np.asarray(split) for split in SPLITS]
    generators = [np.random.default_rng(3) for _ in data]
    mean, noise, rounds, change = 0.0, 0.0, 0, math.inf
    while rounds < 2 or change >= 1e-3:
        before = mean
        mean = before + sum(0.5 * float(np.sum(part - before)) for part in data) / 6
        noise += sum(float(rng.random(3).sum()) for rng in generators)
        change = abs(mean - before)
        rounds += 1
    record = run().record
    assert record.result["mean"] == mean
    assert record.result["noise"] == noise
    assert len(record.history) == rounds
    assert record.result["loss"] == sum(float(np.sum((part - mean) ** 2)) for part in data)
    assert record.evaluations["node-1"] == {
        "loss": float(np.sum((data[1] - mean) ** 2)),
        "n": 2,
    }


def test_the_order_of_arrival_does_not_show():
    ordered, shuffled = run().record, run(grid_class=Shuffled).record
    assert shuffled.result == ordered.result
    assert shuffled.nodes == ordered.nodes
    assert list(shuffled.evaluations) == list(ordered.evaluations) == ordered.nodes
    for entry in shuffled.history:
        assert list(entry.node_seconds) == ordered.nodes
        assert list(entry.node_bytes) == ordered.nodes
    assert without_times(shuffled.history) == without_times(ordered.history)


def test_lists_come_in_participant_order():
    splits = [[float(i)] for i in range(12)]
    result = run(splits=splits, grid_class=Shuffled).record.result
    assert result["ids"] == result["answered"] == [f"node-{i}" for i in range(12)]


def test_a_score_may_have_any_name():
    class HeartFailure(Mean):
        def evaluation_method(self, data, result):
            return {"failure": 0.25, "seconds": 3, "round": 2, "loss": 1.0, "n": 1}

    tester = StarModelTester(SPLITS, HeartFailure, Steps, "s3", simple_analysis=False)
    record = run(analyzer=HeartFailure).record
    assert record.evaluations["node-0"] == {
        "failure": 0.25,
        "seconds": 3,
        "round": 2,
        "loss": 1.0,
        "n": 1,
    }
    assert record.result == tester.result


def test_an_analyzer_without_evaluation_is_not_asked():
    class Silent(Mean):
        evaluation_method = None

    class Final(PlainSteps):
        def final_method(self, result, evaluations):
            return (result["mean"], evaluations)

    record = run(Final, Silent).record
    assert record.evaluations == {}
    assert record.result == (record.aggregate["mean"], [])


def test_the_result_is_flowers_with_the_record():
    record = RunRecord()
    result = run(record=record)
    rounds = len(record.history)
    assert isinstance(result, Result)
    assert isinstance(result, StarResult)
    assert result.record is record
    assert decode(from_record(result.arrays)) == result.record.aggregate
    assert sorted(result.train_metrics_clientapp) == list(range(1, rounds + 1))
    assert result.train_metrics_clientapp[1]["nodes"] == 3
    slowest = max(result.record.history[0].node_seconds.values())
    assert result.train_metrics_clientapp[1]["seconds"] == slowest
    losses = [scores["loss"] for scores in result.record.evaluations.values()]
    assert list(result.evaluate_metrics_clientapp) == [rounds]
    assert result.evaluate_metrics_clientapp[rounds]["loss"] == pytest.approx(sum(losses) / 3)
    assert result.evaluate_metrics_clientapp[rounds]["n"] == 2.0
    assert result.evaluate_metrics_serverapp == {}


def test_scores_that_all_nodes_gave_have_a_mean():
    class Some(Mean):
        def evaluation_method(self, data, result):
            return {"loss": float(len(data)), "n": 1, **({"odd": 1} if len(data) == 1 else {})}

    result = run(analyzer=Some)
    [metrics] = result.evaluate_metrics_clientapp.values()
    assert dict(metrics) == {"loss": 2.0, "n": 1.0}
    assert result.record.evaluations["node-2"]["odd"] == 1


def test_history_has_times_bytes_and_structure():
    record = run().record
    for number, entry in enumerate(record.history, start=1):
        assert entry.round == number
        assert entry.aggregate == "dict of 5"
        assert set(entry.node_bytes) == set(entry.node_seconds) == set(record.nodes)
        assert all(0 < size < 1000 for size in entry.node_bytes.values())
        assert all(0 <= s <= entry.seconds for s in entry.node_seconds.values())
    assert [e.converged for e in record.history] == [False] * (len(record.history) - 1) + [True]
    assert record.history[-1].reason == "has_converged returned True"


def test_num_rounds_does_not_go_on_after_convergence():
    assert len(run(num_rounds=500).record.history) == len(run().record.history)


@pytest.mark.parametrize("number", [1, 3])
def test_num_rounds_ends_a_run_before_it_converged(number):
    record = run(num_rounds=number).record
    assert len(record.history) == number
    assert not record.converged
    assert record.result["rounds"] == [number - 1] * 3


def test_initial_arrays_are_the_first_rounds_aggregate():
    record = run(PlainSteps, initial_arrays=to_record(encode({"mean": 6.0})), num_rounds=1).record
    steps = sum(0.5 * float(np.sum(np.asarray(split) - 6.0)) for split in SPLITS)
    assert record.aggregate["mean"] == pytest.approx(steps / 6)


def test_initial_arrays_must_be_a_payload():
    with pytest.raises(PayloadError, match="not a payload of flame-flwr"):
        run(initial_arrays=ArrayRecord([np.zeros(3)]))


def test_evaluate_fn_sees_every_aggregate_on_the_server():
    seen = []

    def evaluate(number, arrays):
        seen.append((number, decode(from_record(arrays))["mean"]))
        return MetricRecord({"n": number}) if number != 2 else None

    result = run(evaluate_fn=evaluate, num_rounds=3)
    assert [number for number, _ in seen] == [1, 2, 3]
    assert seen[-1][1] == result.record.aggregate["mean"]
    assert {k: v["n"] for k, v in result.evaluate_metrics_serverapp.items()} == {1: 1, 3: 3}


def test_train_and_evaluate_config_reach_the_nodes():
    grid = run_spied(
        train_config=ConfigRecord({"lr": 0.5, "round": 99}),
        evaluate_config=ConfigRecord({"top": 3}),
    )
    trains = [m for m in grid.sent if m.metadata.message_type == "train"]
    assert all(m.content["fitins.config"]["lr"] == 0.5 for m in trains)
    assert [m.content["fitins.config"]["round"] for m in trains[:4]] == [1, 1, 1, 2]
    evaluates = [m for m in grid.sent if m.metadata.message_type == "evaluate"]
    assert [m.content["evaluateins.config"]["top"] for m in evaluates] == [3, 3, 3]


def run_spied(**start):
    with Spy(NodePlan(Mean, data_type="s3"), SPLITS) as grid:
        StarStrategy(Steps).start(grid, settings=settings(), simple_analysis=False, **start)
    return grid


def test_nodes_are_told_of_each_other_once():
    sent = run_spied().sent
    trains = [m for m in sent if m.metadata.message_type == "train"]
    told = ["analyzers" in m.content["fitins.config"] for m in trains]
    assert told == [True] * 3 + [False] * (len(trains) - 3)
    kinds = [m.metadata.message_type for m in sent]
    assert kinds == ["get_properties"] * 3 + ["train"] * len(trains) + ["evaluate"] * 3


def test_ids_of_analysis_and_project_reach_the_aggregator():
    class Ids(PlainSteps):
        def aggregation_method(self, analysis_results):
            flame = self.flame
            return [
                flame.get_analysis_id(),
                flame.get_project_id(),
                self.id,
                self.partner_node_ids,
            ]

        def has_converged(self, result, last_result):
            return True

    class Plain(Mean):
        evaluation_method = None

    config = {"analysis_id": "A", "project_id": "P"}
    assert run(Ids, Plain, simple=True, config=config).record.result == [
        "A",
        "P",
        "aggregator",
        ["node-0", "node-1", "node-2"],
    ]


@pytest.mark.parametrize("after_a_run", [False, True])
def test_outside_a_run_methods_name_start(after_a_run):
    strategy = StarStrategy(Steps)
    if after_a_run:
        run(strategy=strategy)
    for call in (
        lambda: strategy.configure_train(1, ArrayRecord(), ConfigRecord(), None),
        lambda: strategy.aggregate_train(1, []),
        lambda: strategy.aggregate_evaluate(1, []),
    ):
        with pytest.raises(RuntimeError, match=r"call start\(\)"):
            call()
