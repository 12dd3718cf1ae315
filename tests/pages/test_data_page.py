"""docs/data.md: its registry is the example, its Python prints what it says, its keys are there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from flame_flwr.data import fhir_server, registry

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def block(kind, name):
    [text] = re.findall(rf"^```{kind} {name}\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    return text


def test_its_registry_is_the_example():
    assert block("toml", "datasets.toml") == registry.EXAMPLE


def test_its_table_has_every_key_and_the_limits():
    rows = "".join(line for line in PAGE.read_text().splitlines() if line.startswith("| `"))
    named = set(re.findall(r"`([a-z-]+)`", rows))
    assert set(registry._TYPES) <= named
    assert f"{fhir_server.MAX_PAGES} and {fhir_server.MAX_MB:.0f}" in rows


def test_its_python_prints_what_it_says(tmp_path):
    (tmp_path / "expects.py").write_text(block("python", "expects.py"))
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
    done = subprocess.run(
        [sys.executable, "expects.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == block("text", "expects")
