"""Failing, late and restarted nodes of a real deployment: nothing is lost, nothing hangs."""

import json
import os
import pickle
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from deployed_app import ROUNDS, expected

pytestmark = pytest.mark.failures


def test_skip_goes_on_without_a_failing_node_and_counts_a_late_answer_in_no_round(study):
    study.hold("c", "round-2")
    (study.deployment.folder / "b" / "fail-2").touch()
    end = study.begin(on_failure="skip", round_timeout=45, min_nodes=1)
    study.reached("c", "round-2")
    study.reached("a", "round-3")
    study.release("c", "round-2")
    ended, log = end()
    assert ended.succeeded, log + study.deployment.logs()
    everyone = ["a", "b", "c"]
    assert study.outcome() == {
        "means": expected(missing={("b", 2), ("c", 2)}),
        "seen": [everyone, ["a"], everyone],
    }
    failures = {each["node"]: each for each in study.record()["failures"]}
    assert {node: each["round"] for node, each in failures.items()} == {"b": 2, "c": 2}
    assert "ValueError at app.py:" in failures["b"]["why"]
    assert "timeout: no answer within 45 s" in failures["c"]["why"]
    for text in (log, json.dumps(study.record())):
        assert "Maria" not in text
    assert "Maria Muster, born 1961" in study.deployment.log("b")
    assert "Traceback" in study.deployment.log("b")


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
    assert study.outcome() == {"means": expected(), "seen": [["a", "b", "c"]] * ROUNDS}
    assert study.record()["failures"] == []


@pytest.mark.exhaustive
def test_wait_goes_on_with_nodes_that_were_restarted_between_two_rounds(study):
    """Without a key they come back under other addresses; ``test_provision.py`` has one with a key.

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
    assert study.outcome() == {"means": expected(), "seen": [["a", "b", "c"]] * ROUNDS}


@pytest.mark.exhaustive
def test_two_undisturbed_runs_at_once_are_the_plain_loop(study):
    """``test_ended_runs.py`` has two of which one is stopped, and the audit log."""

    def run(number):
        results = study.folder / f"results-{number}"
        ended, log = study.deployment.run(study.app, results=str(results))
        assert ended.succeeded, log + study.deployment.logs()
        [folder] = results.iterdir()
        means = pickle.loads((folder / "means.pkl").read_bytes())
        assert means == {"means": expected(), "seen": [["a", "b", "c"]] * ROUNDS}
        return json.loads((folder / "run.json").read_text())["run_id"]

    with ThreadPoolExecutor() as pool:
        assert len(set(pool.map(run, (1, 2)))) == 2
