"""FLAME scripts in Flower's real runtimes: ``flame-flwr run --simulate``, and in an app.

Those that fail are in ``tests/unit/script``, and what they say, in ``test_simulation_failures.py``.
"""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from flame_flwr.cli.script_app import write_app
from flame_flwr.star.script import load_script

pytestmark = pytest.mark.simulation


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

script = Path(sys.argv[1])
under_way = threading.Event()
sys.meta_path.insert(0, Slow())
ray_thread = threading.Thread(target=start_ray)
ray_thread.start()
under_way.wait()
await_simulation(InMemoryGrid(lambda: None))
with ScriptEnvironment(script).entered():
    pass
ray_thread.join()
"""


def test_a_script_waits_for_rays_path(tmp_path):
    script = tmp_path / "analysis.py"
    script.write_text("")
    command = [sys.executable, "-c", RAY_MEANWHILE, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    # psutil, or what Ray imports from there before it
    assert "No module named '" not in done.stderr, done.stderr
