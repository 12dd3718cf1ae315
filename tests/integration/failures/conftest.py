"""A deployment for all failures, each caused for real: two SuperNodes, and a third for some.

It is another one than that of ``deployed`` tests, whose programs stay alive. One serves all tests
here, as Flower takes a minute to notice that a process has died.
"""

import json
import os
import pickle
import signal
import threading
import time

import pytest
from deployed_app import ROUNDS, VALUES, expected, write_app
from deployment import Deployment


@pytest.fixture(scope="session")
def deployment(flower, tmp_path_factory):
    """A SuperLink and two SuperNodes that are killed and started again."""
    with Deployment(tmp_path_factory.mktemp("deployment")) as made:
        for name in ("a", "b"):
            start_hospital(made, name)
        yield made


@pytest.fixture(scope="session")
def third(deployment):
    """The node c, for exhaustive tests: every node that is online costs a process a round."""
    start_hospital(deployment, "c")


def start_hospital(deployment, name):
    folder = deployment.folder
    data = folder / name
    data.mkdir()
    (data / "folder").write_text(str(data))
    (data / "value").write_text(str(VALUES[name]))
    deployment.start_node(
        name,
        data=str(data),
        state_dir=str(folder / f"state-{name}"),
        audit_log=str(folder / f"audit-{name}.jsonl"),
    )


@pytest.fixture
def study(deployment, tmp_path):
    """The app, and what a test does with the nodes of its deployment."""
    made = Study(deployment, tmp_path)
    yield made
    for name in made.nodes:
        for file in made.files(name):
            file.unlink(missing_ok=True)
        if name not in deployment.processes:
            deployment.start_node(name)


class Study:
    def __init__(self, deployment, folder):
        self.deployment = deployment
        self.folder = folder
        self.app = write_app(folder / "app", "study")
        self.results = folder / "results"
        self.nodes = sorted(deployment.configs)

    def run(self, on_line=None, **config):
        config = {"nodes": len(self.nodes), "results": str(self.results), **config}
        return self.deployment.run(self.app, on_line, **config)

    def begin(self, **config):
        """Run in a thread; returns how to get the outcome."""
        outcome = []

        def run():
            try:
                outcome.append(self.run(**config))
            except Exception as error:
                outcome.append((error, ""))

        thread = threading.Thread(target=run)
        thread.start()

        def end():
            thread.join(timeout=300)
            assert not thread.is_alive(), self.deployment.logs()
            return outcome[0]

        return end

    def wait_until(self, condition):
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline, self.deployment.logs()
            time.sleep(0.1)

    def files(self, name):
        data = self.deployment.folder / name
        return [*data.glob("*.hold"), *data.glob("*.reached"), *data.glob("fail-*")]

    def hold(self, name, place):
        (self.deployment.folder / name / f"{place}.hold").touch()

    def release(self, name, place):
        (self.deployment.folder / name / f"{place}.hold").unlink()

    def reached(self, name, place):
        """Wait until a node is at a place; return its process."""
        file = self.deployment.folder / name / f"{place}.reached"
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            if file.exists() and (pid := file.read_text()):
                file.unlink()
                return int(pid)
            time.sleep(0.05)
        raise TimeoutError(f"{name} did not reach {place}:\n{self.deployment.logs()}")

    def answered(self, name, number):
        """Wait until the SuperLink has a node's answer to a round: its next poll comes after."""
        log = f"audit-{name}.jsonl"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            lines = (self.deployment.folder / log).read_text().splitlines()
            if lines and json.loads(lines[-1])["round"] == number:
                time.sleep(5)
                return
            time.sleep(0.1)
        raise TimeoutError(f"{name} did not answer:\n{self.deployment.logs()}")

    def restart(self, name):
        """Start a SuperNode that was there, and wait until the SuperLink knows it."""
        log, there = self.deployment.log, "SuperNode ID:"
        before = log(name).count(there)
        self.deployment.start_node(name)
        deadline = time.monotonic() + 60
        while log(name).count(there) == before:
            assert time.monotonic() < deadline, self.deployment.logs()
            time.sleep(0.1)

    def kill_server_app(self):
        [pid] = self.deployment.running("flwr-serverapp")
        os.kill(pid, signal.SIGKILL)

    def outcome(self, results=None):
        [file] = (results or self.results).glob("*/means.pkl")
        return pickle.loads(file.read_bytes())

    def undisturbed(self):
        """Return what comes of a run of which no round lacks a node."""
        return {"means": expected(self.nodes), "seen": [self.nodes] * ROUNDS}

    def record(self):
        [folder] = self.results.iterdir()
        return json.loads((folder / "run.json").read_text())
