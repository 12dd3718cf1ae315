"""Statistics in a process of their own, as every message has it, and their docstrings."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from hanging import HANGS

from flame_flwr.payload import encode
from flame_flwr.statistics import Moments, describe

HEAVY = {"pandas", "scipy", "sklearn", "matplotlib", "flwr", "ddsketch", "opendp", "ray"}


def in_a_new_process(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("import_first", ["", "import flame_flwr.statistics"])
def test_a_new_process_reads_statistics(tmp_path, import_first):
    value = {
        "a": Moments.from_data([1.5, 2.5]),
        "all": describe({"b": [1.0, 3.0], "c": ["x", "y"]}),
    }
    (tmp_path / "payload").write_bytes(pickle.dumps(encode(value)))
    code = f"""
import pickle, sys
{import_first}
from flame_flwr.payload import decode
value = decode(pickle.load(open(sys.argv[1], "rb")))
merged = value["a"].merge(value["a"]).result()
print(merged["mean"], value["all"].result()["columns"]["c"]["count"])
"""
    assert in_a_new_process(code, str(tmp_path / "payload")) == "2.0 2\n"


@pytest.fixture(scope="module")
def imported():
    """What one process has imported with the payload, and then with statistics and rules."""
    code = """
import sys
import flame_flwr.payload, flame_flwr.clients.node
print(*sys.modules)
import flame_flwr.statistics, flame_flwr.privacy.config_text
print(*{name.partition('.')[0] for name in sys.modules})
"""
    without, with_them = in_a_new_process(code).splitlines()
    return set(without.split()), set(with_them.split())


def test_importing_them_and_the_rules_is_light(imported):
    assert "flame_flwr" in imported[1]
    assert not imported[1] & HEAVY


def test_without_statistics_none_are_imported(imported):
    assert "flame_flwr.payload" in imported[0]
    assert "flame_flwr.statistics" not in imported[0]
