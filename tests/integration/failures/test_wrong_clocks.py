"""A node whose clock is wrong, and then is right again."""

import signal
import time

import pytest

SHIFTED = """
import datetime, os, time
import flwr.supercore.date as date

now, seconds = date.now, time.time

def shift():
    with open(os.environ["SHIFT"]) as file:
        return float(file.read() or 0)

date.now = lambda: now() + datetime.timedelta(seconds=shift())
time.time = lambda: seconds() + shift()
"""


@pytest.mark.exhaustive
@pytest.mark.failures
def test_a_node_with_a_wrong_clock_comes_back(deployment, tmp_path, monkeypatch):
    """``tests/unit/node/test_server_clock.py`` has Flower's connection without a SuperLink."""
    shift = tmp_path / "shift"
    (tmp_path / "sitecustomize.py").write_text(SHIFTED)

    def says(words, number):
        deadline = time.monotonic() + 90
        while deployment.log("b").count(words) < number:
            assert deployment.processes["b"].poll() is None, deployment.logs()
            assert time.monotonic() < deadline, deployment.logs()
            time.sleep(0.2)

    there = deployment.log("b").count("SuperNode ID")
    deployment.kill("b", signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setitem(deployment.environment, "PYTHONPATH", str(tmp_path))
        patch.setitem(deployment.environment, "SHIFT", str(shift))
        shift.write_text("600")
        deployment.start_node("b")
    try:
        says("clock is 60", 1)
        shift.write_text("0")
        says("SuperNode ID", there + 1)
        for number, seconds in enumerate(["8", "-4000"], 1):
            shift.write_text(seconds)
            says("so the server refuses this node", number + 1)
            shift.write_text("0")
            says("the clocks agree again", number + 1)
    finally:
        deployment.kill("b", signal.SIGTERM)
        deployment.start_node("b")
