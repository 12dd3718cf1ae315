"""``secure`` on models and strategies: what it refuses, and that the grid alone changes nothing."""

import csv
import io
import logging
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest
from flwr.app import ConfigRecord, RecordDict

from flame_flwr.aggregation import Grid, MaxRounds, Sum, WeightedMean
from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import ConfigError, FlameError, NodeFailedError, NotConvergedError
from flame_flwr.flower import HELLO, message_like
from flame_flwr.privacy.secure.layout import Answer
from flame_flwr.results.log_lines import log_evaluation
from flame_flwr.results.run_record import RunRecord
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel, StarModelTester
from flame_flwr.statistics import Moments, Statistic
from flame_flwr.statistics.fields import COUNT, EXACT_SUM, child, each, parameter
from flame_flwr.strategies import ReduceStrategy, WeightedFedAvg

SPLITS = [[1.0, 2.0, 4.5], [7.25], [3.0, 0.125, 8.0, 1.0]]


class Steps(StarAnalyzer):
    """A mean that creeps to that of all data, and its loss."""

    def analysis_method(self, data, aggregator_results):
        last = np.zeros(2) if aggregator_results is None else aggregator_results["model"]
        data = np.array(data)
        step = np.array([data.mean(), data.std()]) - last
        return {
            "model": last + 0.5 * step,
            "local_n_samples": len(data),
            "loss": float(np.abs(step).max()),
        }


class Scored(Steps):
    def evaluation_method(self, data, result):
        return {"error": abs(float(np.mean(data)) - float(result["model"][0])), "n": len(data)}


