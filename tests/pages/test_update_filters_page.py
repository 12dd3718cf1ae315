"""docs/update-filters.md: its Python and its config run here, and its numbers are the code's."""

import re
import tomllib
from pathlib import Path

from snippets import all_named, run_python

from flame_flwr import privacy
from flame_flwr.config import NodeSettings
from flame_flwr.privacy import Clip, GaussianNoise
from flame_flwr.privacy.config_text import FILTERS

PAGE = Path(__file__).parents[2] / "docs" / "update-filters.md"


def test_its_python_prints_its_quotes(tmp_path):
    for name, code in all_named(PAGE).items():
        (tmp_path / name).write_text(code)
    assert all_named(PAGE)["budget"] in run_python(tmp_path, "try_filters.py")
    run_python(tmp_path, "rounding.py")
    run_python(tmp_path, "plan_budget.py")


def test_its_node_config_gives_its_filters():
    settings = NodeSettings.from_config(tomllib.loads(all_named(PAGE)["node.toml"]))
    assert settings.update_filters() == (
        Clip(1.0, missing="skip"),
        GaussianNoise(1.0, 2.0, missing="skip"),
    )


def test_every_block_is_run_or_read():
    assert set(all_named(PAGE)) == {
        "averaging.py",
        "try_filters.py",
        "rounding.py",
        "node.toml",
        "budget",
        "plan_budget.py",
    }


def test_every_filter_is_listed_with_its_limits():
    for name in FILTERS:
        assert f"| `{name}(" in PAGE.read_text()
        about = getattr(privacy, name).__doc__
        assert re.search(r"does not protect|no differential privacy", about), name
