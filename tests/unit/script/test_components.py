"""A script as a Flower app: its components.

Flower's real runtimes are in ``tests/integration/test_script_simulation.py``.
"""

import json
import os
import pickle
from itertools import count
from pathlib import Path

import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.object_ref import validate

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import ConfigError
from flame_flwr.flower import HELLO
from flame_flwr.script import components
from flame_flwr.star import StarAnalyzer
from flame_flwr.star.script import run_script

RUN_IDS = count(4 * 10**9)

SCRIPT = """
import os
from flame.star import StarModel, StarAnalyzer, StarAggregator
import helper

os.makedirs("plots", exist_ok=True)


class Point:
    def __init__(self, x):
        self.x = x


class Analyzer(StarAnalyzer):
    def __init__(self, flame):
        super().__init__(flame)
        self.points = []

    def analysis_method(self, data, aggregator_results):
        from lazily import STEP

        self.points.append(Point(data + STEP))
        return sum(point.x for point in self.points)


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        with open("plots/results.txt", "a") as file:
            file.write(f"{analysis_results} ")
        return analysis_results

    def has_converged(self, result, last_result):
        return self.num_iterations >= 2


if __name__ == "__main__":
    StarModel(Analyzer, Aggregator, "s3", simple_analysis=False, output_type="pickle")
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    """An app's folder, on ``sys.path`` as in Flower's processes."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    (folder / "analysis.py").write_text(SCRIPT)
    (folder / "helper.py").write_text(
        "def node(context):\n    return float(context.node_config['partition-id'])\n"
    )
    (folder / "lazily.py").write_text("STEP = 0.5\n")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    monkeypatch.syspath_prepend(folder)
    return folder


def run(nodes=3, **config):
    """Run the components over a Grid in this process and return the run's folder."""
    config = {"script": "analysis.py", "results": os.path.abspath("results"), **config}
    with LocalGrid(NodePlan(StarAnalyzer), [None] * nodes, run_config=config) as grid:
        grid.apps = dict.fromkeys(grid.apps, components.client_app)
        context = Context(next(RUN_IDS), 0, {}, RecordDict(), config)
        components.server_app(grid=grid, context=context)
    [folder] = Path("results").glob(f"*-{context.run_id}")
    return folder


def hello(**config):
    """Ask a node for its properties and return why it cannot take part."""
    with LocalGrid(NodePlan(StarAnalyzer), [None], run_config=config) as grid:
        grid.contexts[1].node_config["share-tracebacks"] = False
        grid.apps = {1: components.client_app}
        content = RecordDict({"getpropertiesins.config": ConfigRecord({})})
        [reply] = grid.send_and_receive([Message(content, 1, HELLO)])
    return json.loads(reply.content["getpropertiesres.properties"]["failure"])


def test_flower_finds_the_components_without_importing_them():
    for name in ("server_app", "client_app"):
        assert validate(f"flame_flwr.star.script:{name}") == (True, None)
    assert not validate("flame_flwr.star.script:other")[0]
    with pytest.raises(AttributeError, match="has no attribute 'other'"):
        components.other  # noqa: B018


def test_the_client_app_travels_by_name():
    cloudpickle = pytest.importorskip("cloudpickle")
    assert pickle.loads(pickle.dumps(components.client_app)) is components.client_app
    assert (
        cloudpickle.loads(cloudpickle.dumps(lambda: components.client_app))()
        is components.client_app
    )
    assert len(pickle.dumps(components.client_app)) < 100


def test_components_give_the_numbers_of_run_script(app):
    folder = run(data="helper:node")
    there = pickle.loads((folder / "result").read_bytes())
    here = run_script(app / "analysis.py", "helper:node", nodes=3, results="here")
    assert there == here.record.result == [3 * (i + 0.5) for i in range(3)]
    assert (folder / "scratch/plots/results.txt").read_text() == (
        Path("plots/results.txt").read_text()
    )
    assert json.loads((folder / "run.json").read_text())["rounds"] == 3


def test_a_script_is_loaded_once_per_run(app):
    Path("loads.txt").touch()
    with (app / "analysis.py").open("a") as file:
        file.write(f"    open({str(Path('loads.txt').absolute())!r}, 'a').write('x')\n")
    for _ in range(2):
        run(data="helper:node")
    # the server's load, and one for all nodes and rounds
    assert Path("loads.txt").read_text() == "xx" * 2


CONFIGS = {
    "none": ({}, 'the run config has no `script`: name the script there, such as script = "ana'),
    "outside": ({"script": "../analysis.py"}, "must be relative to the app's folder and within it"),
    "absolute": ({"script": "/analysis.py"}, "must be relative to the app's folder and within it"),
    "not there": ({"script": "test_analysis.py"}, "the app has no file of the name in `script`"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_missing_script_fails_on_both_sides(app, case):
    config, message = CONFIGS[case]
    failure = hello(**config)
    assert failure["type"] == "ConfigError"
    assert message in failure["text"]
    with pytest.raises(ConfigError) as raised:
        run(**{"script": "", **config})
    assert message in raised.value.message


def test_a_file_outside_the_app_is_no_script(app, monkeypatch):
    other = app.parent / "other"
    other.mkdir()
    (other / "analysis.py").write_text("raise RuntimeError('not the app')\n")
    monkeypatch.syspath_prepend(other)
    assert run(data="helper:node")


@pytest.mark.parametrize("code", ["raise LookupError('a value of a patient')", "sys.exit(4)"])
def test_a_script_failing_on_a_node(app, code):
    (app / "analysis.py").write_text("import sys\n\n\n" + code)
    failure = hello(script="analysis.py")
    assert "a value of a patient" not in json.dumps(failure)
    with LocalGrid(NodePlan(StarAnalyzer), [None], run_config={"script": "analysis.py"}) as grid:
        grid.apps = {1: components.client_app}
        content = {"fitins.parameters": ArrayRecord(), "fitins.config": ConfigRecord({"round": 2})}
        [reply] = grid.send_and_receive([Message(RecordDict(content), 1, "train")])
    assert failure["type"].encode() in reply.content["fitres.metrics"]["failure"]
    assert failure["place"] == "analysis.py:4 in <module>" or "sys.exit" in failure["text"]
    with pytest.raises((LookupError, SystemExit)):
        run()
