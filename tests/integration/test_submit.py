"""``flame-flwr submit`` through an interruption: everything ends, nothing is half-written."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import forked_flower
import pytest
from flower_app import write_package

pytestmark = pytest.mark.simulation

SLOW = """
import time

from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        time.sleep(0.5)
        return self.num_iterations


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return False


model = StarModel(Analyzer, Aggregator, "none", simple_analysis=False)
server_app = model.server_app
client_app = model.client_app
"""


def processes_of(mark):
    """Return the processes whose environment has the mark, by what they were started with."""
    mark = f"MARK_OF_A_TEST={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.fixture
def temporary():
    """A folder for temporary files with a short path: Ray's sockets are in it."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        yield folder


KILLED = pytest.param(signal.SIGKILL, marks=pytest.mark.exhaustive)
"""``tests/unit/processes/test_child_processes.py`` kills what starts processes in the same way."""


@pytest.mark.parametrize("kind", [signal.SIGINT, KILLED])
def test_an_interruption_ends_every_process(tmp_path, kind, temporary):
    """Ctrl-C and what cannot be caught; SIGTERM is Ctrl-C to it (``tests/unit/cli``)."""
    write_package(tmp_path / "app", "slow", SLOW, {"results": ""})
    log = tmp_path / "log"
    command = [str(Path(sys.executable).with_name("flame-flwr")), "submit", str(tmp_path / "app")]
    command += ["--simulate", "2", "--run-config", f"results={tmp_path}/results"]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env={
                **{**os.environ, "MARK_OF_A_TEST": str(tmp_path), "TMPDIR": temporary},
                **forked_flower.REAL,  # it is about the processes
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + 90
    while "round 2: 2 of 2 nodes" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    process.send_signal(kind)
    assert process.wait(timeout=45) != 0

    def left():
        folders = [path for path in Path(temporary).iterdir() if path.name.startswith("flame-flwr")]
        return processes_of(tmp_path) + folders

    while left() and time.monotonic() < deadline + 60:
        time.sleep(0.2)
    assert left() == []
    [folder] = (tmp_path / "results").iterdir()
    assert not list(folder.rglob(".*"))  # nothing is half-written
    if kind == signal.SIGKILL:
        return
    assert "stopping run" in log.read_text()
    record = json.loads((folder / "run.json").read_text())
    said = f"the aggregate of round {record['rounds']} is in {folder / 'rescue.pkl'}\n"
    assert said in log.read_text()
    files = {path.name for path in folder.iterdir() if path.is_file()}
    assert files == {"run.json", "history.csv", "rescue.pkl"}
    assert record["status"] == "failed"
    assert record["rounds"] >= 2
    assert record["error"].startswith("StoppedError: the run was stopped")
