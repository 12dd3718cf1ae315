"""docs/statistics.md and docs/disclosure.md: what they show runs here, and says what they quote."""

import tomllib
from pathlib import Path

import pytest
from snippets import all_named, block, run_python

from flame_flwr import statistics
from flame_flwr.config import NodeSettings
from flame_flwr.privacy import MaxBins, MinCount, NoisyMinMax, Strict
from flame_flwr.privacy.config_text import RULES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "main"), [("statistics.md", "try_cohort.py"), ("disclosure.md", "ages.py")]
)
def test_a_pages_python_prints_its_quotes(page, main, tmp_path):
    shown = all_named(DOCS / page)
    for name, code in shown.items():
        (tmp_path / name).write_text(code)
    assert shown.get("printed", "") in run_python(tmp_path, main)


def test_the_node_config_gives_its_rules():
    config = tomllib.loads(block(DOCS / "disclosure.md", "node.toml"))
    count, noise, bins, strict = NodeSettings.from_config(config).disclosure_rules()
    assert (count, bins, strict) == (MinCount(5), MaxBins(50), Strict())
    assert isinstance(noise, NoisyMinMax)
    assert noise.secret


def test_every_rule_and_every_statistic_has_its_line():
    for name in RULES:
        assert f"| `{name}(" in (DOCS / "disclosure.md").read_text()
    for name in set(statistics.__all__) - {"Statistic", "Description", "describe"}:
        assert f"| `{name}` |" in (DOCS / "statistics.md").read_text()
