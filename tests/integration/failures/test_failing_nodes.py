"""Failing, late and restarted nodes of a real deployment: nothing is lost, nothing hangs."""

import json
import os
import pickle
import signal
from concurrent.futures import ThreadPoolExecutor

from deployed_app import ROUNDS, expected


def test_skip_goes_on_without_a_failing_node(study):
    (study.deployment.folder / "b" / "fail-2").touch()
    ended, log = study.run(on_failure="skip")
    assert ended.succeeded, log + study.deployment.logs()
    everyone = ["a", "b", "c"]
    assert study.outcome() == {
        "means": expected(missing={("b", 2)}),
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
    assert study.outcome() == {"means": expected(), "seen": [["a", "b", "c"]] * ROUNDS}
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
    assert study.outcome() == {"means": expected(), "seen": [["a", "b", "c"]] * ROUNDS}


def test_a_late_answer_is_counted_in_no_round(study):
    study.hold("c", "round-2")
    end = study.begin(on_failure="skip", round_timeout=45)
    study.reached("c", "round-2")
    study.reached("a", "round-3")
    study.release("c", "round-2")
    ended, log = end()
    assert ended.succeeded, log + study.deployment.logs()
    assert study.outcome()["means"] == expected(missing={("c", 2)})
    [failure] = study.record()["failures"]
    assert "timeout: no answer within 45 s" in failure["why"]


def test_undisturbed_runs_at_once_are_the_plain_loop_and_their_answers_stand_in_the_audit_log(
    study,
):
    """Two runs at once do not see each other."""

    def run(number):
        results = study.folder / f"results-{number}"
        ended, log = study.deployment.run(study.app, results=str(results))
        assert ended.succeeded, log + study.deployment.logs()
        [folder] = results.iterdir()
        means = pickle.loads((folder / "means.pkl").read_bytes())
        assert means == {"means": expected(), "seen": [["a", "b", "c"]] * ROUNDS}
        return json.loads((folder / "run.json").read_text())["run_id"]

    file = study.deployment.folder / "audit-a.jsonl"
    before = len(file.read_text().splitlines()) if file.exists() else 0
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(run, (1, 2)))
    lines = [json.loads(line) for line in file.read_text().splitlines()[before:]]
    for run_id in runs:
        assert [(line["answer_to"], line["round"]) for line in lines if line["run"] == run_id] == [
            ("get_properties", None),
            *[("train", number) for number in range(1, ROUNDS + 1)],
        ]
    assert {line["run"] for line in lines} == set(runs)
    assert {line["node"] for line in lines} == {"a"}
    assert all(line["app"].startswith("tests.study.1.0.0.") for line in lines)
    assert all(line["result"] == "float" for line in lines if line["round"])
