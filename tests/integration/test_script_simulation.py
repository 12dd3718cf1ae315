"""FLAME scripts in Flower's real runtimes: ``flame-flwr run --simulate``, and in an app."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flame_flwr.cli.script_app import write_app
from flame_flwr.cli.submit import submit
from flame_flwr.star.script import load_script, run_script

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
        env={**os.environ, "FORKED_COMMANDS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.exhaustive
@pytest.mark.usefixtures("flower")
def test_the_pancreas_tutorial_simulates_with_the_same_numbers(tmp_path):
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
        self.before = flame.get_intermediate_data("local", tag="visits")
        flame.save_intermediate_data(self.id, "local", tag="visits")

    def analysis_method(self, data, aggregator_results):
        from lazily import STEP

        Path("plots", self.id).write_text("drawn")
        self.kept.values.append(data + STEP)
        self.mean.add(data)
        assert len(self.kept.values) == self.num_iterations + 1
        assert sys.modules["__main__"].Kept is Kept
        return self.kept.values, self.mean.value(), self.before


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        Path("plots/figure.txt").write_text("drawn")
        return analysis_results

    def has_converged(self, result, last_result):
        return self.num_iterations >= 1

    def final_method(self, result, evaluations):
        self.flame.save_intermediate_data(1, "local", tag="runs")
        return Kept([*result, len(self.flame.get_intermediate_data("local", tag="runs"))])


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


def write_study(folder):
    folder.mkdir(exist_ok=True)
    (folder / "analysis.py").write_text(STUDY)
    (folder / "helpers.py").write_text(HELPERS)
    (folder / "lazily.py").write_text("STEP = 0.5\n")
    return folder


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A script with helper modules, as an app of its own."""
    monkeypatch.chdir(tmp_path)
    loaded = load_script(write_study(tmp_path / "study") / "analysis.py")
    config = {"data": "helpers:node", "results": str(tmp_path / "results")}
    write_app(tmp_path / "app", loaded, config)
    return tmp_path


def outcome(file, script):
    """Read the result, an object of a class of the script's."""
    with load_script(script).environment.entered():
        return pickle.loads(file.read_bytes()).values


def expected(run=1):
    """What three nodes return in a study's first or second run, and how many there were."""
    found = [([i + 0.5] * 2, float(i), [f"node-{i}"] * (run - 1)) for i in range(3)]
    return [*found, run]


@pytest.mark.usefixtures("flower")
def test_classes_files_and_kept_data_are_the_same(tmp_path):
    """Two runs by the command, each with a record; the first one in process."""
    write_study(tmp_path)
    for number, options in ((1, ()), (2, ("--simulate",))):
        data = ("--data", "helpers:node", "--nodes", 3)
        done = command(tmp_path, "analysis.py", *data, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        result = tmp_path / "results" / "result"
        assert outcome(result, tmp_path / "analysis.py") == expected(number)
        about = json.loads((tmp_path / "results" / "run.json").read_text())
        assert (about["status"], about["nodes"]) == ("completed", [f"node-{i}" for i in range(3)])
        assert (about["run_id"] is None) == (number == 1)
        assert (tmp_path / "results" / "history.csv").read_text().startswith("round,node,")
        assert bool(list(tmp_path.rglob("tried.txt"))) == (number == 1)
        (tmp_path / "tried.txt").unlink(missing_ok=True)
    assert "analysis.py: StarModelTester is skipped here" in done.stdout
    [plots] = tmp_path.glob("results/*/scratch/plots")
    assert [plot.name for plot in plots.iterdir()] == ["figure.txt"]


def line_of(text, words):
    [line] = [i for i, code in enumerate(text.splitlines(), start=1) if words in code]
    return line


@pytest.mark.exhaustive
def test_an_unloadable_script_ends_with_its_place(study, federation):
    """``tests/unit/script/test_components.py`` has the words, and other scripts."""
    script = study / "app" / "script" / "analysis.py"
    text = script.read_text().replace(
        "assert sys.modules", "def broken(:\n        assert sys.modules"
    )
    script.write_text(text)
    lines = []
    done = submit(study / "app", federation, on_line=lines.append)
    assert not done.succeeded, "\n".join(lines)
    assert f"(analysis.py, line {line_of(text, 'def broken(:')})" in done.details


@pytest.mark.exhaustive
def test_the_command_exits_non_zero_after_a_failure(tmp_path):
    """``tests/unit/script/test_runner.py`` has the place; ``test_submit.py`` a run that failed."""
    fault = "1 / (self.num_iterations - 1)"
    text = STUDY.replace("from helpers import Mean", "from helpers import *")
    text = text.replace("assert sys.modules", f"{fault}\n        assert sys.modules")
    (tmp_path / "analysis.py").write_text(text)
    (tmp_path / "helpers.py").write_text(HELPERS)
    (tmp_path / "lazily.py").write_text("STEP = 0.5\n")
    done = command(tmp_path, "analysis.py", "--data", "helpers:node", "--nodes", 2, "--simulate")
    assert done.returncode == 1, done.stdout
    assert "error: run" in done.stderr
    place = f"analysis.py:{line_of(text, fault)} in analysis_method"
    assert f"failed in round 2: ZeroDivisionError at {place}" in done.stderr
    assert not (tmp_path / "results" / "result").exists()
    [record] = (tmp_path / "results").glob("*/run.json")
    about = json.loads(record.read_text())
    assert (about["status"], about["rounds"], about["files"]) == ("failed", 1, [])


@pytest.mark.deployed
def test_a_script_on_a_deployment(study, deployment):
    """The app's files are all that the processes of a deployment have of the script."""
    pyproject = study / "app" / "pyproject.toml"
    keys = f'nodes = 1\nstate-dir = "{study / "state"}"'
    pyproject.write_text(pyproject.read_text().replace('data = "helpers:node"', keys))
    (study / "app" / "script" / "lazily.py").write_text(
        "STEP = 0.5\n\ndef one(context):\n    return 1.0\n"
    )
    with deployment.nodes("near", data="lazily:one"):
        ended, log = deployment.run(study / "app", "near")
        assert ended.succeeded, log + deployment.logs()
    [result] = (study / "results").glob("*/result")
    assert outcome(result, study / "study" / "analysis.py") == [([1.5] * 2, 1.0, []), 1]


RAY_MEANWHILE = """
import sys, threading
from pathlib import Path
from flwr.superlink.grid import InMemoryGrid
from flame_flwr.flower import await_simulation
from flame_flwr.script.environment import ScriptEnvironment

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
with ScriptEnvironment(script).entered():
    if not awaits:
        ray_thread.start()
        under_way.wait()
ray_thread.join()
"""


@pytest.mark.parametrize("how", ["awaits", "does not"])
def test_a_script_waits_for_rays_path(tmp_path, how):
    script = tmp_path / "analysis.py"
    script.write_text("")
    command = [sys.executable, "-c", RAY_MEANWHILE, str(script), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    # psutil, or what Ray imports from there before it
    assert ("No module named '" in done.stderr) == (how == "does not"), done.stderr
