"""docs/update-filters.md: its Python and its config run here, and its numbers are the code's."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from flame_flwr import privacy
from flame_flwr.config import NodeSettings
from flame_flwr.privacy import Clip, GaussianNoise
from flame_flwr.privacy.config_text import FILTERS

PAGE = Path(__file__).parents[2] / "docs" / "update-filters.md"


def blocks():
    found = re.findall(r"^```(\S+) (\S+)\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    return {name: code for _, name, code in found}


def run(name, folder):
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
    done = subprocess.run(
        [sys.executable, name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_python_runs_as_it_stands_and_prints_what_is_quoted(tmp_path):
    for name, code in blocks().items():
        (tmp_path / name).write_text(code)
    assert blocks()["budget"] in run("try_filters.py", tmp_path)
    run("rounding.py", tmp_path)
    run("plan_budget.py", tmp_path)


def test_its_node_config_gives_the_filters_that_it_names():
    settings = NodeSettings.from_config(tomllib.loads(blocks()["node.toml"]))
    assert settings.own_filters() == (
        Clip(1.0, missing="skip"),
        GaussianNoise(1.0, 2.0, missing="skip"),
    )


def test_every_block_is_run_or_read():
    assert set(blocks()) == {
        "averaging.py",
        "try_filters.py",
        "rounding.py",
        "node.toml",
        "budget",
        "plan_budget.py",
    }
    assert PAGE.read_text().count("```") == 2 * len(blocks())


def test_it_lists_every_filter_and_every_filter_says_what_it_does_not_do():
    for name in FILTERS:
        assert f"| `{name}(" in PAGE.read_text()
        about = getattr(privacy, name).__doc__
        assert re.search(r"does not protect|no differential privacy", about), name
