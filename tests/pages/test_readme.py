"""The README's Python runs here, and its tables and quotations are those of the code.

Its commands run in ``tests/integration/test_readme_commands.py``.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from flame_flwr.config import NODE_KEYS, RUN_KEYS

README = Path(__file__).parents[2] / "README.md"


def blocks(kind):
    """Return the README's code blocks of a kind, by the name behind it."""
    found = re.findall(rf"^```{kind} (\S+)\n(.*?)^```", README.read_text(), re.M | re.S)
    assert found
    return dict(found)


def test_the_thirty_lines_run_as_they_stand(tmp_path):
    python = blocks("python")
    assert set(python) == {"ages.py", "try_ages.py", "check_ages.py"}
    assert len(python["ages.py"].splitlines()) <= 32
    for name, code in python.items():
        (tmp_path / name).write_text(code)
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
    environment["PYTHONPATH"] = str(tmp_path)
    for name in ("try_ages.py", "check_ages.py"):
        done = subprocess.run(
            [sys.executable, name],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        if name == "try_ages.py":
            assert "[node-1, round 1] 3 patients with an age" in done.stdout
            assert "Final result: 5 patients, 59.6 years on average, deviation 8.3" in done.stdout


def test_the_tables_of_keys_are_those_of_the_code():
    text = README.read_text()
    set_by_flower = {"partition-id", "num-partitions"}
    for keys in (RUN_KEYS, NODE_KEYS):
        for name, key in keys.items():
            default = "" if key.default == "" else f"`{key.default}` "
            line = f"| `{name}` | {default}| {key.doc} |"
            assert (line in text) != (name in set_by_flower), line


def test_every_block_has_a_name_that_a_test_runs():
    names = re.findall(r"^```(\S+)[ ]?(.*)$", README.read_text(), re.M)
    known = {"ages.py", "try_ages.py", "pyproject.toml", "config.toml", "simulation", "deployment"}
    known |= {"quickstart", "run", "new", "check_ages.py", "results"}
    unnamed = [kind for kind, name in names if name not in known]
    assert unnamed == ["bash", "text"]  # make demo and make test, and what the demo prints


def test_the_quickstart_prints_what_is_quoted():
    done = subprocess.run(
        [sys.executable, README.parent / "examples" / "quickstart" / "app.py"],
        env={key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    printed = [without_time(line) for line in done.stdout.splitlines()]
    for line in blocks("text")["quickstart"].splitlines():
        assert without_time(line) in printed


def without_time(line):
    return re.sub(r"[0-9.]+ s, ", "", line)
