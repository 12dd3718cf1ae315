"""docs/reports.md: its Python runs here, prints what is quoted, and its config is one."""

import re
import tomllib
from pathlib import Path

import pytest
from snippets import all_named, run_python

from flame_flwr.config import NodeSettings

PAGE = Path(__file__).parents[2] / "docs" / "reports.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="only in a checkout")


def without_time(line):
    return re.sub(r"[0-9.]+ s, ", "", line)


def test_its_study_runs_as_quoted(tmp_path):
    (tmp_path / "study.py").write_text(all_named(PAGE)["study.py"])
    printed = [without_time(line) for line in run_python(tmp_path, "study.py").splitlines()]
    for line in all_named(PAGE)["lines"].splitlines():
        assert without_time(line) in printed
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"mean.txt", "history.csv", "run.json"}
    listed = set(re.findall(r"^\| `([\w.]+)/?` \|", PAGE.read_text(), re.M))
    assert names - {"mean.txt"} <= listed


def test_its_node_config_is_one():
    assert NodeSettings.from_config(tomllib.loads(all_named(PAGE)["node.toml"])).share_size is True


def test_every_block_is_run_or_read():
    assert set(all_named(PAGE)) == {"lines", "study.py", "node.toml"}
