"""Plug-ins: packages installed by pip, as others would write them, and used in a simulation.

The package is that of docs/plugins.md, as it stands.
"""

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from flame_flwr import plugins
from flame_flwr.config import RUN_KEYS
from flame_flwr.engine.submit import simulation, submit
from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "plugins.md"

BROKEN = {
    "raises": "raise ValueError('nothing works here')\n",
    "exits": "import sys\nsys.exit(3)\n",
    "misses": "import a_package_that_nobody_has\n",
    "other": "class Thing:\n    pass\n\n\nnumber = 5\n",
}

APP = """
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


def node_data(context):
    return float(context.node_config["partition-id"] + 1)


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data


class Aggregator(StarAggregator):
    def __init__(self, flame, factor=1):
        super().__init__(flame)
        self.factor = factor

    def aggregation_method(self, analysis_results):
        return [value * self.factor for value in analysis_results]

    def has_converged(self, result, last_result):
        return True


model = StarModel(Analyzer, Aggregator, "s3", aggregator_kwargs={"factor": 10})
server_app = model.server_app
client_app = model.client_app
"""

PYPROJECT = """
[project]
name = "study"
version = "1.0.0"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "tests"

[tool.flwr.app.components]
serverapp = "study.app:server_app"
clientapp = "study.app:client_app"

[tool.flwr.app.config]
data = "study.app:node_data"
results = ""
strategy = ""
client = ""
quiet.nodes = 3
"""


