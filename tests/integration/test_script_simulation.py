"""FLAME scripts in Flower's real runtimes: ``flame-flwr run --simulate``, and in an app."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deployment import Deployment

from flame_flwr.engine.submit import submit
from flame_flwr.star.script import load_script, run_script
from flame_flwr.star.script_app import write_app

SCRIPTS = Path(__file__).parents[1] / "scripts"
pytestmark = pytest.mark.simulation


def hospitals(folder, name):
    """Write two folders of invented patients, of names in no order, and return them."""
    random = np.random.default_rng(3)
    for site, rows in (("uni-clinic", 60), ("charity", 35)):
        (folder / site).mkdir()
        values = random.normal(size=(rows, 4))
        table = pd.DataFrame(values, columns=["age", "b", "c", "d"])
        table["age"] = 50 + 10 * table["age"]
        table["label"] = (values[:, 1] > 0).astype(int)
        table.to_csv(folder / site / name, index=False)
    return [str(folder / "uni-clinic"), str(folder / "charity")]


def command(folder, *arguments):
    return subprocess.run(
        [Path(sys.executable).with_name("flame-flwr"), "run", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_pancreas_tutorial_has_the_same_numbers_in_simulation_as_in_process(tmp_path):
    folders = hospitals(tmp_path, "pancreasData.csv")
    (tmp_path / "analysis.py").write_text((SCRIPTS / "pancreas.txt").read_text())
    data = ["--data", folders[0], "--data", "charity"]
    done = command(tmp_path, "analysis.py", *data, "--simulate", "--results", "there")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Final result written to {tmp_path / 'there' / 'result'}" in done.stdout
    here = run_script(tmp_path / "analysis.py", folders, results=tmp_path / "here")
    assert len(here.record.history) == 11
    there = pickle.loads((tmp_path / "there" / "result").read_bytes())
    np.testing.assert_array_equal(there, here.record.result)
    [run] = (tmp_path / "there").glob("*/run.json")
    assert '"rounds": 11' in run.read_text()


KEEPS = """
from flame.star import StarAggregator, StarAnalyzer, StarModel


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        before = self.flame.get_intermediate_data("local", tag="visits")
        self.flame.save_intermediate_data(self.id, "local", tag="visits")
        return before


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        self.flame.save_intermediate_data(1, "local", tag="runs")
        return analysis_results, len(self.flame.get_intermediate_data("local", tag="runs"))

    def has_converged(self, result, last_result):
        return True


if __name__ == "__main__":
    StarModel(Analyzer, Aggregator, "none")
"""


def test_what_nodes_keep_in_process_is_there_in_simulation_and_both_leave_a_record(tmp_path):
    (tmp_path / "analysis.py").write_text(KEEPS)
    for number, options in ((1, ()), (2, ("--simulate",))):
        done = command(tmp_path, "analysis.py", "--nodes", 2, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        kept = [[f"node-{i}"] * (number - 1) for i in range(2)]
        assert (tmp_path / "results" / "result").read_text() == str((kept, number))
        about = json.loads((tmp_path / "results" / "run.json").read_text())
        assert (about["status"], about["nodes"]) == ("completed", ["node-0", "node-1"])
        assert (about["run_id"] is None) == (number == 1)
        assert (tmp_path / "results" / "history.csv").read_text().startswith("round,node,")


STUDY = """
import os
import sys
from pathlib import Path
from flame.star import StarModel, StarModelTester, StarAnalyzer, StarAggregator
from helpers import Mean

os.makedirs("plots", exist_ok=True)


class Kept:
    def __init__(self, values):
        self.values = values


class Analyzer(StarAnalyzer):
    def __init__(self, flame):
        super().__init__(flame)
        self.kept = Kept([])
        self.mean = Mean()

    def analysis_method(self, data, aggregator_results):
        from lazily import STEP

        Path("plots", self.id).write_text("drawn")
        self.kept.values.append(data + STEP)
        self.mean.add(data)
        assert len(self.kept.values) == self.num_iterations + 1
        assert sys.modules["__main__"].Kept is Kept
        return self.kept.values, self.mean.value()


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        Path("plots/figure.txt").write_text("drawn")
        return analysis_results

    def has_converged(self, result, last_result):
        return self.num_iterations >= 2

    def final_method(self, result, evaluations):
        return Kept(result)


if __name__ == "__main__":
    StarModelTester([1.0, 2.0], Analyzer, Aggregator, "s3", filename="tried.txt")
    StarModel(Analyzer, Aggregator, "s3", simple_analysis=False, output_type="pickle")
"""
HELPERS = """
class Mean:
    def __init__(self):
        self.values = []

    def add(self, value):
        self.values.append(value)

    def value(self):
        return sum(self.values) / len(self.values)


