"""docs/statistics.md and docs/disclosure.md: what they show runs here, and says what they quote."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from flame_flwr import statistics
from flame_flwr.config import NodeSettings
from flame_flwr.privacy import MaxBins, MinCount, NoisyMinMax, Strict
from flame_flwr.privacy.config_text import RULES

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page):
    found = re.findall(r"^```(\S+) (\S+)\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)
    assert (DOCS / page).read_text().count("```") == 2 * len(found)
    return {name: code for _, name, code in found}


@pytest.mark.parametrize(
    ("page", "main"), [("statistics.md", "try_cohort.py"), ("disclosure.md", "try_ages.py")]
)
def test_a_pages_python_runs_and_prints_what_is_quoted(page, main, tmp_path):
    shown = blocks(page)
    for name, code in shown.items():
        (tmp_path / name).write_text(code)
    done = subprocess.run(
        [sys.executable, main],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert shown.get("printed", "") in done.stdout


def test_the_node_config_gives_the_rules_that_it_names():
    config = tomllib.loads(blocks("disclosure.md")["node.toml"])
    count, noise, bins, strict = NodeSettings.from_config(config).own_rules()
    assert (count, bins, strict) == (MinCount(5), MaxBins(50), Strict())
    assert isinstance(noise, NoisyMinMax)
    assert noise.secret


def test_every_rule_and_every_statistic_has_its_line():
    for name in RULES:
        assert f"| `{name}(" in (DOCS / "disclosure.md").read_text()
    for name in set(statistics.__all__) - {"Statistic", "Description", "describe"}:
        assert f"| `{name}` |" in (DOCS / "statistics.md").read_text()
