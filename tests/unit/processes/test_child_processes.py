"""Programs that are started end with the process that started them, however that one ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hanging import HANGS

from flame_flwr.processes.child_processes import tied

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")

PROGRAM = """
import os, subprocess, sys, tempfile, time
from flame_flwr.processes.child_processes import tied

own = tempfile.mkdtemp(dir=sys.argv[1])
with tied(own) as mark:
    deaf = "trap '' TERM; while true; do sleep 0.2; done"
    chain = "setsid sh -c 'setsid sleep 300 & echo begun; wait' & setsid sleep 300 & " + deaf
    subprocess.Popen(["setsid", "sh", "-c", chain], env={**os.environ, **mark})
    print("ready", flush=True)
    if sys.argv[2] == "wait":
        time.sleep(300)
    if sys.argv[2] == "raise":
        time.sleep(0.5)
        raise RuntimeError
"""


def of_mine(folder):
    """Return the processes that have been started for a test."""
    mark, found = f"OF_A_TEST={folder}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and mark in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes())
        except OSError:
            continue
    return found


def start(folder, how):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), how],
        env={**os.environ, "OF_A_TEST": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_a_killed_process_leaves_nothing(tmp_path):
    process = start(tmp_path, "wait")
    assert {process.stdout.readline(), process.stdout.readline()} == {"ready\n", "begun\n"}
    assert len(of_mine(tmp_path)) >= 6
    assert list(tmp_path.iterdir())
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while (left := of_mine(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["end", "raise"])
def test_after_the_block_only_folders_are_left(tmp_path, how):
    process = start(tmp_path, how)
    assert process.wait(timeout=HANGS) == (1 if how == "raise" else 0)
    assert of_mine(tmp_path) == []
    assert list(tmp_path.iterdir())


def test_other_programs_live_on():
    with subprocess.Popen(["sleep", "100"]) as other:
        with tied() as mark:
            inside = subprocess.Popen(["sleep", "100"], env={**os.environ, **mark})
        assert inside.wait(timeout=10) == -signal.SIGKILL
        assert other.poll() is None
        other.kill()
