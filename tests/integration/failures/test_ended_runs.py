"""Runs that end before they are done on a real deployment: what they say, and resuming them."""

import json
import pickle
import re
import threading
import time

from deployed_app import ROUNDS, expected

from flame_flwr.engine.submit import SubmitError


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


def test_a_failed_run_says_no_text_and_half_a_checkpoint_and_a_node_without_state_are_refused(
    study,
):
    deployment, checkpoint = study.deployment, study.folder / "study.checkpoint"
    (deployment.folder / "b" / "fail-2").touch()
    ended, log = study.run(checkpoint=str(checkpoint))
    assert not ended.succeeded
    assert "node b failed in round 2: ValueError at app.py:" in log
    for text in (log, json.dumps(study.record())):
        assert "Maria" not in text
    assert "Maria Muster, born 1961" in deployment.log("b")
    assert "Traceback" in deployment.log("b")
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
    assert pickle.loads((folder / "rescue.pkl").read_bytes()) == expected()[:1]
    assert not list(folder.rglob(".*"))
