"""Runs that end before they are done on a real deployment: what they say, and resuming them."""

import json
import pickle
import re
import time

import pytest
from deployed_app import ROUNDS, expected

from flame_flwr.cli.submit import SubmitError

pytestmark = pytest.mark.failures


def test_resume_after_server_app_and_superlink_have_died(study):
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
    study.hold("b", "round-3")
    end = study.begin(checkpoint=str(checkpoint), resume=True)
    study.reached("b", "round-3")
    deployment.kill("superlink")
    study.release("b", "round-3")
    lost, _ = end()
    assert isinstance(lost, SubmitError)
    deployment.start_superlink()
    ended, log = study.run(checkpoint=str(checkpoint), resume=True)
    assert ended.succeeded, log + deployment.logs()
    assert "going on after round 2" in log
    assert study.outcome() == study.undisturbed()
    assert not checkpoint.exists()


def test_a_stopped_run_does_not_disturb_another(study):
    """The other begins while a node of the first has not answered: it does one at a time."""
    deployment, lines = study.deployment, []
    audit = deployment.folder / "audit-a.jsonl"
    before = len(audit.read_text().splitlines()) if audit.exists() else 0
    study.hold("a", "round-2")
    end = study.begin(on_line=lines.append, analysis_id="stopped")
    study.reached("a", "round-2")
    other = study.folder / "other"
    others = []
    end_other = study.begin(on_line=others.append, results=str(other))
    study.wait_until(lambda: "started run" in "\n".join(others))
    stop(study, end, lines)
    record = study.record()
    assert (record["status"], record["rounds"]) == ("failed", 1)
    assert "stopped" in record["error"]
    [folder] = study.results.iterdir()
    assert pickle.loads((folder / "rescue.pkl").read_bytes()) == expected(study.nodes)[:1]
    assert not list(folder.rglob(".*"))

    ended, log = end_other()
    assert ended.succeeded, log + deployment.logs()
    assert study.outcome(other) == study.undisturbed()
    [file] = other.glob("*/run.json")
    undisturbed = str(json.loads(file.read_text())["run_id"])
    answers = answers_of(audit, before)
    hello, rounds = ("get_properties", None), [("train", k) for k in range(1, ROUNDS + 1)]
    assert answers[undisturbed] == [hello, *rounds]
    assert answers[run_id(lines)][:2] == [hello, rounds[0]]
    assert set(answers) == {undisturbed, run_id(lines)}


def stop(study, end, lines):
    """Stop a run whose node a is held in round 2, and let the node go on."""
    study.deployment.flwr("stop", run_id(lines))
    started = time.monotonic()
    ended, _ = end()
    while not list(study.results.glob("*/run.json")):
        assert time.monotonic() - started < 30, study.deployment.logs()
        time.sleep(0.1)
    study.release("a", "round-2")
    assert ended.status == "finished:stopped"


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
