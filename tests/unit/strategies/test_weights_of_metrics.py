"""Scores of test data are weighted by the rows tested with, and every mean says what weighs it."""

import json
import math
import pickle
import re

import numpy as np
import pytest

from flame_flwr.aggregation import MaxRounds, Plateau, Sum
from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import DataError, ModelError, NodeFailedError
from flame_flwr.metrics import rows_tested
from flame_flwr.results.followed_lines import parse_line
from flame_flwr.results.metric_means import by_test_rows, weighted_mean
from flame_flwr.results.run_record import RoundRecord, RunRecord
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
from flame_flwr.strategies import ReduceStrategy, StarStrategy, WeightedFedAvg

# Rows to train and to test with at two hospitals: 90 and 10, 10 and 90.
TRAIN = [np.linspace(0, 1, 90), np.linspace(5, 9, 10)]
TEST = [np.linspace(1, 2, 10), np.linspace(-10, -7, 90)]
SPLITS = list(zip(TRAIN, TEST, strict=True))
CLIENTS = pytest.mark.parametrize("client", [None, StarClient], ids=["plain", "messages"])


class Square(StarAnalyzer):
    """The model is a number; losses are mean squares."""

    def analysis_method(self, data, aggregator_results):
        train, test = data
        at = 0.0 if aggregator_results is None else float(aggregator_results["model"][0])
        result = {
            "model": np.array([np.mean(train)]),
            "local_n_samples": len(train),
            "loss": np.mean((train - at) ** 2),
            "n_test": len(test),
        }
        if len(test):
            result |= {"test_loss": np.mean((test - at) ** 2), "test_bias": np.mean(test - at)}
        return result

    def evaluation_method(self, data, result):
        _, test = data
        score = np.mean(np.abs(test - result["model"][0])) if len(test) else 0.0
        return {"n_test": len(test), "error": float(score), "right": len(test) // 2}


def pooled(values, at=0.0):
    """Return the mean square of all rows together."""
    rows = [float(row) for part in values for row in part]
    return sum((row - at) ** 2 for row in rows) / len(rows)


def run(strategy, splits=SPLITS, analyzer=Square, **kwargs):
    return StarModelTester(list(splits), analyzer, strategy, "s3", **kwargs)


def fedavg(metrics=("loss", "test_loss", "test_bias"), **more):
    return WeightedFedAvg(metrics=metrics, convergence=MaxRounds(1), **more)


@CLIENTS
@pytest.mark.parametrize(
    "metrics",
    [
        ["loss", "test_loss"],
        {"loss": "local_n_samples", "test_loss": "n_test"},
        {"loss": lambda sent: sent["local_n_samples"], "test_loss": lambda sent: sent["n_test"]},
    ],
    ids=["list", "dict", "functions"],
)
def test_a_metric_is_that_of_the_pooled_rows(client, metrics):
    tester = run(fedavg(metrics), client=client)
    assert tester.result["loss"] == pytest.approx(pooled(TRAIN), rel=1e-12)
    assert tester.result["test_loss"] == pytest.approx(pooled(TEST), rel=1e-12)
    assert tester.result["model"][0] == pytest.approx(np.mean(np.concatenate(TRAIN)))
    plain = sum(pooled([part]) for part in TEST) / 2
    assert abs(plain - pooled(TEST)) > 10  # the means differ


@pytest.mark.parametrize("by", [None, "local_n_samples", lambda sent: sent["local_n_samples"]])
def test_test_scores_have_a_weight_of_their_own(by):
    tester = run(fedavg(by=by))
    assert tester.result["test_loss"] == pytest.approx(pooled(TEST), rel=1e-12)
    expected = pooled(TRAIN) if by else sum(pooled([part]) for part in TRAIN) / 2
    assert tester.result["loss"] == pytest.approx(expected, rel=1e-12)


def test_a_dict_says_of_each_what_weighs_it():
    class Own(Square):
        def analysis_method(self, data, aggregator_results):
            sent = super().analysis_method(data, aggregator_results)
            return {**sent, "rows": {"tested": sent["n_test"]}}

    metrics = {"test_loss": "rows.tested", "test_bias": None, "loss": "n_test"}
    tester = run(fedavg(metrics), analyzer=Own)
    assert tester.result["test_loss"] == pytest.approx(pooled(TEST), rel=1e-12)
    assert tester.result["test_bias"] == pytest.approx(np.mean([np.mean(part) for part in TEST]))
    losses = [pooled([part]) for part in TRAIN]
    assert tester.result["loss"] == pytest.approx((10 * losses[0] + 90 * losses[1]) / 100)


@CLIENTS
@pytest.mark.parametrize("sends", [{}, {"test_loss": math.nan}, {"test_loss": None}])
def test_a_node_without_test_rows_does_not_count(client, sends):
    class Some(Square):
        def analysis_method(self, data, aggregator_results):
            sent = super().analysis_method(data, aggregator_results)
            return sent if len(data[1]) else {**sent, **sends}

    splits = [*SPLITS, (np.linspace(0, 3, 40), np.empty(0))]
    tester = run(fedavg(["test_loss", "loss"]), splits, Some, client=client)
    assert tester.result["test_loss"] == pytest.approx(pooled(TEST), rel=1e-12)
    assert tester.result["loss"] == pytest.approx(pooled([split[0] for split in splits]))


@CLIENTS
def test_a_node_without_its_weight_is_named(client):
    class Silent(Square):
        def analysis_method(self, data, aggregator_results):
            sent = super().analysis_method(data, aggregator_results)
            if self.id == "node-1":
                del sent["n_test"]
            return sent

    with pytest.raises((DataError, NodeFailedError)) as raised:
        run(fedavg(), analyzer=Silent, client=client)
    said = str(raised.value)
    assert "node-1" in said
    assert "test_loss" in said
    assert "its weight `n_test` is missing: it is how many rows the node has tested with" in said


def test_a_metric_without_a_weight_is_refused():
    with pytest.raises(ModelError, match="metrics must be a list of keys, or a dict"):
        WeightedFedAvg(metrics="test_loss")
    with pytest.raises(ModelError, match="by must be a key or a function"):
        WeightedFedAvg(metrics={"test_loss": 2.5})


def test_a_plateau_sees_the_pooled_score():
    strategy = WeightedFedAvg(metrics=["test_loss"], convergence=Plateau("test_loss", 1))
    tester = run(strategy)
    assert tester.rounds == 2
    at = float(np.mean(np.concatenate(TRAIN)))
    assert tester.result["test_loss"] == pytest.approx(pooled(TEST, at), rel=1e-12)


# ---- what is shown -------------------------------------------------------------------------------


@CLIENTS
def test_every_shown_mean_says_what_weighs_it(client, tmp_path, caplog):
    caplog.set_level("INFO", "flame_flwr")
    place = tmp_path / "r.txt"
    tester = run(fedavg(), client=client, filename=place, quiet=False, report="on")
    loss, tested = pooled(TRAIN), pooled(TEST)
    each = [pooled([part]) for part in TEST]
    [line] = [text for text in caplog.messages if text.startswith("round 1: ")]
    assert f"test_loss {tested:.4g} (weighted by n_test, {each[0]:.4g} to {each[1]:.4g})" in line
    assert f"loss {loss:.4g} (weighted by local_n_samples, " in line
    assert parse_line(line).metrics.startswith("loss ")
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["weighted_by"] == {
        "loss": "local_n_samples",
        "test_loss": "n_test",
        "test_bias": "n_test",
    }
    [entry] = about["history"]
    assert entry["metrics"]["test_loss"] == pytest.approx(tested, rel=1e-12)
    assert tester.history[0].metrics["loss"] == pytest.approx(loss, rel=1e-12)
    page = (tmp_path / "report.html").read_text()
    assert "<th>test_loss, weighted by n_test</th>" in re.sub(r"<th[^>]*>", "<th>", page)
    assert "mean of test_loss" not in page
    assert f"{tested:.5g}" in page


@CLIENTS
def test_reported_scores_are_weighted_by_known_rows(client, caplog):
    class Reports(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            train, test = data
            loss = float(np.mean(test**2))
            self.flame.report_metrics(test_loss=loss, loss=float(np.mean(train**2)))
            return {"n_test": len(test), "n": len(train)}

    class Last(StarAggregator):
        def aggregation_method(self, analysis_results):
            return len(analysis_results)

        def has_converged(self, result, last_result):
            return True

    caplog.set_level("INFO", "flame_flwr")
    tester = run(Last, analyzer=Reports, client=client, quiet=False)
    assert tester.history[0].metrics == {"test_loss": pytest.approx(pooled(TEST), rel=1e-12)}
    assert f"test_loss {pooled(TEST):.4g} (weighted by n_test, " in caplog.text
    plain = sum(pooled([part]) for part in TRAIN) / 2
    assert f"loss {plain:.4g} ({pooled(TRAIN[:1]):.4g} to " in caplog.text

    class NoRows(Reports):
        def analysis_method(self, data, aggregator_results):
            super().analysis_method(data, aggregator_results)
            return 1

    plain_run = run(Last, analyzer=NoRows, client=client, quiet=False)
    assert plain_run.history[0].metrics == {}


@CLIENTS
def test_an_evaluations_mean_is_that_of_its_rows(client, caplog):
    caplog.set_level("INFO", "flame_flwr")
    tester = run(fedavg(), client=client, quiet=False)
    at = float(tester.result["model"][0])
    rows = np.abs(np.concatenate(TEST) - at)
    assert f"error {rows.mean():.4g} (weighted by n_test, " in caplog.text
    assert "right 25 (5 to 45)" in caplog.text  # whole numbers are counts
    assert "n_test 50 (10 to 90)" in caplog.text


def test_flowers_result_has_the_same_means():
    with LocalGrid(NodePlan(Square, data_type="s3"), SPLITS) as grid:
        result = fedavg().start(grid)
    [metrics] = result.evaluate_metrics_clientapp.values()
    at = float(result.record.aggregate["model"][0])
    assert metrics["error"] == pytest.approx(np.abs(np.concatenate(TEST) - at).mean(), rel=1e-12)
    assert (metrics["n_test"], metrics["right"]) == (50.0, 25.0)


def test_events_tag_the_weighted_mean_as_such(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter  # noqa: F401  (the format's other side)

    run(fedavg(), filename=tmp_path / "r.txt", tensorboard="on")
    [path] = (tmp_path / "tensorboard").glob("events.out.tfevents.*")
    content, found = path.read_bytes(), {}
    while content:
        size = int.from_bytes(content[:8], "little")
        event = Event.FromString(content[12 : 12 + size])
        found |= {value.tag: value.simple_value for value in event.summary.value}
        content = content[16 + size :]
    assert found["weighted/test_loss_by_n_test"] == pytest.approx(pooled(TEST), rel=1e-6)
    plain = sum(pooled([part]) for part in TEST) / 2
    assert found["mean/test_loss"] == pytest.approx(plain, rel=1e-6)
    assert "evaluation/weighted/error_by_n_test" in found


def test_a_resumed_run_keeps_what_weighed_earlier_rounds():
    first = RunRecord(weighted_by={"test_x": "n_test"})
    first.history.append(RoundRecord(1, metrics={"test_x": 2.5}))
    other = RunRecord(weighted_by={"loss": "n"})
    other.go_on(pickle.loads(pickle.dumps(first.progress())))
    assert other.public.weighted(other.history[0]) == {"test_x": (2.5, "n_test")}
    assert other.to_json()["weighted_by"] == {"loss": "n", "test_x": "n_test"}


def test_ones_own_strategy_says_what_weighs_its_metrics():
    class Own(ReduceStrategy):
        reductions = {"model": Sum(), "test_loss": Sum(), "n_test": Sum()}

        def metric_keys(self):
            return {"test_loss": "nothing at all", "n_test": ""}

    class Listed(Own):
        def metric_keys(self):
            return ["test_loss", "n_test"]

    tester = run(Own())
    assert list(tester.history[0].metrics) == ["test_loss"]
    assert run(Listed()).history[0].metrics == {}  # a sum is no mean: nothing is said of it
    assert issubclass(Own, StarStrategy)


# ---- the arithmetic ------------------------------------------------------------------------------


def test_the_mean_of_odd_weights_and_values():
    assert weighted_mean([(1.0, 1), (3.0, 3)]) == 2.5
    assert weighted_mean([(math.nan, 0), (3.0, 3)]) == 3.0
    assert weighted_mean([(1e308, 1), (1e308, 1)]) == 1e308
    assert weighted_mean([(1.0, 1e308), (2.0, 1e308)]) == 1.5
    assert weighted_mean([(1.0, None), (3.0, 3)]) is None
    assert weighted_mean([(1.0, 0)]) is None
    assert weighted_mean([]) is None
    assert weighted_mean([(math.inf, 1), (1.0, 1)]) is None
    assert by_test_rows({"a": {"test_x": 1.0}}, {}) == {}
    assert by_test_rows({"a": {"x": 1, "y": 1.5}}, {"a": 2.0}, every=True) == {"y": 1.5}


def test_how_many_rows_were_tested_with():
    assert rows_tested({"n_test": 3}) == 3.0
    assert rows_tested({"n_test": np.array(4)}, {}) == 4.0
    assert rows_tested([1], {"n_test": np.int32(5)}) == 5.0
    assert rows_tested(None, {"n_test": True}) is None
    assert rows_tested({"n_test": -1}) is None
    assert rows_tested({"n_test": 10**400}) is None
    assert rows_tested({"n_test": math.nan}) is None
