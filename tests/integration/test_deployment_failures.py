"""Failures on a real deployment, each caused for real: nothing is lost, nothing hangs.

One deployment of three SuperNodes serves all tests of the file, as Flower takes a minute to
notice that a process has died.
"""

import json
import os
import pickle
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from deployed_app import VALUES, expected, write_app
from deployment import Deployment

from flame_flwr.engine.submit import SubmitError

ROUNDS = 3


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deployment")
    with Deployment(folder) as made:
        for name, value in VALUES.items():
            data = folder / name
            data.mkdir()
            (data / "folder").write_text(str(data))
            (data / "value").write_text(str(value))
            made.start_node(
                name,
                data=str(data),
                state_dir=str(folder / f"state-{name}"),
                audit_log=str(folder / f"audit-{name}.jsonl"),
            )
        yield made


@pytest.fixture
def study(deployment, tmp_path):
    """The app, and what a test does with the nodes of its deployment."""
    made = Study(deployment, tmp_path)
    yield made
    for name in VALUES:
        for file in made.files(name):
            file.unlink(missing_ok=True)
        if name not in deployment.processes:
            deployment.start_node(name)


class Study:
    def __init__(self, deployment, folder):
        self.deployment = deployment
        self.folder = folder
        self.app = write_app(folder / "app", "study", rounds=ROUNDS)
        self.results = folder / "results"

    def run(self, **config):
        return self.deployment.run(self.app, results=str(self.results), **config)

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
        [pid] = self.deployment.children("superlink", "flwr-serverapp")
        os.kill(pid, signal.SIGKILL)

    def outcome(self):
        [folder] = [path.parent for path in self.results.glob("*/means.pkl")]
        return pickle.loads((folder / "means.pkl").read_bytes())

    def record(self):
        [folder] = self.results.iterdir()
        return json.loads((folder / "run.json").read_text())


def test_an_undisturbed_run_is_the_plain_loop_and_its_answers_stand_in_the_audit_log(study):
    file = study.deployment.folder / "audit-a.jsonl"
    before = len(file.read_text().splitlines()) if file.exists() else 0
    ended, log = study.run()
    assert ended.succeeded, log + study.deployment.logs()
    assert study.outcome() == {"means": expected(ROUNDS), "seen": [["a", "b", "c"]] * ROUNDS}
    run = study.record()["run_id"]
    lines = [json.loads(line) for line in file.read_text().splitlines()[before:]]
    assert [(line["answer_to"], line["round"]) for line in lines] == [
        ("get_properties", None),
        *[("train", number) for number in range(1, ROUNDS + 1)],
    ]
    assert {line["run"] for line in lines} == {run}
    assert {line["node"] for line in lines} == {"a"}
    assert all(line["app"].startswith("tests.study.1.0.0.") for line in lines)
    assert all(line["result"] == "float" for line in lines[1:])


def test_an_analyzer_that_raises_ends_the_run_with_its_place_and_no_text(study):
    (study.deployment.folder / "b" / "fail-2").touch()
    ended, log = study.run()
    assert not ended.succeeded
    assert "node b failed in round 2: ValueError at app.py:" in log
    for text in (log, json.dumps(study.record())):
        assert "Maria" not in text
    assert "Maria Muster, born 1961" in study.deployment.log("b")
    assert "Traceback" in study.deployment.log("b")


def test_skip_goes_on_without_a_failing_node(study):
    (study.deployment.folder / "b" / "fail-2").touch()
    ended, log = study.run(on_failure="skip")
    assert ended.succeeded, log + study.deployment.logs()
    everyone = ["a", "b", "c"]
    assert study.outcome() == {
        "means": expected(ROUNDS, missing={("b", 2)}),
        "seen": [everyone, ["a", "c"], everyone],
    }
    [failure] = study.record()["failures"]
    assert (failure["node"], failure["round"]) == ("b", 2)


def test_wait_goes_on_where_killed_nodes_were(study):
    """One client is killed before its state is saved, one after, and one with its SuperNode."""
    deployment = study.deployment
    study.hold("a", "round-2")
    study.hold("b", "saved-2")
    study.hold("c", "round-2")
    end = study.begin(on_failure="wait")
    os.kill(study.reached("a", "round-2"), signal.SIGKILL)
    os.kill(study.reached("b", "saved-2"), signal.SIGKILL)
    study.reached("c", "round-2")
    deployment.kill("c")
    for name, place in (("a", "round-2"), ("b", "saved-2"), ("c", "round-2")):
        study.release(name, place)
    deployment.start_node("c")
    ended, log = end()
    assert ended.succeeded, log + deployment.logs()
    assert study.outcome() == {"means": expected(ROUNDS), "seen": [["a", "b", "c"]] * ROUNDS}
    assert study.record()["failures"] == []


