"""``StarStrategy``: the one loop over a Grid, the same numbers as in process, failing nodes."""

import math
import random
import time

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import Result, Strategy

from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.clients.node import build
from flame_flwr.config import RunSettings
from flame_flwr.errors import (
    ConfigError,
    NodeFailedError,
    NodesMissingError,
    NotConvergedError,
    PayloadError,
)
from flame_flwr.payload import decode, encode, from_record, to_record
from flame_flwr.results import RunRecord
from flame_flwr.results.run_json import history_csv
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel, StarModelTester
from flame_flwr.strategies import StarResult, StarStrategy

SPLITS = [[1.0, 2.0, 6.0], [10.0, 30.0], [-5.0]]


class Mean(StarAnalyzer):
    """One gradient step of the mean per round, and a random number to tell the rounds apart."""

    def __init__(self, flame, rate=0.5):
        super().__init__(flame)
        self.rate = rate
        self.rng = np.random.default_rng(len(self.partner_node_ids))

    def analysis_method(self, data, aggregator_results):
        at = 0.0 if aggregator_results is None else aggregator_results["mean"]
        return {
            "step": self.rate * float(np.sum(np.asarray(data) - at)),
            "n": len(data),
            "noise": self.rng.random(3),
            "id": self.id,
            "round": self.num_iterations,
        }

    def evaluation_method(self, data, result):
        return {"loss": float(np.sum((np.asarray(data) - result["mean"]) ** 2)), "n": len(data)}


class Steps(StarAggregator):
    def __init__(self, flame, tolerance=1e-3):
        super().__init__(flame)
        self.tolerance = tolerance
        self.noise = 0.0

    def aggregation_method(self, analysis_results):
        self.noise += sum(float(result["noise"].sum()) for result in analysis_results)
        before = 0.0 if self.latest_result is None else self.latest_result["mean"]
        n = sum(result["n"] for result in analysis_results)
        return {
            "mean": before + sum(result["step"] for result in analysis_results) / n,
            "noise": self.noise,
            "ids": [result["id"] for result in analysis_results],
            "rounds": [result["round"] for result in analysis_results],
            "answered": self.answered_node_ids,
        }

    def has_converged(self, result, last_result):
        return (
            last_result is not None and abs(result["mean"] - last_result["mean"]) < self.tolerance
        )

    def final_method(self, result, evaluations):
        total = sum(scores["loss"] for scores in evaluations)
        return {**result, "loss": total, "n": [scores["n"] for scores in evaluations]}


class PlainSteps(Steps):
    """Without the optional method."""

    final_method = None


