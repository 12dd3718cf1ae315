"""FLAME scripts as they are, run in this process: their numbers, and what they leave behind."""

import hashlib
import json
import os
import pickle
import sys
import textwrap
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from forked_python import run_python
from hanging import HANGS

from flame_flwr.errors import ConfigError
from flame_flwr.star.script import run_script

from .small_scripts import MODEL, READS, SCRIPTS, analysis, command, hospitals, script


def test_the_guides_example_runs_word_for_word(log, monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # where it is set, a tester is quiet
    path = script((SCRIPTS / "guide.txt").read_text())
    assert run_script(path).files == ()
    average, local = None, [2.5, 6.5]
    for _ in range(6):
        values = local if average is None else [(mine + average) / 2 + 0.5 for mine in local]
        average = sum(values) / 2
    assert f"Final result: {average}" in log.text
    assert "[aggregator, round 6] \tChecking convergence at iteration 5" in log.text
    assert list(Path().iterdir()) == [path]


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_the_pancreas_tutorial_gives_a_loops_numbers(log):
    from sklearn.linear_model import LogisticRegression

    folders = hospitals(3, "pancreasData.csv")
    path = script((SCRIPTS / "pancreas.txt").read_text())
    done = run_script(path, folders)
    assert "has a main(): calling it" in log.text

    tables = [pd.read_csv(f"{folder}/pancreasData.csv") for folder in folders]
    models = [LogisticRegression(max_iter=1, fit_intercept=False, warm_start=True) for _ in tables]
    mean, last, rounds = None, None, 0
    while last is None or (np.linalg.norm(mean - last, ord=2) > 1e-8 and rounds <= 10):
        last = mean
        for model, table in zip(models, tables, strict=True):
            model.coef_ = None if mean is None else mean.copy()
            model.fit(table.iloc[:, :-1], table.iloc[:, -1])
        mean, rounds = np.stack([model.coef_ for model in models]).mean(axis=0), rounds + 1
    assert len(done.record.history) == rounds == 11
    assert done.files == (Path("results/result").absolute(),)
    np.testing.assert_array_equal(pickle.loads(done.files[0].read_bytes()), mean)


def test_the_halta_tutorial_writes_four_files():
    folders = hospitals()
    path = script((SCRIPTS / "halta.txt").read_text())
    done = run_script(path, folders, results="out")
    assert [file.name for file in done.files] == [
        "age_distribution_federated.png",
        "dataset_description_federated.txt",
        "pasc_distribution_federated.png",
        "sex_distribution_federated.png",
    ]
    assert all(file.parent == Path("out").absolute() for file in done.files)
    assert all(file.read_bytes() == Path("results", file.name).read_bytes() for file in done.files)
    assert done.files[0].read_bytes().startswith(b"\x89PNG")
    ages = [pd.read_csv(BytesIO(Path(f, "labeled.csv").read_bytes()))["age"] for f in folders]
    counts = sum(np.histogram(age, bins=np.arange(0, 105, 5))[0] for age in ages)
    assert done.files[1].read_text() == f"70 rows, {counts.tolist()}"


def test_a_run_leaves_run_json_and_history():
    analysis(MODEL.replace('"none"', '"none", simple_analysis=False'))
    assert command("run", "analysis.py", "--nodes", 2, "--results", "out") == 0
    about = json.loads(Path("out/run.json").read_text())
    assert (about["status"], about["run_id"], about["error"]) == ("completed", None, None)
    assert (about["nodes"], about["rounds"]) == (["node-0", "node-1"], 2)
    assert about["parameters"]["script"] == str(Path("analysis.py").absolute())
    content = Path("out/result").read_bytes()
    [file] = about["files"]
    assert file == {
        "name": "result",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    rows = Path("out/history.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows] == [
        ["round", "node"],
        *([str(number), f"node-{i}"] for number in (1, 2) for i in (0, 1)),
    ]
    assert sorted(os.listdir("out")) == ["history.csv", "result", "run.json"]
    assert not Path(".flame-flwr").exists()  # nothing was kept


@pytest.mark.parametrize(
    ("results", "simulated"),
    [("a-file/x", []), ("a-file", ["--simulate"]), ("/proc/x", []), ("s3://bucket/x", [])],
)
def test_impossible_results_are_refused_first(capsys, results, simulated):
    script("", "a-file")
    analysis(MODEL)
    options = ["--nodes", 2, "--results", results, *simulated]
    assert command("run", "analysis.py", *options) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("error: --results ")
    assert "Round 1" not in shown.out
    assert ("names a folder here" in shown.err) is results.startswith("s3")
    assert "SuperLink" not in shown.out
    assert not Path("s3:").exists()


def test_paths_are_relative_to_the_working_directory():
    """Also where the script goes to its own folder first, as many do, or anywhere later."""
    hospitals()
    analysis(
        """
        import os

        os.chdir(os.path.dirname(os.path.abspath(__file__)))

        class Analyzer(Analyzer):
            def analysis_method(self, data, aggregator_results):
                os.chdir("/")
                return super().analysis_method(data, aggregator_results)

        StarModel(Analyzer, Aggregator, "s3")
        """,
        name="scripts/analysis.py",
    )
    here = os.getcwd()
    assert (
        command("run", "scripts/analysis.py", "--data", "hospital-0", "--data", "x/../hospital-1")
        == 0
    )
    about = json.loads(Path("results/run.json").read_text())
    asked = about["parameters"]
    assert asked["data"] == [f"{here}/hospital-0", f"{here}/hospital-1"]
    assert (asked["results"], asked["state-dir"]) == (f"{here}/results", f"{here}/.flame-flwr")


def test_a_script_may_have_pools_of_processes(tmp_path):
    """In a process of its own: the command's signal handlers are for its own process only."""
    (tmp_path / "pool.py").write_text(
        textwrap.dedent(
            """
            import multiprocessing
            from flame.star import StarAggregator, StarAnalyzer, StarModel

            def double(x):
                return 2 * x

            class Analyzer(StarAnalyzer):
                def analysis_method(self, data, aggregator_results):
                    done = 0
                    for method in ("fork", "spawn"):
                        with multiprocessing.get_context(method).Pool(2) as pool:
                            done += sum(pool.map(double, [1, 2]))
                    return done

            class Aggregator(StarAggregator):
                def aggregation_method(self, analysis_results):
                    return sum(analysis_results)

                def has_converged(self, result, last_result):
                    return True

            if __name__ == "__main__":
                StarModel(Analyzer, Aggregator, "none")
            """
        )
    )
    program = ["-c", "from flame_flwr.cli.commands import main; main()"]
    command = [*program, "run", "pool.py", "--nodes", "1", "--results", "out"]
    ran = run_python(*command, cwd=tmp_path, timeout=HANGS)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "out" / "result").read_text() == "12"


def test_a_failed_run_says_so_in_run_json(capsys):
    analysis(
        """
        class Aggregator(Aggregator):
            def has_converged(self, result, last_result):
                return False

        StarModel(Analyzer, Aggregator, "none", simple_analysis=False)
        """
    )
    assert command("run", "analysis.py", "--nodes", 2, "--max-rounds", 3) == 1
    assert "the limit of `flame-flwr run` is its option --max-rounds" in capsys.readouterr().err
    about = json.loads(Path("results/run.json").read_text())
    assert (about["status"], about["rounds"], about["files"]) == ("failed", 3, [])
    assert about["error"].startswith("NotConvergedError: not converged after 3 rounds (max_rounds)")
    assert sorted(os.listdir("results")) == ["history.csv", "rescue.pkl", "run.json"]
    assert pickle.loads(Path("results/rescue.pkl").read_bytes()) == [None, None]


def test_an_impossible_max_rounds_is_refused(capsys):
    path = analysis(MODEL)
    with pytest.raises(ConfigError, match=r"^max_rounds must be at least 1, not 0$"):
        run_script(path, nodes=1, max_rounds=0)
    assert command("run", "analysis.py", "--nodes", 1, "--max-rounds", 0) == 2
    assert "'--max-rounds': 0 is not in the range" in capsys.readouterr().err


KEEPS = """
class Keeps(Analyzer):
    def analysis_method(self, data, aggregator_results):
        before = self.flame.get_intermediate_data("local", tag="visits")
        self.flame.save_intermediate_data(len(before), "local", tag="visits")
        return before

class Counts(Aggregator):
    def aggregation_method(self, analysis_results):
        self.flame.save_intermediate_data(1, "local", tag="runs")
        return analysis_results, len(self.flame.get_intermediate_data("local", tag="runs"))

"""


CALLS = {
    "plain": 'StarModel(Keeps, Counts, "none")\n',
    "with a client": "from flame_flwr.clients import StarClient\n"
    "class Own(StarClient):\n    pass\n"
    'StarModel(Keeps, Counts, "none", client=Own)\n',
}


@pytest.mark.parametrize(
    ("call", "options"), [("plain", ()), ("with a client", ("--state", "kept"))]
)
def test_kept_data_is_there_next_time(call, options):
    analysis(KEEPS + CALLS[call])
    for _ in range(2):
        assert command("run", "analysis.py", "--nodes", 2, *options) == 0
    assert Path("results/result").read_text() == "([[0], [0]], 2)"
    folder = Path(options[1] if options else ".flame-flwr", "local-storage", "project")
    assert sorted(os.listdir(folder)) == ["aggregator", "node-0", "node-1"]
    assert folder.parents[1].stat().st_mode & 0o077 == 0


def test_an_unwritable_state_folder_names_its_option(capsys):
    script("", "a-file")
    analysis(KEEPS + CALLS["plain"])
    assert command("run", "analysis.py", "--nodes", 2, "--state", "a-file/kept") == 1
    place = Path("a-file/kept").absolute()
    assert f"it is {place}; --state names another folder" in capsys.readouterr().err


def test_a_private_model_noises_its_result(log):
    pytest.importorskip("opendp")
    text = """
        class Aggregator(Aggregator):
            def aggregation_method(self, analysis_results):
                return 100.0

        StarLocalDPModel(Analyzer, Aggregator, "none", epsilon=1.0, sensitivity=1e-3)
        """
    done = run_script(analysis(text), nodes=2)
    assert done.record.result != 100.0
    # Laplace noise of scale 1e-3 is beyond 0.1 once in e^100 runs
    assert float(done.files[0].read_text()) == pytest.approx(100.0, abs=0.1)
    about = json.loads(Path("results/run.json").read_text())
    assert (about["privacy"]["epsilon"], about["privacy"]["sensitivity"]) == (1.0, 1e-3)
    assert "100.0" not in Path("results/run.json").read_text()
    assert "epsilon 1, sensitivity 0.001" in log.text


def test_own_strategy_and_client_get_messages():
    path = analysis(
        """
        from flame_flwr.clients import StarClient
        from flame_flwr.strategies import StarStrategy

        class Client(StarClient):
            def fit(self, parameters, config):
                print("client of", self.node_name(), config["round"])
                return super().fit(parameters, config)

        class Strategy(StarStrategy):
            def configure_train(self, number, arrays, config, grid):
                print("configured", number)
                return super().configure_train(number, arrays, config, grid)

        StarModel(Analyzer, Strategy(Aggregator), "s3", query=["b.txt"], client=Client)
        """
    )
    for i in range(2):
        script(f"{i}", f"data-{i}/b.txt")
        script("c", f"data-{i}/c.txt")
    done = run_script(path, "data-{partition-id}", nodes=2)
    assert done.record.result == [[{"b.txt": b"0"}], [{"b.txt": b"1"}]]


def test_unused_options_are_warned_of(log):
    run_script(script((SCRIPTS / "guide.txt").read_text()), ["somewhere"])
    assert "not used: --data. analysis.py has a StarModelTester only" in log.text
    run_script("analysis.py", nodes=2, results="out", state="kept")
    assert "not used: --nodes, --results, --state. analysis.py has" in log.text
    run_script(analysis(READS.format("none", None)), ["a", "b"])
    assert "--data is not read: the model has data_type 'none'" in log.text


def test_a_script_gets_its_own_arguments(log):
    analysis(
        """
        import argparse

        def main():
            parser = argparse.ArgumentParser()
            parser.add_argument("--clients", type=int)
            parser.add_argument("names", nargs="*")
            asked = parser.parse_args()
            kwargs = {"asked": (asked.clients, asked.names)}
            StarModel(Asked, Aggregator, "none", analyzer_kwargs=kwargs, filename="asked.txt")

        class Asked(Analyzer):
            def __init__(self, flame, asked):
                super().__init__(flame)
                self.asked = asked

            def analysis_method(self, data, aggregator_results):
                return self.asked

        if __name__ == "__main__":
            main()
        """
    )
    before = list(sys.argv)
    assert command("run", "analysis.py", "--nodes", 1, "--", "--clients", 3, "a b") == 0
    assert Path("results/asked.txt").read_text() == "[(3, ['a b'])]"
    about = json.loads(Path("results/run.json").read_text())["parameters"]
    assert about["script-arguments"] == "--clients 3 'a b'"
    assert sys.argv == before
    with pytest.raises(SystemExit):  # argparse's
        run_script("analysis.py", nodes=1, arguments=["--client", "x"])
