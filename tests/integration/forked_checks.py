"""Check processes that are forked, so that Flower is imported once for all checks of a module."""

import json
import multiprocessing
import multiprocessing.util
import os
import subprocess
import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import pytest

multiprocessing.util.get_temp_dir()  # for good, and so in no folder of a test's own
PRELOADED = [
    "flame_flwr.testing.worker",
    "flame_flwr.testing.runs",
    "flame_flwr.strategies.star_strategy",
]


@contextmanager
def forked_checks():
    """Have the checks within the block begin in a fork of a process with no code of a user's."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(PRELOADED)

    class Check:
        """What is used of ``Popen``."""

        def __init__(self, command, cwd, env, stdout, **_):
            *_, path, folder = command
            self._process = forks.Process(target=_work, args=(path, folder, env, stdout.name))
            self._process.start()
            self.pid, self.kill = self._process.pid, self._process.kill

        def wait(self, timeout=None):
            self._process.join(timeout)
            if self._process.is_alive():
                raise subprocess.TimeoutExpired("the check", timeout)
            return self._process.exitcode

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONHASHSEED", "1")
        patch.setitem(sys.modules, "__main__", ModuleType("__main__"))  # pytest's is not theirs
        there = SimpleNamespace(**{**vars(subprocess), "Popen": Check})
        patch.setattr("flame_flwr.testing.check_process.subprocess", there)
        yield


@pytest.fixture(scope="session", autouse=True)
def _forked():
    """Where pytest takes this module for a plug-in, all checks of the session are forks."""
    with forked_checks():
        yield


def _work(path, folder, environment, log):
    from flame_flwr.testing.worker import main

    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = json.loads(path)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    main(folder)
