"""docs/reports.md: its Python runs here, prints what is quoted, and its config is one."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from flame_flwr.config import NodeSettings

PAGE = Path(__file__).parents[2] / "docs" / "reports.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="only in a checkout")


def blocks():
    found = re.findall(r"^```(\S+) (\S+)\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    return {name: code for _, name, code in found}


def without_time(line):
    return re.sub(r"[0-9.]+ s, ", "", line)


def test_its_study_runs_prints_the_lines_and_leaves_the_files(tmp_path):
    (tmp_path / "study.py").write_text(blocks()["study.py"])
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
    done = subprocess.run(
        [sys.executable, "study.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = [without_time(line) for line in done.stdout.splitlines()]
    for line in blocks()["lines"].splitlines():
        assert without_time(line) in printed
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"mean.txt", "history.csv", "run.json"}
    listed = set(re.findall(r"^\| `([\w.]+)/?` \|", PAGE.read_text(), re.M))
    assert names - {"mean.txt"} <= listed


def test_its_node_config_is_one():
    assert NodeSettings.from_config(tomllib.loads(blocks()["node.toml"])).share_size is True


def test_every_block_is_run_or_read():
    assert set(blocks()) == {"lines", "study.py", "node.toml"}
    assert PAGE.read_text().count("```") == 2 * len(blocks())
