"""STAR analyses in Flower's real simulation runtime: Ray, several rounds, real failures."""

import pickle

import numpy as np
import pytest

from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester

pytestmark = pytest.mark.simulation

STATEFUL = """
import numpy as np
from sklearn.linear_model import SGDClassifier


class Analyzer(StarAnalyzer):
    def __init__(self, flame, seed):
        super().__init__(flame)
        self.random = np.random.default_rng(seed)
        self.history = []
        self.me = self
        self.model = SGDClassifier(random_state=0, alpha=0.01)

    def analysis_method(self, data, aggregator_results):
        features = self.random.normal(size=(40, 3))
        labels = (features[:, 0] * data > 0).astype(int)
        self.model.partial_fit(features, labels, classes=[0, 1])
        self.history.append(float(features.sum()))
        assert self.me is self
        assert len(self.history) == self.num_iterations + 1
        scale = 0.0 if aggregator_results is None else aggregator_results["scale"]
        return {
            "id": self.id,
            "coef": self.model.coef_,
            "history": tuple(self.history),
            "scale": scale + data,
            "partners": self.partner_node_ids,
        }


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return {"scale": sum(r["scale"] for r in analysis_results), "nodes": analysis_results}

    def has_converged(self, result, last_result):
        return self.num_iterations >= 3
"""


def in_process(source, splits, **kwargs):
    space = {"StarAnalyzer": StarAnalyzer, "StarAggregator": StarAggregator}
    exec(source, space)
    return StarModelTester(splits, space["Analyzer"], space["Aggregator"], "s3", **kwargs)


def test_state_order_and_numbers_are_those_of_the_run_in_process(run_app):
    done = run_app(
        STATEFUL,
        "StarModel(Analyzer, Aggregator, 's3', simple_analysis=False, output_type='pickle', "
        "filename='all.pkl', analyzer_kwargs={'seed': 5})",
    )
    assert done.succeeded, done.log
    there = pickle.loads((done.folder / "all.pkl").read_bytes())
    here = in_process(STATEFUL, [1.0, 2.0, 3.0], simple_analysis=False, analyzer_kwargs={"seed": 5})
    assert here.rounds == done.run["rounds"] == 4
    assert there["scale"] == here.result["scale"]
    for ours, theirs in zip(here.result["nodes"], there["nodes"], strict=True):
        np.testing.assert_array_equal(theirs.pop("coef"), ours.pop("coef"))
        assert theirs == ours
    assert done.run["nodes"] == ["node-0", "node-1", "node-2"]
    assert done.run["status"] == "completed"
    assert [entry["round"] for entry in done.run["history"]] == [1, 2, 3, 4]


def test_evaluation_final_method_log_lines_and_relative_files(run_app):
    done = run_app(
        """
        from pathlib import Path

        class Analyzer(StarAnalyzer):
            def analysis_method(self, data, aggregator_results):
                Path("left_behind.txt").write_text("a patient's value")
                self.flame.flame_log(f"analysed, progress {self.flame.get_progress()}")
                self.flame.set_progress(10 * (self.num_iterations + 1))
                return data

            def evaluation_method(self, data, result):
                assert not Path("left_behind.txt").exists()
                assert self.flame.get_progress() == 20
                return {"missing": sum(result) - data, "rounds": self.num_iterations}

        class Aggregator(Aggregator):
            def aggregation_method(self, analysis_results):
                Path("plots").mkdir(exist_ok=True)
                Path("plots/figure.txt").write_text("drawn")
                return analysis_results

            def final_method(self, result, evaluations):
                return [Path("plots/figure.txt").read_text(), evaluations, self.answered_node_ids]
        """,
        "StarModel(Analyzer, Aggregator, 's3', simple_analysis=False, multiple_results=True)",
    )
    assert done.succeeded, done.log
    assert (done.folder / "result_1").read_text() == "drawn"
    scores = [{"missing": 6.0 - i, "rounds": 2} for i in (1, 2, 3)]
    assert (done.folder / "result_2").read_text() == str(scores)
    assert (done.folder / "result_3").read_text() == "['node-0', 'node-1', 'node-2']"
    assert (done.folder / "scratch" / "plots" / "figure.txt").exists()
    assert done.run["evaluations"]["node-1"] == scores[1]
    assert "[node-2, round 2] analysed, progress 10" in done.log


def test_a_failure_ends_the_run_with_a_readable_message_and_a_non_zero_status(run_app):
    done = run_app(
        """
        class Analyzer(Analyzer):
            def analysis_method(self, data, aggregator_results):
                if self.num_iterations == 1 and data == 2.0:
                    raise LookupError("no such column: pasc")
                return data
        """
    )
    assert not done.succeeded
    for text in (
        "node node-1 failed in round 2: LookupError at app.py:",
        "in analysis_method",
        "no such column: pasc",
        "on-failure",
    ):
        assert text in done.log
    assert done.run["status"] == "failed"
    assert done.run["files"] == []


def test_hospital_folders_that_are_missing_or_empty_stop_the_run_before_round_1(run_app, tmp_path):
    for i in range(2):
        (tmp_path / f"hospital-{i}").mkdir()
    (tmp_path / "hospital-0" / "a.csv").write_text("x\n1\n")
    done = run_app("", data=f"{tmp_path}/hospital-{{partition-id}}")
    assert not done.succeeded
    assert "before round 1, 2 nodes cannot take part" in done.details
    for node, reason in (("node-1", "is empty"), ("node-2", "does not exist")):
        assert f"{node}: DataError: data source 1: the data folder {reason}" in done.details
    assert str(tmp_path / "hospital-2") in done.details  # a simulation may show it
    assert done.run["rounds"] == 0


def test_a_users_own_strategy_and_folders_of_files_by_relative_path(run_app, tmp_path):
    """As a user would write it, in a package of its own: samples nodes, adds to the config."""
    for i in range(3):
        folder = tmp_path / f"hospital-{i}" / "deep"
        folder.mkdir(parents=True)
        (folder / "a b.csv").write_bytes(b"\x00" * i)
        (folder.parent / "z.csv").write_bytes(b"zz")
    done = run_app(
        """
        from flame_flwr.strategies import StarStrategy
        from flame_flwr.payload import decode, encode, from_record, to_record

        class Analyzer(Analyzer):
            def analysis_method(self, data, aggregator_results):
                return [{key: len(value) for key, value in files.items()} for files in data]

        class Sampling(StarStrategy):
            def configure_train(self, server_round, arrays, config, grid):
                config["asked-in"] = server_round
                return list(super().configure_train(server_round, arrays, config, grid))[:2]

            def aggregate_train(self, server_round, replies):
                arrays, metrics = super().aggregate_train(server_round, replies)
                value = decode(from_record(arrays))
                return to_record(encode([*value, f"round {server_round}"])), metrics
        """,
        "StarModel(Analyzer, Sampling(Aggregator), 's3', simple_analysis=False)",
        data=f"{tmp_path}/hospital-{{partition-id}}",
    )
    assert done.succeeded, done.log
    files = [[{"deep/a b.csv": i, "z.csv": 2}] for i in range(2)]
    assert (done.folder / "result").read_text() == str([*files, "round 2"])
    assert done.run["nodes"] == ["node-0", "node-1", "node-2"]
