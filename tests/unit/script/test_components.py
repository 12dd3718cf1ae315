"""A script as a Flower app: its components, and the app that ``--simulate`` writes around it.

Flower's real runtimes are in ``tests/integration/test_script_simulation.py``.
"""

import json
import os
import pickle
import textwrap
import tomllib
from itertools import count
from pathlib import Path

import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.object_ref import validate

from flame_flwr.cli.script_app import write_app
from flame_flwr.cli.script_simulation import _hand_over, _template, simulate_script
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import ConfigError
from flame_flwr.flower import HELLO
from flame_flwr.script import components
from flame_flwr.star import StarAnalyzer
from flame_flwr.star.script import ScriptError, load_script, run_script

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
        grid._apps = dict.fromkeys(grid._apps, components.client_app)
        context = Context(next(RUN_IDS), 0, {}, RecordDict(), config)
        components.server_app(grid=grid, context=context)
    [folder] = Path("results").glob(f"*-{context.run_id}")
    return folder


def hello(**config):
    """Ask a node for its properties and return why it cannot take part."""
    with LocalGrid(NodePlan(StarAnalyzer), [None], run_config=config) as grid:
        grid._contexts[1].node_config["share-tracebacks"] = False
        grid._apps = {1: components.client_app}
        content = RecordDict({"getpropertiesins.config": ConfigRecord({})})
        [reply] = grid.send_and_receive([Message(content, 1, HELLO)])
    return json.loads(reply.content["getpropertiesres.properties"]["failure"])


# ---- the components --------------------------------------------------------------------------


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
        grid._apps = {1: components.client_app}
        content = {"fitins.parameters": ArrayRecord(), "fitins.config": ConfigRecord({"round": 2})}
        [reply] = grid.send_and_receive([Message(RecordDict(content), 1, "train")])
    assert failure["type"].encode() in reply.content["fitres.metrics"]["failure"]
    assert failure["place"] == "analysis.py:4 in <module>" or "sys.exit" in failure["text"]
    with pytest.raises((LookupError, SystemExit)):
        run()


# ---- an app around a script ------------------------------------------------------------------


def write(name, text=""):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


def written(name="study/analysis.py", modules=()):
    loaded = load_script(Path(name).absolute())
    folder = write_app(Path("app"), loaded, {"data": 'a "b" \\ ü'}, modules)
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


MODEL = """
from flame.star import *

class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data

class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return True

StarModel(Analyzer, Aggregator, "none")
"""


def test_an_app_has_what_the_script_needs():
    write("study/analysis.py", MODEL + "import direct, json\ndef f():\n    import lazily.part\n")
    write("study/direct.py", "from package import inner\nimport importlib\n")
    write("study/package/__init__.py")
    write("study/package/inner.py", "def f():\n    from . import unused\n    import indirect\n")
    write("study/package/table.json", "{}")
    write("study/package/__pycache__/inner.pyc")
    write("study/package/unused.py")
    write("study/lazily/part.py", "import analysis\n")
    write("study/lazily/patients.json", "{}")
    write("study/indirect.py", "def f(:\n")
    write("study/data_of_nodes.py")
    write("study/unrelated.py")
    write("study/json.py.txt")
    write("study/Patient.json", "{}")
    assert written(modules=["data_of_nodes"]) == [
        "pyproject.toml",
        "script/analysis.py",
        "script/data_of_nodes.py",
        "script/direct.py",
        "script/indirect.py",
        "script/lazily/part.py",
        "script/package/__init__.py",
        "script/package/inner.py",
        "script/package/table.json",
        "script/package/unused.py",
    ]
    config = tomllib.loads(Path("app/pyproject.toml").read_text())["tool"]["flwr"]["app"]
    assert config["config"] == {"data": 'a "b" \\ ü', "script": "script/analysis.py"}
    assert config["components"]["clientapp"] == "flame_flwr.star.script:client_app"


def test_an_app_has_modules_from_added_folders():
    write(
        "study/analysis.py",
        """
        import importlib, os, sys
        sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir, "common"))
        importlib.import_module("by_" + "name")
        import shared
        """
        + textwrap.indent(MODEL, " " * 8),
    )
    write("study/by_name.py")
    write("common/shared.py")
    assert written() == [
        "pyproject.toml",
        "script/analysis.py",
        "script/by_name.py",
        "script/shared.py",
    ]


