"""Plug-ins: packages installed by pip, as others would write them, and used in a simulation.

The package is that of docs/plugins.md, as it stands.
"""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from forked_python import run_python
from snippets import all_named

from flame_flwr import plugins
from flame_flwr.cli.submit import simulation, submit
from flame_flwr.config import RUN_KEYS
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

QUICKSTART = ROOT / "examples" / "quickstart"
KEYS = 'strategy = ""\nclient = ""\nquiet.nodes = 3\n'
"""What selects a plug-in, and configures it, in an app's config."""


BLOCKS = all_named(PAGE)


def install(target, *sources):
    """Install packages for real, without a network."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    done = subprocess.run(
        [*command, *map(str, sources)], capture_output=True, text=True, timeout=300, check=False
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
        (folder / "quiet" / name).write_text(BLOCKS[name])
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
    twice = write_package(
        folder / "twice", "second-package", {"second": ""}, ['twice = "second:Thing"']
    )
    install(folder / "site", folder / "quiet", broken, twice)
    return folder / "site"


@pytest.fixture
def installed(site, monkeypatch):
    """The packages, for this process and for those that it starts."""
    monkeypatch.syspath_prepend(str(site))
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path.rstrip(os.pathsep))
    importlib.invalidate_caches()


def listing():
    done = run_python("-c", "from flame_flwr.cli.commands import main; main()", "plugins")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.usefixtures("installed")
def test_offered_plugins_are_listed_and_broken_ones_named():
    lines = listing()
    for line in BLOCKS["listed"].splitlines():
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


@pytest.fixture
def run(installed, tmp_path):
    """Run the quickstart example at three nodes with plug-ins, in a simulation that has them."""
    ignored = shutil.ignore_patterns("tests", "__pycache__")
    app = shutil.copytree(QUICKSTART, tmp_path / "app", ignore=ignored)
    text = (app / "pyproject.toml").read_text()
    (app / "pyproject.toml").write_text(text.replace("nodes = 2\n", f"nodes = 3\n{KEYS}"))

    def run_it(**config):
        log = []
        config = {"results": str(tmp_path / "results"), **config}
        with simulation(3) as place:
            ended = submit(app, place, config, on_line=log.append)
        [folder] = (tmp_path / "results").iterdir()
        return ended, folder, json.loads((folder / "run.json").read_text()), "\n".join(log)

    return run_it


@pytest.mark.simulation
@pytest.mark.exhaustive
def test_a_run_names_its_strategy_and_client(run):
    """The first two of three nodes have the quickstart's numbers, and its lines.

    A simulation of its own, as its SuperLink must be started where the packages are installed. The
    same packages are used in one process below; ``tests/unit/test_plugins.py`` has the run config.
    """
    chosen = {"strategy": "first-nodes", "client": "untimed", "quiet.nodes": 2}
    ended, folder, about, log = run(**chosen)
    assert ended.succeeded, log
    assert (folder / "average.txt").read_text() == "5.46875"
    assert (about["rounds"], about["converged"]) == (6, True)
    for entry in about["history"]:
        assert entry["node_seconds"] == {"node-0": 0.0, "node-1": 0.0}
    assert about["parameters"]["strategy"] == "first-nodes"
    for number, value in enumerate([4.5, 5.0, 5.25, 5.375, 5.4375, 5.46875], start=1):
        line = rf"\[aggregator, round {number}\] common average of .*: {value}$"
        assert re.search(line, log, re.MULTILINE)


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
def test_a_broken_plugin_stops_no_other():
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
    code = compile(BLOCKS["try_first_nodes.py"], "plugins.md", "exec")
    exec(code, {"__name__": "plugins_page"})


def test_every_block_of_the_page_is_used_here(tmp_path):
    named = {"pyproject.toml", "quiet_rounds.py", "config", "list", "listed"}
    assert set(BLOCKS) == {*named, "try_first_nodes.py"}
    assert BLOCKS["list"] == "flame-flwr plugins\n"
    flower = tomllib.loads(BLOCKS["config"])["tool"]["flwr"]["app"]["config"]
    keys = {key for key in flower if key != "quiet"}
    assert keys == {"strategy", "client"} <= set(RUN_KEYS)
