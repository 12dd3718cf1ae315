"""Nodes that fail, are silent, or answer what cannot be read."""

import time

import pytest
from flwr.app import Array, ArrayRecord, Error, Message, RecordDict
from mean_analysis import SPLITS, FailsOnce, Mean, PlainSteps, Remembers, Steps, run, settings

from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import (
    ConfigError,
    NodeFailedError,
    NodesMissingError,
)
from flame_flwr.results import RunRecord
from flame_flwr.results.run_json import history_csv
from flame_flwr.strategies import StarStrategy


def test_abort_names_node_round_reason_and_mend():
    record = RunRecord()
    with pytest.raises(NodeFailedError) as raised:
        run(Remembers, FailsOnce, record=record)
    text = str(raised.value)
    assert text.startswith("node node-1 failed in round 2: ValueError at mean_analysis.py:")
    assert "in analysis_method: too few patients" in text
    assert 'set on-failure = "skip"' in text
    assert "The node's own log has the details" in text
    assert "Traceback (most recent call last)" in text
    assert len(record.history) == 1
    assert record.aggregate["seen"] == [
        (["node-0", "node-1", "node-2"], [("node-0", 0), ("node-1", 0), ("node-2", 0)])
    ]


def test_skip_leaves_a_node_out_of_both_lists():
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
    assert "ValueError at mean_analysis.py:" in entry.failed["node-1"]
    assert list(entry.node_seconds) == list(entry.node_bytes) == ["node-0", "node-2"]
    assert not record.history[2].failed


def test_a_node_that_failed_first_comes_back():
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


def test_skip_notes_who_could_not_begin():
    going_on = settings(on_failure="skip", min_nodes=1)
    with LocalGrid(NodePlan(Mean, data_type="s3"), SPLITS, Missing) as grid:
        record = StarStrategy(Steps).start(grid, settings=going_on).record
    assert record.nodes == ["node-0", "node-2"]
    [failure] = record.failures
    assert (failure["round"], failure["node"]) == (0, "node-1")
    assert failure["why"].startswith("ConfigError at test_failing_nodes.py:")


def test_fewer_than_min_nodes_names_who_failed():
    with pytest.raises(NodesMissingError) as raised:
        run(Remembers, FailsOnce, config={"on_failure": "skip", "min_nodes": 3})
    text = str(raised.value)
    assert "round 2: 2 nodes answered, min-nodes is 3" in text
    assert "node-1: ValueError at mean_analysis.py:" in text


def test_min_nodes_means_all_nodes_at_most():
    assert run(config={"on_failure": "skip", "min_nodes": 50}).record.converged
    with pytest.raises(NodesMissingError, match="2 nodes answered, min-nodes is 3"):
        run(Remembers, FailsOnce, config={"on_failure": "skip", "min_nodes": 50})


def test_skip_needs_one_node_that_answers():
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


def test_no_answer_in_time_is_a_timeout():
    started = time.monotonic()
    with pytest.raises(NodeFailedError) as raised:
        run(grid_class=Deaf, timeout=0.1)
    assert time.monotonic() - started < 30
    assert "node node-2 failed in round 1: timeout: no answer within" in str(raised.value)


def test_the_run_configs_round_timeout_counts():
    with pytest.raises(NodeFailedError, match="node-2 failed in round 1: timeout"):
        run(grid_class=Deaf, config={"round_timeout": 0.1})


def test_skip_goes_on_without_a_silent_node():
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


def test_an_answer_of_flowers_is_its_nodes():
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
def test_a_forged_answer_fails_its_node(on_failure):
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


def test_an_empty_answer_fails_its_node():
    record = run(PlainSteps, grid_class=Empty, config={"on_failure": "skip"}).record
    assert record.result["ids"] == ["node-0", "node-2"]


def test_a_failing_evaluation_aborts_or_is_skipped(caplog):
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
def test_an_aggregators_exception_comes_with_its_place(method, where):
    def fails(self, *arguments):
        raise ZeroDivisionError("mine")

    aggregator = type("Fails", (Steps,), {method: fails})
    with pytest.raises(ZeroDivisionError, match="mine") as raised:
        run(aggregator)
    assert raised.value.__notes__ == [where]
