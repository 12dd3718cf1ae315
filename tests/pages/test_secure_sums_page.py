"""docs/secure-sums.md: its Python runs here, and its tables are the code's."""

import re
from pathlib import Path

from snippets import blocks, run_python

from flame_flwr import aggregation, statistics
from flame_flwr.config import NODE_KEYS
from flame_flwr.statistics.additive import is_additive

PAGE = Path(__file__).parents[2] / "docs" / "secure-sums.md"


def test_the_example_gives_the_same_bits(tmp_path):
    [example] = blocks(PAGE)
    assert example.name == "sums.py"
    (tmp_path / "sums.py").write_text(example.text)
    assert "True 155" in run_python(tmp_path, "sums.py")


def test_the_statistics_that_add_up_are_all_named():
    kinds = {name: getattr(statistics, name) for name in statistics.__all__}
    kinds.pop("Statistic")  # the base
    adds = {name for name, kind in kinds.items() if isinstance(kind, type) and is_additive(kind)}
    text = re.search(r"statistics that add up: (.*?)\. Everything", PAGE.read_text(), re.S)[1]
    assert set(re.findall(r"`(\w+)`", text)) == adds
    refused = re.search(r"by itself \((.*?)\)", PAGE.read_text(), re.S)[1]
    assert all(hasattr(aggregation, name) for name in re.findall(r"`(\w+)`", refused))


def test_the_table_has_keys_of_the_node_config():
    table = PAGE.read_text().split("| node config | |")[1].split("\n\n")[0]
    keys = set(re.findall(r"^\| `([a-z-]+)` \|", table, re.M))
    assert keys <= NODE_KEYS.keys()
    assert {key for key in NODE_KEYS if key.startswith("secure")} <= keys
