"""Runs that end before they are done on a real deployment: what they say, and resuming them."""

import json
import pickle
import re
import time

import pytest
from deployed_app import ROUNDS, expected

from flame_flwr.cli.submit import SubmitError

pytestmark = pytest.mark.failures


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
    assert study.outcome() == {"means": expected(), "seen": [["a", "b", "c"]] * ROUNDS}
    assert not checkpoint.exists()


def test_of_two_runs_at_once_one_is_stopped_with_all_it_has_and_the_other_is_the_plain_loop(study):
    """The other one begins while a node of the first has not answered: a node does one at a time.

    The stopped one cannot be resumed without all that it kept.
    """
    deployment, lines = study.deployment, []
    audit = deployment.folder / "audit-a.jsonl"
    before = len(audit.read_text().splitlines()) if audit.exists() else 0
    checkpoint = study.folder / "study.checkpoint"
    mine = {"checkpoint": str(checkpoint), "analysis_id": "stopped"}
    study.hold("a", "round-2")
    end = study.begin(on_line=lines.append, **mine)
    study.reached("a", "round-2")
    other = study.folder / "other"
    others = []
    end_other = study.begin(on_line=others.append, results=str(other))
    study.wait_until(lambda: "started run" in "\n".join(others))
    started, stopped = time.monotonic(), run_id(lines)
    deployment.flwr("stop", stopped)
    ended, _ = end()
    while not list(study.results.glob("*/run.json")):
        assert time.monotonic() - started < 30, deployment.logs()
        time.sleep(0.1)
    study.release("a", "round-2")
    assert ended.status == "finished:stopped"
    record = study.record()
    assert (record["status"], record["rounds"]) == ("failed", 1)
    assert "stopped" in record["error"]
    [folder] = study.results.iterdir()
    assert pickle.loads((folder / "rescue.pkl").read_bytes()) == expected()[:1]
    assert not list(folder.rglob(".*"))

    ended, log = end_other()
    assert ended.succeeded, log + deployment.logs()
    [file] = other.glob("*/means.pkl")
    assert pickle.loads(file.read_bytes()) == {
        "means": expected(),
        "seen": [["a", "b", "c"]] * ROUNDS,
    }
    undisturbed = json.loads((file.parent / "run.json").read_text())["run_id"]
    answers = answers_of(audit, before)
    hello, rounds = ("get_properties", None), [("train", k) for k in range(1, ROUNDS + 1)]
    assert answers[str(undisturbed)] == [hello, *rounds]
    assert answers[stopped][:2] == [hello, rounds[0]]
    assert set(answers) == {str(undisturbed), stopped}

    cannot_be_resumed_without_all_it_kept(study, checkpoint, mine)


def run_id(lines):
    [found] = re.findall(r"started run (\d+)", "\n".join(lines))
    return found


def answers_of(audit, before):
    """What node a has answered since, by run; every line says what it must."""
    answers = {}
    for line in map(json.loads, audit.read_text().splitlines()[before:]):
        assert line["node"] == "a"
        assert line["app"].startswith("tests.study.1.0.0.")
        if line["round"]:
            assert line["result"] == "float"
        answers.setdefault(str(line["run"]), []).append((line["answer_to"], line["round"]))
    return answers


def cannot_be_resumed_without_all_it_kept(study, checkpoint, config):
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: len(whole) // 2])
    ended, log = study.run(resume=True, **config)
    assert not ended.succeeded
    assert "is damaged" in log
    checkpoint.write_bytes(whole)
    states = list((study.deployment.folder / "state-c" / "analyses").glob("*/c/after-*"))
    assert states
    for state in states:
        state.unlink()
    ended, log = study.run(resume=True, **config)
    assert not ended.succeeded
    assert "c: no analyzer of round 1; its `state-dir` was cleaned" in log