class Shuffled(LocalGrid):
    """Replies come in another order every time, some only when asked for again."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.random = random.Random(5)

    def pull_messages(self, message_ids):
        ids = list(message_ids)
        self.random.shuffle(ids)
        some = ids if len(ids) < 2 else ids[: self.random.randint(1, len(ids))]
        return super().pull_messages(some)


def settings(**config):
    return RunSettings.from_config({key.replace("_", "-"): value for key, value in config.items()})


def run(
    aggregator=Steps,
    analyzer=Mean,
    splits=SPLITS,
    *,
    grid_class=LocalGrid,
    strategy=None,
    simple=False,
    config=None,
    **start,
):
    """Run over messages and return what ``start`` returns."""
    strategy = strategy or StarStrategy(aggregator)
    with grid_class(NodePlan(analyzer, data_type="s3"), splits) as grid:
        return strategy.start(
            grid, settings=settings(**(config or {})), simple_analysis=simple, **start
        )


def without_times(history):
    return [
        (e.round, list(e.node_seconds), e.node_bytes, e.failed, e.aggregate, e.converged, e.reason)
        for e in history
    ]


# ---- the same numbers everywhere ------------------------------------------------------------


@pytest.mark.parametrize("simple", [False, True])
@pytest.mark.parametrize("aggregator", [Steps, PlainSteps])
def test_over_messages_and_in_process_the_run_is_the_same(aggregator, simple):
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


def test_the_order_in_which_replies_arrive_does_not_show():
    ordered, shuffled = run().record, run(grid_class=Shuffled).record
    assert shuffled.result == ordered.result
    assert shuffled.nodes == ordered.nodes
    assert list(shuffled.evaluations) == list(ordered.evaluations) == ordered.nodes
    for entry in shuffled.history:
        assert list(entry.node_seconds) == ordered.nodes
        assert list(entry.node_bytes) == ordered.nodes
    assert without_times(shuffled.history) == without_times(ordered.history)


def test_lists_come_in_participant_order_also_with_more_than_ten_nodes():
    splits = [[float(i)] for i in range(12)]
    result = run(splits=splits, grid_class=Shuffled).record.result
    assert result["ids"] == result["answered"] == [f"node-{i}" for i in range(12)]


def test_a_score_may_have_any_name_the_same_as_in_process():
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


# ---- what start takes and returns -----------------------------------------------------------


def test_the_result_is_flowers_with_the_record():
    result = run()
    rounds = len(result.record.history)
    assert isinstance(result, Result)
    assert isinstance(result, StarResult)
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


def test_the_mean_of_scores_is_of_those_that_all_nodes_gave():
    class Some(Mean):
        def evaluation_method(self, data, result):
            return {"loss": float(len(data)), "n": 1, **({"odd": 1} if len(data) == 1 else {})}

    result = run(analyzer=Some)
    [metrics] = result.evaluate_metrics_clientapp.values()
    assert dict(metrics) == {"loss": 2.0, "n": 1.0}
    assert result.record.evaluations["node-2"]["odd"] == 1


def test_history_has_times_bytes_and_structure_of_every_round():
    record = run().record
    for number, entry in enumerate(record.history, start=1):
        assert entry.round == number
        assert entry.aggregate == "dict of 5"
        assert set(entry.node_bytes) == set(entry.node_seconds) == set(record.nodes)
        assert all(0 < size < 1000 for size in entry.node_bytes.values())
        assert all(0 <= s <= entry.seconds for s in entry.node_seconds.values())
    assert [e.converged for e in record.history] == [False] * (len(record.history) - 1) + [True]
    assert record.history[-1].reason == "has_converged returned True"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_num_rounds_ends_a_run_that_has_not_converged(number):
    record = run(num_rounds=number).record
    assert len(record.history) == number
    assert not record.converged
    assert record.result["rounds"] == [number - 1] * 3


def test_num_rounds_does_not_go_on_after_convergence():
    assert len(run(num_rounds=500).record.history) == len(run().record.history)


def test_a_callers_record_is_filled_as_the_run_goes_on():
    record = RunRecord()
    result = run(record=record)
    assert result.record is record
    assert record.nodes == ["node-0", "node-1", "node-2"]


def test_initial_arrays_are_the_aggregate_of_the_first_round():
    record = run(PlainSteps, initial_arrays=to_record(encode({"mean": 6.0})), num_rounds=1).record
    steps = sum(0.5 * float(np.sum(np.asarray(split) - 6.0)) for split in SPLITS)
    assert record.aggregate["mean"] == pytest.approx(steps / 6)


def test_initial_arrays_that_are_no_payload_are_refused_with_a_readable_error():
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
    class Echo(Spy):
        pass

    grid = run_spied(
        Echo,
        train_config=ConfigRecord({"lr": 0.5, "round": 99}),
        evaluate_config=ConfigRecord({"top": 3}),
    )
    trains = [m for m in grid.sent if m.metadata.message_type == "train"]
    assert all(m.content["fitins.config"]["lr"] == 0.5 for m in trains)
    assert [m.content["fitins.config"]["round"] for m in trains[:4]] == [1, 1, 1, 2]
    evaluates = [m for m in grid.sent if m.metadata.message_type == "evaluate"]
    assert [m.content["evaluateins.config"]["top"] for m in evaluates] == [3, 3, 3]


class Spy(LocalGrid):
    """Keeps what it was given to send."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.sent = []

    def push_messages(self, messages):
        messages = list(messages)
        self.sent += messages
        return super().push_messages(messages)


def run_spied(grid_class=Spy, **start):
    with grid_class(NodePlan(Mean, data_type="s3"), SPLITS) as grid:
        StarStrategy(Steps).start(grid, settings=settings(), simple_analysis=False, **start)
    return grid