class Written(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        return True


def run(secure, analyzer=Steps, splits=SPLITS, **more):
    strategy = WeightedFedAvg(metrics=["loss"], convergence=MaxRounds(4), secure=secure, **more)
    return StarModelTester(splits, analyzer, strategy, "s3", quiet=True)


def test_grid_gives_the_mean_within_its_step():
    plain, gridded = run(None).result, run(False).result
    assert np.abs(plain["model"] - gridded["model"]).max() <= 4 * 3 * 2.0**-33
    assert gridded["loss"] == pytest.approx(plain["loss"], abs=1e-9)


class Large(Steps):
    def analysis_method(self, data, aggregator_results):
        return {"model": np.array([3e6, 2.0**-40]), "local_n_samples": 1000, "loss": 0.5}


@pytest.mark.parametrize("secure", [False, True])
def test_larger_grid_has_room_for_larger_products(secure):
    """Weight times value is below 2**31, divided by the number of nodes, on ``Grid(64, 32)``."""
    with pytest.raises(FlameError, match=r"cannot be summed|Grid\(64, 32\): declare a larger one"):
        _ = run(secure, Large).result
    found = run(secure, Large, grid=Grid(128, 64)).result["model"]
    assert found.tolist() == [3e6, 2.0**-40]


def test_scores_are_merged_as_declared():
    tester = run(False, Scored, score_sums={"error": WeightedMean("n"), "n": Sum()})
    means, n = [sum(each) / len(each) for each in SPLITS], [len(each) for each in SPLITS]
    at = tester.aggregate["model"][0]
    wanted = sum(w * abs(mean - at) for w, mean in zip(n, means, strict=True)) / sum(n)
    assert tester.evaluations == {"all nodes": {"error": pytest.approx(wanted), "n": 8}}


@pytest.mark.parametrize(
    "forms", [5, [["number", 5]], [["dict", ["a\x1b[2J\nINFO"], [["number", "float"]]]]]
)
def test_scores_of_any_form_are_their_nodes_failure(forms):
    """As a hostile hospital may send them: its name is said, and no terminal obeys its text."""

    class Hostile(LocalGrid):
        def answer(self, message):
            reply = super().answer(message)
            if (message.metadata.dst_node_id, message.metadata.message_type) != (2, "evaluate"):
                return reply
            sums = ConfigRecord({"sums": Answer(forms, np.zeros(5, np.uint64)).to_bytes()})
            return message_like(reply, RecordDict({**reply.content, "evaluateres.metrics": sums}))

    strategy = ReduceStrategy(
        {"model": WeightedMean()},
        convergence=MaxRounds(2),
        secure=True,
        score_sums={"error": Sum()},
    )
    record = RunRecord()
    plan, said = NodePlan(Scored, data_type="s3", secure=True), "node-1 failed in the evaluation"
    with Hostile(plan, SPLITS) as grid, pytest.raises(NodeFailedError, match=said) as caught:
        strategy.start(grid, record=record)
    assert str(caught.value).isprintable()
    assert [(each["round"], each["node"]) for each in record.failures] == [(2, "node-1")]


def test_scores_of_all_are_shown_as_theirs(caplog):
    from flame_flwr.results.report_tables import nodes_table, scores_table
    from flame_flwr.results.run_json import history_csv

    record = run(True, Scored, score_sums={"error": WeightedMean("n"), "n": Sum()}).record
    with caplog.at_level(logging.INFO):
        log_evaluation(record)
    assert "evaluation: 3 of 3 nodes, error" in caplog.text
    about = record.to_json()
    assert scores_table(about["nodes"], about["evaluations"]).rows[0][0] == "all nodes"
    assert {row[3] for row in nodes_table(about).rows} == {"not said"}  # no node says its time
    rows = list(csv.DictReader(io.StringIO(history_csv(record).decode())))
    assert {row["seconds"] for row in rows} == {""}


@pytest.mark.parametrize("secure", [True, False])
def test_scores_without_a_reduction_are_refused(secure):
    with pytest.raises(TypeError, match=r"Scored\.evaluation_method .*score_sums="):
        StarModel(Scored, WeightedFedAvg(secure=secure), "s3")


@pytest.mark.parametrize("secure", [True, False])
def test_written_aggregators_are_refused(secure):
    with pytest.raises(TypeError, match="declare them in a ReduceStrategy"):
        StarModel(Steps, Written, "s3", secure=secure)


def test_model_says_it_of_its_strategy_alone():
    strategy = ReduceStrategy({"model": WeightedMean()}, convergence=MaxRounds(2))
    assert StarModel(Steps, strategy, "s3", secure=True).plan.secure
    assert strategy.secure is None
    assert not StarModel(Steps, strategy, "s3").plan.secure


# ---- what is said of a run -------------------------------------------------------------------


def test_report_says_what_the_server_saw():
    from flame_flwr.results.report_tables import settings_table

    record = run(True).record
    rows = dict(settings_table({"parameters": {}, **record.to_json()}).rows)
    assert rows["sums"] == "masked"
    assert rows["identities of the roster"] == "made up for this run"
    assert "keys, shapes and types of the answers, labels" in rows["in clear beside sums"]
    assert "model 64/32" in rows["grids of sums (bits/exponent)"]
    assert all(f"node-{place} " in rows["roster of sums"] for place in range(3))
    assert record.to_json()["left"]["node-0"][0]["what"] == "masked sums"


def test_grids_of_scores_are_said():
    record = run(True, Scored, score_sums={"error": WeightedMean("n"), "n": Sum()}).record
    assert record.secure["grids"]["scores.error"] == [256, 128]
    assert record.secure["grids"]["model by local_n_samples"] == [64, 0]


def test_run_that_fails_says_what_the_server_saw():
    class Fails(Steps):
        def analysis_method(self, data, aggregator_results):
            if aggregator_results is not None:
                raise ArithmeticError
            return super().analysis_method(data, aggregator_results)

    record, strategy = RunRecord(), WeightedFedAvg(convergence=MaxRounds(4), secure=True)
    plan, why = NodePlan(Fails, data_type="s3", secure=True), "ArithmeticError"
    with LocalGrid(plan, SPLITS) as grid, pytest.raises(NodeFailedError, match=why):
        strategy.start(grid, record=record)
    assert len(record.secure["roster"]) == 3
    assert record.secure["grids"]["model"] == [64, 32]


def test_masked_and_unmasked_runs_differ_in_no_bit():
    masked, unmasked = run(True), run(False)
    assert masked.aggregate["model"].tobytes() == unmasked.aggregate["model"].tobytes()
    assert masked.aggregate["loss"] == unmasked.aggregate["loss"]
    assert masked.rounds == unmasked.rounds


@pytest.mark.parametrize("secure", [True, False, None])
def test_one_message_for_each_node_and_round(secure):
    """Beside hello and the evaluation, as without: masks take no message of their own."""

    class Counts(LocalGrid):
        def push_messages(self, messages):
            sent = [message.metadata for message in messages]
            asked.update((each.message_type, each.group_id, each.dst_node_id) for each in sent)
            return super().push_messages(messages)

    asked, scores = Counter(), None if secure is None else {"error": WeightedMean("n"), "n": Sum()}
    strategy = WeightedFedAvg(convergence=MaxRounds(4), secure=secure, score_sums=scores)
    with Counts(NodePlan(Scored, data_type="s3", secure=secure is True), SPLITS) as grid:
        strategy.start(grid)
    assert set(asked.values()) == {1}
    kinds = Counter(kind for kind, _, _ in asked)
    assert kinds == {HELLO: 3, "train": 4 * 3, "evaluate": 3}


@pytest.mark.parametrize("client", [None, StarClient])
def test_client_of_ones_own_masks_too(client):
    strategy = WeightedFedAvg(metrics=["loss"], convergence=MaxRounds(4), secure=True)
    own = client and type("Own", (client,), {})
    tester = StarModelTester(SPLITS, Steps, strategy, "s3", quiet=True, client=own)
    assert tester.aggregate["model"].tobytes() == run(False).aggregate["model"].tobytes()


def test_two_nodes_are_too_few():
    with pytest.raises(NodeFailedError, match="need 3 nodes or more, and here are 2"):
        run(True, splits=SPLITS[:2])


def test_run_config_asks_for_masks():
    strategy = WeightedFedAvg(metrics=["loss"])
    with LocalGrid(NodePlan(Steps, data_type="s3"), SPLITS, run_config={"secure": True}) as grid:
        record = strategy.start(grid, settings=RunSettings.from_config({"secure": True})).record
    assert record.secure["masked"]


def test_run_config_cannot_leave_scores_unmerged():
    strategy = WeightedFedAvg(metrics=["loss"])
    said = "declare how they are merged, score_sums="
    plan = NodePlan(Scored, data_type="s3")
    with LocalGrid(plan, SPLITS) as grid, pytest.raises(TypeError, match=said):
        strategy.start(grid, settings=RunSettings.from_config({"secure": True}))


def test_run_config_cannot_take_masks_away():
    strategy = ReduceStrategy({"local_n_samples": Sum()}, secure=True)
    settings = RunSettings.from_config({"secure": False})
    with pytest.raises(ConfigError, match="cannot undo"):
        strategy.start(None, settings=settings)


@pytest.mark.parametrize(("first", "then"), [(None, True), (True, None), (False, True)])
def test_a_resumed_run_keeps_its_sums(first, then, tmp_path, context):
    """Else it raised a TypeError, or was told that hospitals had lost their files."""
    strategy = WeightedFedAvg(metrics=["loss"], convergence=MaxRounds(4))
    model = StarModel(Steps, strategy, "s3")
    config = {"results": str(tmp_path / "results"), "checkpoint": str(tmp_path / "kept")}
    runs = [{"secure": first, "max-rounds": 2}, {"secure": then, "resume": True}]
    for more, error in zip(runs, (NotConvergedError, ConfigError), strict=True):
        given = config | {key: value for key, value in more.items() if value is not None}
        with LocalGrid(model.plan, SPLITS, run_config=given) as grid, pytest.raises(error) as why:
            model.server_app(grid, context(run_config=given))
    shown = [None if secure is None else str(secure) for secure in (first, then)]
    said = f"is of another secure: {shown[0]!r}, and this run has {shown[1]!r}"
    assert said in why.value.message


# ---- statistics of a user's own --------------------------------------------------------------


@dataclass(frozen=True)
class Visits(Statistic):
    """How many patients, how long in all, how often by ward, and how old."""

    n: int = field(metadata=COUNT)
    days: Fraction = field(metadata=EXACT_SUM)
    wards: tuple[str, ...] = field(metadata=parameter())
    by_ward: tuple[int, ...] = field(metadata=each(COUNT))
    ages: Moments = field(metadata=child(Moments))

    @classmethod
    def from_data(cls, days):
        days = list(days)
        by_ward = (sum(day < 3 for day in days), sum(day >= 3 for day in days))
        total = sum(map(Fraction, days), Fraction(0))
        return cls(len(days), total, ("a", "b"), by_ward, Moments.from_data(days))

    def result(self):
        return {"n": self.n, "days": float(self.days), "by_ward": self.by_ward}

    @property
    def size(self):
        return self.n


class Counts(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"visits": Visits.from_data(data)}


@pytest.mark.parametrize("client", [None, StarClient])
def test_own_statistics_that_add_up_are_summed(client):
    """Neither a node's gate nor, with a client, what comes to it has the class."""
    results = [
        StarModelTester(
            SPLITS, Counts, ReduceStrategy({"visits": Visits}, simple_analysis=True, secure=secure),
            "s3", quiet=True, client=client and type("Own", (client,), {}),
        ).result["visits"]
        for secure in (None, False, True)
    ]  # fmt: skip
    assert results[0] == results[1] == results[2]
    assert results[2].n == sum(map(len, SPLITS))
    assert results[2].by_ward == (4, 4)
