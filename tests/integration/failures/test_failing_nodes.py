"""Failing, late and restarted nodes of a real deployment: nothing is lost, nothing hangs."""

import json
import os
import signal
import time

import pytest
from deployed_app import expected

from flame_flwr.watch.watched_runs import WatchedRuns

pytestmark = pytest.mark.failures


def test_skip_goes_on_and_counts_no_late_answer(study):
    """In round 1 one node is late, in round 2 the other fails; both are back afterwards."""
    study.hold("a", "round-1")
    (study.deployment.folder / "b" / "fail-2").touch()
    end = study.begin(on_failure="skip", round_timeout=45, min_nodes=1)
    study.reached("a", "round-1")
    study.reached("b", "round-2")
    study.release("a", "round-1")
    ended, log = end()
    assert ended.succeeded, log + study.deployment.logs()
    assert study.outcome() == {
        "means": expected(study.nodes, missing={("a", 1), ("b", 2)}),
        "seen": [["b"], ["a"], ["a", "b"]],
    }
    failures = {each["node"]: each for each in study.record()["failures"]}
    assert {node: each["round"] for node, each in failures.items()} == {"a": 1, "b": 2}
    assert "ValueError at app.py:" in failures["b"]["why"]
    assert "timeout: no answer within 45 s" in failures["a"]["why"]
    for text in (log, json.dumps(study.record())):
        assert "Maria" not in text
    assert "Maria Muster, born 1961" in study.deployment.log("b")
    assert "Traceback" in study.deployment.log("b")


def test_wait_goes_on_where_killed_nodes_were(study):
    """One client is killed before its state is saved, one after, with its SuperNode.

    The latter is Flower's own. That a client of such a node has died is known after a minute, so it
    is shown below.
    """
    killed_and_back(study, {"a": "saved-2", "b": "round-2"}, restarted="a")


def killed_and_back(study, places, restarted):
    """Kill every node at its place, and have the same numbers as if none had been."""
    for name, place in places.items():
        study.hold(name, place)
    end = study.begin(on_failure="wait")
    for name, place in places.items():
        process = study.reached(name, place)
        if name == restarted:
            study.deployment.kill(name)
        else:
            os.kill(process, signal.SIGKILL)
    for name, place in places.items():
        study.release(name, place)
    study.deployment.start_node(restarted)
    ended, log = end()
    assert ended.succeeded, log + study.deployment.logs()
    assert study.outcome() == study.undisturbed()
    assert study.record()["failures"] == []


@pytest.mark.exhaustive
@pytest.mark.usefixtures("third")
def test_who_watches_sees_which_node_has_gone(study):
    """Of three nodes one is stopped, long before Flower's minute without a sign of it is over."""
    for name in study.nodes:
        study.hold(name, "round-2")
    end = study.begin(on_failure="wait")
    for name in study.nodes:
        study.reached(name, "round-2")
    runs = WatchedRuns(str(study.results))
    assert states(runs) == dict.fromkeys("abc", "computing")
    study.deployment.kill("c", signal.SIGTERM)
    until(runs, "c", "gone", within=30)
    assert states(runs) == {"a": "computing", "b": "computing", "c": "gone"}
    study.release("a", "round-2")
    until(runs, "a", "answered", within=30)
    for name in "bc":
        study.release(name, "round-2")
    study.deployment.start_node("c")
    ended, log = end()
    assert ended.succeeded, log + study.deployment.logs()
    assert runs.runs()[0].status == "completed"
    [folder] = study.results.iterdir()
    assert not (folder / "live.json").exists()


def states(runs):
    return {node.name: node.state for node in runs.run(runs.newest()).nodes}


def until(runs, node, state, within):
    deadline = time.monotonic() + within
    while states(runs)[node] != state:
        assert time.monotonic() < deadline, states(runs)
        time.sleep(0.1)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("third")
def test_wait_goes_on_with_nodes_restarted_between_rounds(study):
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
    assert study.outcome() == study.undisturbed()
