"""The app that ``run --simulate`` writes around a script, and what is found before it starts."""

import json
import shlex
import textwrap
import tomllib
from pathlib import Path

import pytest

from flame_flwr.app_folder import App
from flame_flwr.cli.script_app import write_app
from flame_flwr.cli.script_simulation import _data_of_nodes, _export, simulate_script
from flame_flwr.errors import ConfigError, DataError
from flame_flwr.script import components
from flame_flwr.star.script import ScriptError, load_script


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


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


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("entrypoint", "entrypoint.py"),
        ("test_analysis.py", "script_test_analysis.py"),
        ("analysis_test.py", "analysis_test_script.py"),
        ("test_test.py", "script_test_test_script.py"),
        ("test.py", "test.py"),
    ],
)
def test_a_script_gets_a_name_that_flower_takes(name, there):
    write(f"study/{name}", MODEL)
    assert written(f"study/{name}") == ["pyproject.toml", f"script/{there}"]


def test_modules_that_flower_leaves_out_are_refused():
    write("study/helpers_test.py", "")
    write("study/analysis.py", "import helpers_test\n" + MODEL)
    with pytest.raises(
        ScriptError, match=r"Flower takes no file named helpers_test\.py into an app"
    ):
        write_app(Path("app"), load_script(Path("study/analysis.py").absolute()), {})


def test_simulated_nodes_have_data_of_their_own():
    assert _data_of_nodes(["/x-{partition-id}"] * 2) == "/x-{partition-id}"
    assert _data_of_nodes(["tools:node"] * 2) == "tools:node"
    assert _data_of_nodes([""] * 2) == ""
    assert _data_of_nodes(["/a;s3://b", "/c", "tools:d"]) == "/a;s3://b|/c|tools:d"
    with pytest.raises(ConfigError, match=r"--simulate takes no `\|` in --data"):
        _data_of_nodes(["/a|b", "/c"])


def test_a_simulation_hands_the_arguments_on():
    write("analysis.py", "import sys\nassert sys.argv[1:] == ['--clients', '3 4']\n" + MODEL)
    loaded = load_script(Path("analysis.py").absolute(), ["--clients", "3 4"])
    folder = write_app(Path("app"), loaded, {"script-arguments": shlex.join(["--clients", "3 4"])})
    config = App.read(folder).config
    assert components._arguments(config) == ["--clients", "3 4"]
    with pytest.raises(ConfigError, match="`script-arguments` in the run config cannot be taken"):
        components._arguments({"script-arguments": "it's"})


def test_errors_are_found_before_flower_starts():
    write("analysis.py", MODEL)
    with pytest.raises(ConfigError, match="say how many nodes with --nodes N"):
        simulate_script("analysis.py")
    write("analysis.py", MODEL.replace("none", "s3"))
    with pytest.raises(DataError, match="the data folder does not exist") as raised:
        simulate_script("analysis.py", ["nowhere"])
    assert f"in node-0, --data {Path('nowhere').absolute()}" in raised.value.__notes__
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
    assert list(_export(own.parent, "7", {"data": ["/a", "/b"], "nodes": 2})) == []
    handed = json.loads((own.parent / "run.json").read_text())
    assert handed["parameters"] == {"data": ["/a", "/b"], "nodes": 2, "max-rounds": 5}