def blocks():
    found = re.findall(r"^```(\S+) (\S+)\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    return {name: code for _, name, code in found}


def install(source, target):
    """Install a package for real, without a network."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    done = subprocess.run(
        [*command, str(source)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def write_package(folder, name, modules, strategies=(), clients=()):
    folder.mkdir(parents=True)
    lines = ["[build-system]", 'requires = ["setuptools"]']
    lines += ['build-backend = "setuptools.build_meta"', "[project]", f'name = "{name}"']
    lines += ['version = "0.1"', '[project.entry-points."flame_flwr.strategies"]', *strategies]
    lines += ['[project.entry-points."flame_flwr.clients"]', *clients]
    lines += ["[tool.setuptools]", f"py-modules = {json.dumps(list(modules))}"]
    (folder / "pyproject.toml").write_text("\n".join(lines))
    for module, code in modules.items():
        (folder / f"{module}.py").write_text(code)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the page's package and one whose entry points are all broken."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "quiet").mkdir()
    for name in ("pyproject.toml", "quiet_rounds.py"):
        (folder / "quiet" / name).write_text(blocks()[name])
    install(folder / "quiet", folder / "site")
    broken = write_package(
        folder / "broken",
        "broken-package",
        {f"broken_{name}": code for name, code in BROKEN.items()},
        strategies=[
            'raises = "broken_raises:Strategy"',
            'exits = "broken_exits:Strategy"',
            'misses = "broken_misses:Strategy"',
            'nothing = "broken_other:Nothing"',
            'thing = "broken_other:Thing"',
            'number = "broken_other:number"',
            'twice = "broken_other:Thing"',
        ],
        clients=['thing = "broken_other:Thing"'],
    )
    install(broken, folder / "site")
    twice = write_package(
        folder / "twice", "second-package", {"second": ""}, ['twice = "second:Thing"']
    )
    install(twice, folder / "site")
    return folder / "site"


@pytest.fixture
def installed(site, monkeypatch):
    """The packages, for this process and for those that it starts."""
    monkeypatch.syspath_prepend(str(site))
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path.rstrip(os.pathsep))
    importlib.invalidate_caches()


def listing():
    done = subprocess.run(
        [Path(sys.executable).with_name("flame-flwr"), "plugins"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.usefixtures("installed")
def test_what_is_offered_is_listed_and_what_is_broken_is_named():
    lines = listing()
    for line in blocks()["listed"].splitlines():
        assert line in lines
    for name, reason in {
        "raises": "broken_raises:Strategy cannot be imported (ValueError) [nothing works here]",
        "exits": "broken_exits:Strategy cannot be imported (SystemExit) [3]",
        "misses": "broken_misses:Strategy cannot be imported (ModuleNotFoundError)",
        "nothing": "broken_other:Nothing cannot be imported (AttributeError)",
        "thing": "`thing` must be a subclass of StarStrategy",
        "number": "`number` must be a subclass of StarStrategy",
        "twice": "second-package 0.1 offers the name, too",
    }.items():
        [line] = [x for x in lines if x.startswith(f"strategy {name}: broken_")]
        assert "of broken-package 0.1; BROKEN: " in line
        assert reason in line
    [line] = [x for x in lines if x.startswith("client thing: ")]
    assert "BROKEN: the client plug-in `thing` must be a subclass of StarClient" in line


def test_without_any_it_says_so(monkeypatch):
    if plugins.found():
        pytest.skip("this Python has plug-ins of its own")
    assert listing() == ["no package that is installed here offers a strategy or a client"]


@pytest.mark.usefixtures("installed")
def test_a_run_selects_a_strategy_and_a_client_by_name(tmp_path):
    (tmp_path / "app" / "study").mkdir(parents=True)
    (tmp_path / "app" / "study" / "__init__.py").touch()
    (tmp_path / "app" / "study" / "app.py").write_text(APP)
    (tmp_path / "app" / "pyproject.toml").write_text(PYPROJECT)

    def run(name, **config):
        log = []
        results = tmp_path / name
        config = {"results": str(results), **config}
        ended = submit(tmp_path / "app", place, config, on_line=log.append)
        [folder] = results.iterdir()
        return ended, folder, json.loads((folder / "run.json").read_text()), "\n".join(log)

    with simulation(3) as place:
        chosen = {"strategy": "first-nodes", "client": "untimed", "quiet.nodes": 2}
        ended, folder, about, log = run("chosen", **chosen)
        assert ended.succeeded, log
        assert (folder / "result").read_text() == "[10.0, 20.0]"
        assert about["history"][0]["node_seconds"] == {"node-0": 0.0, "node-1": 0.0}
        assert about["parameters"]["strategy"] == "first-nodes"

        ended, folder, about, log = run("missing", client="timeless")
        assert not ended.succeeded
        reason = "node-1: ConfigError: no package that is installed here offers the client"
        assert reason in about["error"], about["error"]
        assert about["rounds"] == 0


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return True


@pytest.mark.usefixtures("installed")
def test_in_one_process_they_are_had_by_name():
    from flame_flwr.strategies import StarStrategy

    chosen = plugins.strategy("first-nodes", StarStrategy(Aggregator), {"quiet.nodes": 1})
    tester = StarModelTester([1, 2], Analyzer, chosen, "s3", client=plugins.client("untimed"))
    assert tester.result == [1]
    assert tester.history[0].node_seconds == {"node-0": 0.0}


@pytest.mark.usefixtures("installed")
def test_a_plug_in_that_cannot_be_used_says_why_and_stops_no_other():
    for name, error, message in (
        ("raises", ConfigError, r"broken: broken_raises:Strategy cannot be imported \(ValueError"),
        ("exits", ConfigError, r"cannot be imported \(SystemExit\)"),
        ("twice", ConfigError, "broken-package 0.1 and second-package 0.1 both offer the strategy"),
        ("thing", ModelError, "the strategy plug-in `thing` must be a subclass of StarStrategy"),
        ("none", ConfigError, "offers the strategy `none` .*installed: exits, first-nodes, "),
    ):
        with pytest.raises(error, match=message):
            plugins.strategy(name)
    with pytest.raises(ModelError, match="cannot be made from what there is"):
        plugins.strategy("first-nodes")  # without an aggregator
    assert plugins.client("untimed").__name__ == "Untimed"


@pytest.mark.usefixtures("installed")
def test_the_pages_study_runs_in_one_process():
    code = compile(blocks()["try_first_nodes.py"], "plugins.md", "exec")
    exec(code, {"__name__": "plugins_page"})


def test_every_block_of_the_page_is_used_here(tmp_path):
    named = {"pyproject.toml", "quiet_rounds.py", "config", "list", "listed"}
    assert set(blocks()) == {*named, "try_first_nodes.py"}
    assert blocks()["list"] == "flame-flwr plugins\n"
    flower = tomllib.loads(blocks()["config"])["tool"]["flwr"]["app"]["config"]
    keys = {key for key in flower if key != "quiet"}
    assert keys == {"strategy", "client"} <= set(RUN_KEYS)
    assert PAGE.read_text().count("```") == 2 * len(blocks())
