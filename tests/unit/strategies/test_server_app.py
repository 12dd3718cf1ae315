"""The ServerApp of a model: what a run leaves in its folder, and how it fails."""

import csv
import gc
import json
import os
import pickle
from pathlib import Path

import pytest

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import (
    ConfigError,
    ModelError,
    NotConvergedError,
    ResultError,
    StoreError,
)
from flame_flwr.object_store import Patience
from flame_flwr.results import RunRecord
from flame_flwr.star import StarAggregator, StarAnalyzer, StarLocalDPModel, StarModel

SPLITS = [[1.0, 2.0], [3.0]]
ROUNDS = []


class Sum(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        ROUNDS.append(self.num_iterations)
        return sum(data)

    def evaluation_method(self, data, result):
        return {"share": sum(data) / result}


class Total(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results) + 1000.25 * self.num_iterations

    def has_converged(self, result, last_result):
        return self.num_iterations >= 1


class Never(Total):
    def has_converged(self, result, last_result):
        return False


@pytest.fixture
def run(tmp_path, context, monkeypatch):
    """Run a model's ServerApp; return the folder it made, or let its error through."""
    monkeypatch.chdir(tmp_path)
    ROUNDS.clear()

    def start(model, *, splits=SPLITS, results=str(tmp_path / "results"), **config):
        before = set((tmp_path / "results").glob("*"))
        config = {key.replace("_", "-"): value for key, value in config.items()}
        node = context(run_config={"results": results, **config})
        with LocalGrid(NodePlan(model.plan.analyzer, data_type="s3"), splits) as grid:
            try:
                model.server_app(grid, node)
            finally:
                assert Path.cwd() == tmp_path
        [folder] = set((tmp_path / "results").iterdir()) - before
        return folder

    return start


def only_folder(tmp_path):
    [folder] = (tmp_path / "results").iterdir()
    return folder


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def about(folder):
    return json.loads((folder / "run.json").read_bytes())


def test_a_run_leaves_result_record_and_history(run, tmp_path, caplog):
    folder = run(
        StarModel(Sum, Total, "s3", simple_analysis=False, filename="total.txt"), max_rounds=7
    )
    assert names(folder) == ["history.csv", "run.json", "total.txt"]
    assert (folder / "total.txt").read_text() == "1006.25"
    said = about(folder)
    assert said["status"] == "completed"
    assert said["rounds"] == 2
    assert said["nodes"] == ["node-0", "node-1"]
    assert said["converged"] is True
    assert said["parameters"] == {"results": str(tmp_path / "results"), "max-rounds": 7}
    assert said["evaluations"]["node-1"] == {"share": 3.0 / 1006.25}
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["round"], row["node"]) for row in rows] == [
        ("1", "node-0"),
        ("1", "node-1"),
        ("2", "node-0"),
        ("2", "node-1"),
    ]
    assert str(folder) in caplog.text
    assert str(folder / "total.txt") in caplog.text


def test_two_runs_have_two_folders(run):
    model = StarModel(Sum, Total, "s3")
    folders = [run(model), run(model)]
    assert folders[0] != folders[1]
    assert [(folder / "result").read_text() for folder in folders] == ["6.0", "6.0"]


def test_files_of_user_code_are_kept(run, tmp_path):
    class Plots(Total):
        def aggregation_method(self, analysis_results):
            Path("results").mkdir(exist_ok=True)
            Path("results/plot.png").write_bytes(b"png")
            return super().aggregation_method(analysis_results)

    folder = run(StarModel(Sum, Plots, "s3"))
    assert (folder / "scratch/results/plot.png").read_bytes() == b"png"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]


@pytest.mark.parametrize(
    "results", ["relative/results", "s3://bucket/results", "/proc/flame-results"]
)
def test_impossible_results_are_refused_first(run, results):
    with pytest.raises(ConfigError, match="`results` in the run config"):
        run(StarModel(Sum, Total, "s3"), results=results)
    assert ROUNDS == []


def test_a_wrong_run_config_is_refused_first(run, tmp_path):
    with pytest.raises(ConfigError, match="did you mean `max-rounds`"):
        run(StarModel(Sum, Total, "s3"), max_round=3)
    assert ROUNDS == []
    assert list(tmp_path.iterdir()) == []


def test_not_converging_leaves_the_last_aggregate(run, tmp_path, caplog):
    model = StarModel(Sum, Never, "s3", simple_analysis=False)
    with pytest.raises(NotConvergedError):
        run(model, max_rounds=3)
    folder = only_folder(tmp_path)
    assert names(folder) == ["history.csv", "rescue.pkl", "run.json"]
    assert pickle.loads((folder / "rescue.pkl").read_bytes()) == 2006.5
    said = about(folder)
    assert f"the run failed; what there is of it is in {folder}" in caplog.text
    assert said["status"] == "failed"
    assert said["error"].startswith("NotConvergedError: not converged after 3 rounds")
    assert said["rounds"] == 3
    assert said["converged"] is False
    assert said["files"] == []