def test_wait_goes_on_with_nodes_that_were_restarted_between_two_rounds(study):
    """Without a key they come back under other addresses.

    The SuperLink refuses the old one of b, and takes that of c, which was killed, for alive for
    another minute.
    """
    deployment = study.deployment
    study.hold("a", "round-2")
    end = study.begin(on_failure="wait")
    for name in ("b", "c"):
        study.reached(name, "saved-2")
        study.answered(name, 2)
    study.reached("a", "round-2")
    deployment.kill("b", signal.SIGTERM)
    deployment.kill("c")
    study.restart("c")
    study.release("a", "round-2")
    study.reached("a", "round-3")
    deployment.start_node("b")
    ended, log = end()
    assert ended.succeeded, log + deployment.logs()
    assert "node b is back; asking it again" in log
    assert study.outcome() == {"means": expected(ROUNDS), "seen": [["a", "b", "c"]] * ROUNDS}


def test_a_late_answer_is_counted_in_no_round(study):
    study.hold("c", "round-2")
    end = study.begin(on_failure="skip", round_timeout=45)
    study.reached("c", "round-2")
    study.reached("a", "round-3")
    study.release("c", "round-2")
    ended, log = end()
    assert ended.succeeded, log + study.deployment.logs()
    assert study.outcome()["means"] == expected(ROUNDS, missing={("c", 2)})
    [failure] = study.record()["failures"]
    assert "timeout: no answer within 45 s" in failure["why"]


def test_resume_goes_on_after_the_server_app_and_the_superlink_have_died(study):
    """The round that was under way is run again, from the state that it was entered with."""
    deployment, checkpoint = study.deployment, study.folder / "kept" / "study.checkpoint"
    study.hold("a", "round-2")
    end = study.begin(checkpoint=str(checkpoint))
    study.reached("b", "saved-2")
    study.reached("a", "round-2")
    study.kill_server_app()
    study.release("a", "round-2")
    ended, _ = end()
    assert not ended.succeeded
    study.hold("c", "round-3")
    end = study.begin(checkpoint=str(checkpoint), resume=True)
    study.reached("c", "round-3")
    deployment.kill("superlink")
    study.release("c", "round-3")
    lost, _ = end()
    assert isinstance(lost, SubmitError)
    deployment.start_superlink()
    ended, log = study.run(checkpoint=str(checkpoint), resume=True)
    assert ended.succeeded, log + deployment.logs()
    assert "going on after round 2" in log
    assert study.outcome() == {"means": expected(ROUNDS), "seen": [["a", "b", "c"]] * ROUNDS}
    assert not checkpoint.exists()


def test_half_a_checkpoint_and_a_node_without_its_state_are_refused(study):
    deployment, checkpoint = study.deployment, study.folder / "study.checkpoint"
    (deployment.folder / "b" / "fail-2").touch()
    ended, _ = study.run(checkpoint=str(checkpoint))
    assert not ended.succeeded
    (deployment.folder / "b" / "fail-2").unlink()
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: len(whole) // 2])
    ended, log = study.run(checkpoint=str(checkpoint), resume=True)
    assert not ended.succeeded
    assert "is damaged" in log
    checkpoint.write_bytes(whole)
    for state in (deployment.folder / "state-c" / "analyses").glob("*/c/after-*"):
        state.unlink()
    ended, log = study.run(checkpoint=str(checkpoint), resume=True)
    assert not ended.succeeded
    assert "c: no analyzer of round 1; its `state-dir` was cleaned" in log


def test_a_run_that_is_stopped_ends_in_seconds_with_all_it_has(study):
    deployment = study.deployment
    study.hold("a", "round-2")
    lines, outcome = [], []

    def run():
        outcome.append(deployment.run(study.app, lines.append, results=str(study.results)))

    thread = threading.Thread(target=run)
    thread.start()
    study.reached("a", "round-2")
    [run_id] = re.findall(r"started run (\d+)", "\n".join(lines))
    started = time.monotonic()
    deployment.flwr("stop", run_id)
    thread.join(timeout=60)
    [[ended, _]] = outcome
    while not list(study.results.glob("*/run.json")):
        assert time.monotonic() - started < 30, deployment.logs()
        time.sleep(0.1)
    study.release("a", "round-2")
    assert ended.status == "finished:stopped"
    record = study.record()
    assert (record["status"], record["rounds"]) == ("failed", 1)
    assert "stopped" in record["error"]
    [folder] = study.results.iterdir()
    assert pickle.loads((folder / "rescue.pkl").read_bytes()) == expected(ROUNDS)[:1]
    assert not list(folder.rglob(".*"))


def test_two_runs_at_once_do_not_see_each_other(study):
    def run(number):
        results = study.folder / f"results-{number}"
        ended, log = study.deployment.run(study.app, results=str(results))
        assert ended.succeeded, log + study.deployment.logs()
        [file] = results.glob("*/means.pkl")
        return pickle.loads(file.read_bytes())["means"]

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(run, (1, 2))) == [expected(ROUNDS)] * 2