def test_the_nodes_are_told_of_each_other_once():
    trains = [m for m in run_spied().sent if m.metadata.message_type == "train"]
    told = ["analyzers" in m.content["fitins.config"] for m in trains]
    assert told[:3] == [True] * 3
    assert not any(told[3:])


def test_after_the_last_round_there_is_one_message_per_node_at_most():
    kinds = [m.metadata.message_type for m in run_spied().sent]
    assert kinds[-3:] == ["evaluate"] * 3
    assert kinds.count("evaluate") == 3
    assert kinds.count("get_properties") == 3


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


def test_it_is_a_strategy_of_flowers():
    assert issubclass(StarStrategy, Strategy)


@pytest.mark.parametrize("after_a_run", [False, True])
def test_a_method_called_outside_a_run_says_what_to_call(after_a_run):
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


class Asked(LocalGrid):
    """Keeps how many replies to a round it was asked for at once."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.at_once = []

    def pull_messages(self, message_ids):
        ids = list(message_ids)
        if self.messages[ids[0]].metadata.message_type == "train":
            self.at_once.append(len(ids))
        return super().pull_messages(ids)


def test_large_results_are_taken_in_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr("flame_flwr.transport.exchange._PULLED_AT_ONCE", 100_000)

    class Large(Mean):
        def analysis_method(self, data, aggregator_results):
            return np.zeros(5_000)

    class Shape(Never):
        def aggregation_method(self, analysis_results):
            return {"mean": 0.0, "shape": analysis_results[0].shape}

    splits = [[1.0]] * 7
    with Asked(NodePlan(Large, data_type="s3"), splits) as grid:
        StarStrategy(Shape).start(grid, simple_analysis=False, num_rounds=2)
    assert max(grid.at_once[-4:]) == 2
    assert sum(grid.at_once) == 14


# ---- not converged --------------------------------------------------------------------------


class Never(PlainSteps):
    def has_converged(self, result, last_result):
        return False


def test_max_rounds_is_a_failure_that_leaves_the_last_aggregate():
    record = RunRecord()
    with pytest.raises(NotConvergedError) as raised:
        run(Never, config={"max_rounds": 3}, record=record)
    text = str(raised.value)
    assert "not converged after 3 rounds (max-rounds)" in text
    assert "has_converged" in text
    assert "raise `max-rounds`" in text
    assert len(record.history) == 3
    assert record.aggregate["rounds"] == [2, 2, 2]
    assert record.result is None
    assert not record.converged


def test_max_rounds_is_no_failure_where_the_run_converges_in_its_last():
    rounds = len(run().record.history)
    assert run(config={"max_rounds": rounds}).record.converged


def test_a_simple_analysis_needs_one_round_only():
    record = run(Never, simple=True, config={"max_rounds": 1}).record
    assert len(record.history) == 1
    assert record.history[0].reason == "a simple analysis has one round"


def test_a_strategys_own_simple_analysis_comes_before_the_callers():
    assert len(run(strategy=StarStrategy(Steps, simple_analysis=True)).record.history) == 1
    multi = StarStrategy(Steps, simple_analysis=False)
    assert len(run(strategy=multi, simple=True).record.history) > 1


def test_an_aggregator_that_calls_node_finished_ends_the_run():
    class Finishes(Never):
        def aggregation_method(self, analysis_results):
            if self.num_iterations == 2:
                self.node_finished()
            return super().aggregation_method(analysis_results)

    record = run(Finishes).record
    assert len(record.history) == 3
    assert record.history[-1].reason == "the aggregator called node_finished"
    assert record.result["rounds"] == [2, 2, 2]


# ---- failing nodes --------------------------------------------------------------------------


class FailsOnce(Mean):
    """The second node raises in the second round."""

    evaluation_method = None

    def analysis_method(self, data, aggregator_results):
        if self.id == "node-1" and self.num_iterations == 1:
            raise ValueError("too few patients")
        return super().analysis_method(data, aggregator_results)


class Remembers(StarAggregator):
    """Its aggregate is what it saw in every round, for four rounds."""

    def aggregation_method(self, analysis_results):
        seen = [(result["id"], result["round"]) for result in analysis_results]
        before = (self.latest_result or {"seen": []})["seen"]
        return {"mean": 0.0, "seen": [*before, (self.answered_node_ids, seen)]}

    def has_converged(self, result, last_result):
        return self.num_iterations >= 3


def test_abort_ends_the_run_with_node_round_reason_and_mend():
    record = RunRecord()
    with pytest.raises(NodeFailedError) as raised:
        run(Remembers, FailsOnce, record=record)
    text = str(raised.value)
    assert text.startswith("node node-1 failed in round 2: ValueError at test_star_strategy.py:")
    assert "in analysis_method: too few patients" in text
    assert 'set on-failure = "skip"' in text
    assert "The node's own log has the details" in text
    assert "Traceback (most recent call last)" in text
    assert len(record.history) == 1
    assert record.aggregate["seen"] == [
        (["node-0", "node-1", "node-2"], [("node-0", 0), ("node-1", 0), ("node-2", 0)])
    ]


def test_skip_leaves_the_node_out_of_both_lists_and_takes_it_back():
    record = run(Remembers, FailsOnce, config={"on_failure": "skip"}).record
    seen = record.result["seen"]
    everyone = ["node-0", "node-1", "node-2"]
    assert [answered for answered, _ in seen] == [
        everyone,
        ["node-0", "node-2"],
        everyone,
        everyone,
    ]
    for number, (answered, results) in enumerate(seen):
        assert results == [(node, number) for node in answered]
    entry = record.history[1]
    assert list(entry.failed) == ["node-1"]
    assert "ValueError at test_star_strategy.py:" in entry.failed["node-1"]
    assert list(entry.node_seconds) == list(entry.node_bytes) == ["node-0", "node-2"]
    assert not record.history[2].failed


def test_skip_takes_a_node_in_that_failed_in_the_very_first_round():
    class FailsFirst(FailsOnce):
        def analysis_method(self, data, aggregator_results):
            if self.id == "node-0" and self.num_iterations == 0:
                raise ValueError
            return Mean.analysis_method(self, data, aggregator_results)

    record = run(Remembers, FailsFirst, config={"on_failure": "skip"}).record
    assert record.result["seen"][0] == (["node-1", "node-2"], [("node-1", 0), ("node-2", 0)])
    assert record.result["seen"][1][1][0] == ("node-0", 1)


class Missing(StarClient):
    """The second node cannot take part."""

    def get_properties(self, config):
        if self.context.node_id == 2:
            raise ConfigError("no data here")
        return super().get_properties(config)


def test_skip_notes_who_could_not_take_part_from_the_beginning():
    going_on = settings(on_failure="skip", min_nodes=1)
    with LocalGrid(NodePlan(Mean, data_type="s3"), SPLITS, Missing) as grid:
        record = StarStrategy(Steps).start(grid, settings=going_on).record
    assert record.nodes == ["node-0", "node-2"]
    [failure] = record.failures
    assert (failure["round"], failure["node"]) == (0, "node-1")
    assert failure["why"].startswith("ConfigError at test_star_strategy.py:")


def test_skip_with_fewer_than_min_nodes_is_an_error_that_names_who_failed_and_why():
    with pytest.raises(NodesMissingError) as raised:
        run(Remembers, FailsOnce, config={"on_failure": "skip", "min_nodes": 3})
    text = str(raised.value)
    assert "round 2: 2 nodes answered, min-nodes is 3" in text
    assert "node-1: ValueError at test_star_strategy.py:" in text


def test_min_nodes_above_the_number_of_nodes_means_all_of_them():
    assert run(config={"on_failure": "skip", "min_nodes": 50}).record.converged
    with pytest.raises(NodesMissingError, match="2 nodes answered, min-nodes is 3"):
        run(Remembers, FailsOnce, config={"on_failure": "skip", "min_nodes": 50})


def test_a_run_in_which_every_node_fails_is_an_error_also_with_skip():
    class Fails(Mean):
        def analysis_method(self, data, aggregator_results):
            raise ValueError

    with pytest.raises(NodesMissingError, match="round 1: 0 nodes answered, min-nodes is 1"):
        run(analyzer=Fails, config={"on_failure": "skip", "min_nodes": 1})


class Deaf(LocalGrid):
    """Node 3 answers hello and nothing after it."""

    def pull_messages(self, message_ids):
        ids = list(message_ids)
        return super().pull_messages([i for i in ids if not self._is_deaf(i)])

    def _is_deaf(self, key):
        metadata = self.messages[key].metadata
        return metadata.dst_node_id == 3 and metadata.message_type != "get_properties"


def test_a_node_that_does_not_answer_in_time_is_a_timeout():
    started = time.monotonic()
    with pytest.raises(NodeFailedError) as raised:
        run(grid_class=Deaf, timeout=0.1)
    assert time.monotonic() - started < 3
    assert "node node-2 failed in round 1: timeout: no answer within" in str(raised.value)


def test_the_settings_round_timeout_counts_where_start_is_told_none():
    with pytest.raises(NodeFailedError, match="node-2 failed in round 1: timeout"):
        run(grid_class=Deaf, config={"round_timeout": 0.1})


def test_skip_goes_on_without_a_node_that_does_not_answer_in_time():
    record = run(
        PlainSteps,
        grid_class=Deaf,
        timeout=0.05,
        num_rounds=2,
        config={"on_failure": "skip"},
    ).record
    assert record.result["ids"] == ["node-0", "node-1"]
    assert all(list(entry.failed) == ["node-2"] for entry in record.history)
    assert list(record.evaluations) == ["node-0", "node-1"]
    assert [failure["round"] for failure in record.failures] == [1, 2, 2]
    assert record.failures[-1]["why"].startswith("evaluation: timeout")
    assert "evaluation" not in record.history[-1].failed["node-2"]


class Crashing(LocalGrid):
    """Flower itself answers for the first node in round 2, under another source, as it does."""

    def answer(self, message):
        config = message.content.config_records.get("fitins.config", {})
        if message.metadata.dst_node_id == 1 and config.get("round") == 2:
            reply = Message(Error(5, "node unavailable"), reply_to=message)
            reply.metadata.__dict__["_src_node_id"] = 1234
            return reply
        return super().answer(message)


def test_a_node_that_flower_answers_for_is_known_by_its_message():
    with pytest.raises(NodeFailedError, match="node node-0 failed in round 2: crash: node unav"):
        run(grid_class=Crashing)


class Forging(LocalGrid):
    """The second node answers with bytes that claim 15 GB."""

    def answer(self, message):
        reply = super().answer(message)
        if message.metadata.message_type == "train" and message.metadata.dst_node_id == 2:
            header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2013265920,), }"
            data = b"\x93NUMPY\x01\x00" + bytes([118, 0]) + header.ljust(117) + b"\n"
            arrays = {"0": Array("float64", (2013265920,), "numpy.ndarray", data)}
            reply.content["fitres.parameters"] = ArrayRecord(arrays)
        return reply


@pytest.mark.parametrize("on_failure", ["abort", "skip"])
def test_a_forged_answer_is_a_failure_of_that_node(on_failure):
    config = {"on_failure": on_failure}
    if on_failure == "abort":
        with pytest.raises(NodeFailedError, match="node node-1 failed in round 1: PayloadError"):
            run(grid_class=Forging, config=config)
    else:
        record = run(grid_class=Forging, config=config).record
        assert record.result["ids"] == ["node-0", "node-2"]


class Empty(LocalGrid):
    """The second node answers with nothing that belongs to an answer."""

    def answer(self, message):
        reply = super().answer(message)
        if message.metadata.message_type != "get_properties" and message.metadata.dst_node_id == 2:
            return Message(RecordDict(), reply_to=message)
        return reply


def test_an_empty_answer_is_a_failure_of_that_node():
    record = run(PlainSteps, grid_class=Empty, config={"on_failure": "skip"}).record
    assert record.result["ids"] == ["node-0", "node-2"]


def test_a_failing_evaluation_ends_the_run_or_is_skipped(caplog):
    class Fails(Mean):
        def evaluation_method(self, data, result):
            if self.id == "node-1":
                raise ValueError("no events")
            return super().evaluation_method(data, result)

    with pytest.raises(NodeFailedError) as raised:
        run(analyzer=Fails)
    assert "node node-1 failed in the evaluation: ValueError" in str(raised.value)
    assert "no events" in str(raised.value)
    record = run(analyzer=Fails, config={"on_failure": "skip"}).record
    assert list(record.evaluations) == ["node-0", "node-2"]
    assert record.result["n"] == [3, 1]
    [failure] = record.failures
    assert (failure["round"], failure["node"]) == (len(record.history), "node-1")
    assert failure["why"].startswith("evaluation: ValueError")
    assert "evaluation: going on without node node-1: ValueError" in caplog.text
    rows = history_csv(record).decode().splitlines()
    assert len(rows) == 1 + 3 * len(record.history)  # one per round and node


def test_an_evaluation_that_fails_everywhere_is_an_error():
    class Fails(Mean):
        def evaluation_method(self, data, result):
            raise ValueError

    with pytest.raises(NodesMissingError, match="no node answered the evaluation"):
        run(analyzer=Fails, config={"on_failure": "skip"})


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ("__init__", "in aggregator, its constructor"),
        ("aggregation_method", "in aggregator, round 1"),
        ("has_converged", "in aggregator, round 1"),
        ("final_method", "in aggregator, final_method"),
    ],
)
def test_what_the_aggregator_raises_comes_through_as_itself_with_its_place(method, where):
    def fails(self, *arguments):
        raise ZeroDivisionError("mine")

    aggregator = type("Fails", (Steps,), {method: fails})
    with pytest.raises(ZeroDivisionError, match="mine") as raised:
        run(aggregator)
    assert raised.value.__notes__ == [where]


def test_an_aggregate_that_cannot_travel_names_its_place():
    class Untransportable(PlainSteps):
        def aggregation_method(self, analysis_results):
            return {"mean": 0.0, "model": object()}

    with pytest.raises(PayloadError) as raised:
        run(Untransportable)
    assert "$.*" in str(raised.value)
    assert "$.model" in str(raised.value)
    assert raised.value.__notes__ == ["in aggregator, round 1"]


# ---- one strategy, many runs ----------------------------------------------------------------


def test_a_strategy_can_run_twice_and_nothing_of_the_first_run_shows():
    strategy = StarStrategy(Steps, aggregator_kwargs={"tolerance": 1e-3})
    first, second = run(strategy=strategy), run(strategy=strategy)
    assert first.record.result == second.record.result
    assert first.record is not second.record
    assert len(first.record.history) == len(second.record.history)
    assert first.train_metrics_clientapp is not second.train_metrics_clientapp


def test_a_strategy_can_run_again_after_a_failure():
    strategy = StarStrategy(Remembers)
    with pytest.raises(NodeFailedError):
        run(analyzer=FailsOnce, strategy=strategy)
    assert len(run(analyzer=FailsOnce, strategy=strategy, splits=SPLITS[:1]).record.history) == 4


def test_an_aggregator_cannot_change_the_keyword_arguments_of_the_next_run():
    class Appends(PlainSteps):
        def __init__(self, flame, names):
            super().__init__(flame)
            names.append("x")
            self.names = names

        def aggregation_method(self, analysis_results):
            return {"mean": 0.0, "names": self.names}

    kwargs = {"names": []}
    strategy = StarStrategy(Appends, aggregator_kwargs=kwargs)
    for _ in range(2):
        assert run(strategy=strategy, simple=True).record.result["names"] == ["x"]
    assert kwargs == {"names": []}


# ---- a user's own strategy ------------------------------------------------------------------


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


def test_a_subclass_of_a_users_own_is_obeyed_in_every_method():
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


def test_a_subclass_runs_in_the_tester_the_same_as_over_a_grid():
    over_grid = run(strategy=Own(Steps, simple_analysis=True)).record
    tester = StarModelTester(SPLITS, Mean, Own(Steps, simple_analysis=True), "s3")
    assert tester.result == over_grid.result
    assert tester.result["ids"] == ["node-1", "node-2"]


def test_arrays_that_a_subclass_changes_in_place_count_too():
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


def test_a_subclass_that_aggregates_by_itself_gets_by_without_the_aggregator():
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


def test_a_model_takes_a_strategy_and_gives_every_run_its_own_copy():
    model = StarModel(Mean, Own(Steps), "s3")
    first, second = model.strategy(), model.strategy()
    assert type(first) is Own
    assert first is not second