def test_names_that_flower_leaves_out_are_refused():
    write("study/entrypoint", MODEL)
    assert written("study/entrypoint") == ["pyproject.toml", "script/entrypoint.py"]
    for name in ("test_analysis.py", "analysis_test.py"):
        write(f"study/{name}", MODEL)
        with pytest.raises(ScriptError, match=f"Flower takes no file named {name} into an app"):
            write_app(Path(name[:-3]), load_script(Path("study", name).absolute()), {})


def test_one_data_for_all_nodes_of_a_simulation(tmp_path):
    for name in ("b", "a", "c"):
        write(f"{name}/{name}.txt", name)
    here = [str(tmp_path / name) for name in "bac"]
    assert _template([f"{tmp_path}/x-{{partition-id}}"] * 2, tmp_path) == (
        f"{tmp_path}/x-{{partition-id}}"
    )
    assert _template(["tools:node"] * 2, tmp_path) == "tools:node"
    assert _template([""] * 2, tmp_path) == ""
    pattern = _template(here, tmp_path / "links")
    places = [Path(pattern.replace("{partition-id}", str(i))) for i in range(3)]
    assert [[file.name for file in place.iterdir()] for place in places] == [
        ["b.txt"],
        ["a.txt"],
        ["c.txt"],
    ]
    pattern = _template([f"{here[0]};{here[1]}", f"{here[2]};{here[0]}"], tmp_path / "two")
    assert [Path(p.replace("{partition-id}", "1")).resolve().name for p in pattern.split(";")] == [
        "c",
        "b",
    ]
    for wrong in (["tools:a", "tools:b"], [here[0], f"{here[1]};{here[2]}"], ["s3://a", here[0]]):
        with pytest.raises(ConfigError, match="--simulate takes folders, as many for every node"):
            _template(wrong, tmp_path / "wrong")


def test_errors_are_found_before_flower_starts():
    write("analysis.py", MODEL)
    with pytest.raises(ConfigError, match="say how many nodes with --nodes N"):
        simulate_script("analysis.py")
    write("analysis.py", MODEL.replace("none", "s3"))
    with pytest.raises(Exception, match="the data folder does not exist") as raised:
        simulate_script("analysis.py", ["nowhere"])
    assert f"in node-0, --data {Path('nowhere').absolute()}" in raised.value.__notes__
    write("analysis.py", MODEL.replace("StarModel(", "StarModelTester([1], "))
    with pytest.raises(ScriptError, match="run it without --simulate"):
        simulate_script("analysis.py")
    assert not Path("results").exists()


def test_a_script_reading_relative_paths_is_refused(caplog):
    write("cfg.txt", "3")
    write("analysis.py", "TIMES = int(open('cfg.txt').read())\n" + MODEL)
    with pytest.raises(ScriptError, match="runs in a folder of its own") as raised:
        simulate_script("analysis.py", nodes=2)
    assert "analysis.py opens 'cfg.txt' at analysis.py:1" in str(raised.value)
    assert "Data comes through --data; put constants into a module" in str(raised.value)
    assert not Path("results").exists()


def test_a_tester_alone_is_an_error(caplog):
    caplog.set_level("INFO", "flame_flwr")
    write("analysis.py", MODEL.replace("StarModel(", "StarModelTester([1], "))
    with pytest.raises(ScriptError, match="run it without --simulate"):
        simulate_script("analysis.py")
    assert "is skipped here" not in caplog.text


def test_a_simulations_record_names_the_users_folders(tmp_path):
    own = tmp_path / "results" / "1-7"
    own.mkdir(parents=True)
    said = {"files": [], "parameters": {"data": "/tmp/gone/{partition-id}/0", "max-rounds": 5}}
    (own / "run.json").write_text(json.dumps(said))
    (own / "history.csv").write_text("")
    assert list(_hand_over(own.parent, "7", {"data": ["/a", "/b"], "nodes": 2})) == []
    handed = json.loads((own.parent / "run.json").read_text())
    assert handed["parameters"] == {"data": ["/a", "/b"], "nodes": 2, "max-rounds": 5}