def node(context):
    return float(context.node_config["partition-id"])
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A script with helper modules, as an app of its own."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "analysis.py").write_text(STUDY)
    (folder / "helpers.py").write_text(HELPERS)
    (folder / "lazily.py").write_text("STEP = 0.5\n")
    loaded = load_script(folder / "analysis.py")
    config = {"data": "helpers:node", "results": str(tmp_path / "results")}
    write_app(tmp_path / "app", loaded, config)
    return tmp_path


def outcome(folder):
    """Read the result, an object of a class of the script's."""
    [file] = (folder / "results").glob("*/result")
    with load_script(folder / "study" / "analysis.py").world.entered():
        return pickle.loads(file.read_bytes()).values


EXPECTED = [([i + 0.5] * 3, float(i)) for i in range(3)]


def test_classes_of_the_script_and_of_its_helpers_live_across_rounds(study, federation):
    lines = []
    done = submit(study / "app", federation, on_line=lines.append)
    assert done.succeeded, "\n".join(lines)
    assert outcome(study) == EXPECTED
    assert "analysis.py: StarModelTester is skipped here" in "\n".join(lines)
    assert not list(study.rglob("tried.txt"))
    [plots] = study.glob("results/*/scratch/plots")
    assert [plot.name for plot in plots.iterdir()] == ["figure.txt"]
    here = run_script("study/analysis.py", "helpers:node", nodes=3, results="here")
    assert here.record.result.values == EXPECTED
    assert Path("tried.txt").exists()


def line_of(text, words):
    [line] = [i for i, code in enumerate(text.splitlines(), start=1) if words in code]
    return line


def test_a_script_that_cannot_be_loaded_ends_the_run_with_its_place(study, federation):
    script = study / "app" / "script" / "analysis.py"
    text = script.read_text().replace(
        "assert sys.modules", "def broken(:\n        assert sys.modules"
    )
    script.write_text(text)
    lines = []
    done = submit(study / "app", federation, on_line=lines.append)
    assert not done.succeeded, "\n".join(lines)
    assert f"(analysis.py, line {line_of(text, 'def broken(:')})" in done.details


def test_the_command_exits_non_zero_when_the_run_in_simulation_failed(tmp_path):
    fault = "1 / (self.num_iterations - 1)"
    text = STUDY.replace("from helpers import Mean", "from helpers import *")
    text = text.replace("assert sys.modules", f"{fault}\n        assert sys.modules")
    (tmp_path / "analysis.py").write_text(text)
    (tmp_path / "helpers.py").write_text(HELPERS)
    (tmp_path / "lazily.py").write_text("STEP = 0.5\n")
    done = command(tmp_path, "analysis.py", "--data", "helpers:node", "--nodes", 2, "--simulate")
    assert done.returncode == 1
    assert "error: run" in done.stderr
    place = f"analysis.py:{line_of(text, fault)} in analysis_method"
    assert f"failed in round 2: ZeroDivisionError at {place}" in done.stderr
    assert not (tmp_path / "results" / "result").exists()


def test_a_script_on_a_deployment(study):
    """The app's files are all that the processes of a deployment have of the script."""
    pyproject = study / "app" / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('data = "helpers:node"', "nodes = 2"))
    (study / "app" / "script" / "lazily.py").write_text(
        "STEP = 0.5\n\ndef node_0(context):\n    return 0.0\n\n"
        "def node_1(context):\n    return 1.0\n"
    )
    (study / "deployment").mkdir()
    with Deployment(study / "deployment") as deployment:
        for i in range(2):
            deployment.start_node(f"site-{i}", data=f"lazily:node_{i}")
        ended, log = deployment.run(study / "app")
        assert ended.succeeded, log + deployment.logs()
    assert outcome(study) == EXPECTED[:2]


RAY_MEANWHILE = """
import sys, threading
from pathlib import Path
from flwr.superlink.grid import InMemoryGrid
from flame_flwr.flower import await_simulation
from flame_flwr.star.alias import ScriptWorld

class Slow:
    # Ray puts a folder on sys.path and imports psutil from there: be in between for a second.
    def find_spec(self, name, path=None, target=None):
        if name == "psutil":
            under_way.set()
            threading.Event().wait(1)

def start_ray():
    import ray

script, awaits = Path(sys.argv[1]), sys.argv[2] == "awaits"
under_way = threading.Event()
sys.meta_path.insert(0, Slow())
ray_thread = threading.Thread(target=start_ray)
if awaits:
    ray_thread.start()
    under_way.wait()
    await_simulation(InMemoryGrid(lambda: None))
with ScriptWorld(script).entered():
    if not awaits:
        ray_thread.start()
        under_way.wait()
ray_thread.join()
"""


@pytest.mark.parametrize("how", ["awaits", "does not"])
def test_a_script_waits_for_what_ray_does_to_the_path_meanwhile(tmp_path, how):
    script = tmp_path / "analysis.py"
    script.write_text("")
    command = [sys.executable, "-c", RAY_MEANWHILE, str(script), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ("No module named 'psutil'" in done.stderr) == (how == "does not"), done.stderr
