"""How long a check waits: for its runs, for the start of a process, and for its own process."""

import os
import subprocess
import sys
import threading
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import SimpleNamespace

import pytest

from flame_flwr.testing import check_process, processes

SECONDS = 0.2


class Started(threading.Thread):
    """Stands for a process that is not forked: it sends what a child would."""

    exitcode = 0

    def __init__(self, target, args):
        own = Connection(os.dup(args[0].fileno()))  # the parent closes its copy
        super().__init__(target=target, args=(own,), daemon=True)

    def kill(self):
        pass


@pytest.fixture
def trouble_of(tmp_path, monkeypatch):
    """Return a function that has a process imported for so long, and then run."""

    def call(imports, runs):
        def child(connection):
            time.sleep(imports)
            connection.send(("imported", None))
            time.sleep(runs)
            connection.send(("done", "an answer"))
            connection.close()

        monkeypatch.setattr(processes, "GRACE", 0.6)
        monkeypatch.setattr(processes, "_child", child)
        spec, subject = SimpleNamespace(seconds=SECONDS), SimpleNamespace(speaks_messages=False)
        made = processes.Processes(SimpleNamespace(folder=tmp_path, spec=spec, subject=subject))
        made._forks, made._context = False, SimpleNamespace(Pipe=Pipe, Process=Started)
        return made._call(None, ())

    return call


def test_imports_take_no_time_of_the_runs(trouble_of):
    assert trouble_of(2 * SECONDS, 0) == "an answer"


@pytest.mark.parametrize(("imports", "runs"), [(1.0, 0), (0, 2 * SECONDS)])
def test_neither_an_import_nor_a_run_may_hang(trouble_of, imports, runs):
    assert trouble_of(imports, runs).kind == "hung"


@pytest.mark.parametrize(("times", "code"), [(0, None), (1, None), (8, 3)])
def test_a_check_waits_while_something_begins(tmp_path, times, code):
    program = (
        "import pathlib, sys, time\n"
        f"for _ in range({times}):\n"
        "    pathlib.Path(sys.argv[1]).touch()\n"
        "    time.sleep(0.1)\n"
        f"time.sleep({0 if code else 60})\n"
        "raise SystemExit(3)\n"
    )
    begun = tmp_path / "begun"
    process = subprocess.Popen([sys.executable, "-c", program, str(begun)])
    try:
        assert check_process._exit_code(process, begun, 0.4) == code
    finally:
        process.kill()
        process.wait()


def test_a_check_with_findings_is_not_waited_for(tmp_path):
    begun = tmp_path / "begun"
    begun.touch()
    (tmp_path / "findings.json").touch()
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    began = time.monotonic()
    try:
        assert check_process._exit_code(process, begun, 0.5) is None
    finally:
        process.kill()
        process.wait()
    assert time.monotonic() - began < 0.9


@pytest.mark.parametrize("code", [None, 4])
def test_what_hangs_outside_the_runs_is_told(tmp_path, code):
    (tmp_path / "log").touch()
    assert check_process._unfinished(code, tmp_path, 1.0).seen.startswith("its import ")
    (tmp_path / "begun").touch()
    assert check_process._unfinished(code, tmp_path, 1.0).seen.startswith("its constructor ")