def test_ctrl_c_leaves_the_last_aggregate_too(run, tmp_path):
    class Interrupted(Never):
        def aggregation_method(self, analysis_results):
            if self.num_iterations == 1:
                raise KeyboardInterrupt
            return super().aggregation_method(analysis_results)

    with pytest.raises(KeyboardInterrupt):
        run(StarModel(Sum, Interrupted, "s3", simple_analysis=False))
    folder = only_folder(tmp_path)
    assert pickle.loads((folder / "rescue.pkl").read_bytes()) == 6.0
    assert about(folder)["error"].startswith("StoppedError: the run was stopped")


def everything(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_the_folder_is_logged_first(run, caplog):
    folder = run(StarModel(Sum, Total, "s3", simple_analysis=False))
    said = [line for line in caplog.messages if line.startswith(("the run's files", "round 1"))]
    assert said[0] == f"the run's files go into {folder}"
    assert said[1].startswith("round 1")


def test_a_private_run_writes_nothing_exact(run, caplog):
    pytest.importorskip("opendp")
    model = StarLocalDPModel(Sum, Total, "s3", simple_analysis=False, epsilon=0.5, sensitivity=2.0)
    folder = run(model)
    text = (folder / "result").read_text()
    assert float(text) != 1006.25
    assert abs(float(text) - 1006.25) < 4 * 40  # e^-40 of a false alarm
    # What is released may begin with the same digits: one draw in a thousand does.
    assert b"1006.25" not in everything(folder).replace(text.encode(), b"")
    assert "1006.25" not in caplog.text
    assert about(folder)["privacy"] == {
        "mechanism": "Laplace (OpenDP), on the final result",
        "epsilon": 0.5,
        "sensitivity": 2.0,
    }
    assert about(folder)["evaluations"] == {}
    assert "Laplace noise on the result, epsilon 0.5, sensitivity 2" in caplog.text


class Refused(Total):
    def final_method(self, result, evaluations):
        return [result, "text"]


@pytest.mark.parametrize(
    ("aggregator", "error"), [(Never, NotConvergedError), (Refused, ResultError)]
)
def test_a_failed_private_run_writes_nothing_exact(run, tmp_path, aggregator, error, caplog):
    pytest.importorskip("opendp")
    model = StarLocalDPModel(
        Sum, aggregator, "s3", simple_analysis=False, epsilon=0.5, sensitivity=2.0
    )
    with pytest.raises(error):
        run(model, max_rounds=2) if aggregator is Never else run(model)
    folder = only_folder(tmp_path)
    assert names(folder) == ["history.csv", "run.json"]
    assert b"1006.25" not in everything(folder)
    assert "1006.25" not in caplog.text


def test_a_second_run_starts_fresh(run):
    class Counts(Total):
        def __init__(self, flame, seen):
            super().__init__(flame)
            self.seen = seen

        def aggregation_method(self, analysis_results):
            self.seen.append(1)
            return float(len(self.seen))

    model = StarModel(Sum, Counts, "s3", aggregator_kwargs={"seen": []})
    for _ in range(2):
        assert (run(model) / "result").read_text() == "1.0"


def test_the_working_directory_may_be_gone(tmp_path, context):
    gone = tmp_path / "gone"
    gone.mkdir()
    before = Path.cwd()
    os.chdir(gone)
    try:
        gone.rmdir()
        node = context(run_config={"results": str(tmp_path / "results")})
        model = StarModel(Sum, Total, "s3")
        with LocalGrid(NodePlan(Sum, data_type="s3"), SPLITS) as grid:
            model.server_app(grid, node)
    finally:
        os.chdir(before)
    assert (only_folder(tmp_path) / "result").read_text() == "6.0"


def test_a_lost_store_fails_the_run(object_store, tmp_path, context, monkeypatch):
    class LastRound(Total):
        def final_method(self, result, evaluations):
            object_store.process.kill()
            object_store.process.wait(timeout=20)
            return result

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr("flame_flwr.results.run_folder.UPLOAD", Patience(1, 2, 1, 1))
    node = context(run_config={"results": object_store.url})
    model = StarModel(Sum, LastRound, "s3")
    with (
        LocalGrid(NodePlan(model.plan.analyzer, data_type="s3"), SPLITS) as grid,
        pytest.raises(StoreError, match=r"no answer from .* Nothing is lost") as raised,
    ):
        model.server_app(grid, node)
    [folder] = (tmp_path / "tmp").glob("flame-flwr-results-*/*")
    assert str(folder) in str(raised.value)
    assert (folder / "result").read_text() == "6.0"
    assert about(folder)["status"] == "completed"


def test_noise_without_dp_accounting_is_refused_first(run, monkeypatch, tmp_path):
    from flame_flwr.privacy import GaussianNoise, budget

    model = StarModel(Sum, Total, "s3", filters=[GaussianNoise(1.0, 1.0)])
    monkeypatch.setattr(budget, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="the budget of GaussianNoise needs dp-accounting here"):
        run(model)
    assert about(only_folder(tmp_path))["rounds"] == 0


def test_an_unknown_strategy_plugin_is_refused_first(run, tmp_path):
    with pytest.raises(ConfigError, match="offers the strategy `none` that the run config selects"):
        run(StarModel(Sum, Total, "s3"), strategy="none")
    assert about(only_folder(tmp_path))["rounds"] == 0


def test_no_run_that_ended_stays_in_memory(run):
    def held():
        gc.collect()
        return sum(isinstance(each, RunRecord) for each in gc.get_objects())

    before = held()
    run(StarModel(Sum, Total, "s3"))
    assert held() == before
