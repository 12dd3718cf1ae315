"""A federation as ``flame-flwr provision`` writes it, started with its own scripts.

A server and two hospitals run the Long COVID study over TLS with registered keys, while programs
that have no business there try to get in.
"""

import csv
import json
import os
import pickle
import re
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from halta_study import in_process, plain_loop, write_app
from ports import free_port

ROUNDS = 2
NODES = ["hospital-a", "hospital-b"]
pytestmark = pytest.mark.deployed


@pytest.fixture(scope="module")
def hospitals(deployment):
    """The two hospitals with the study's data; the first lets all know how much it has."""
    with (deployment.parties / "hospital-a" / "node.toml").open("a") as file:
        file.write("share-size = true\n")
    with deployment.nodes(*NODES):
        yield deployment


@pytest.fixture(scope="module")
def study(hospitals):
    """The study with two training rounds instead of ten: an answer is a process."""
    return write_app(hospitals.folder / "app", max_iterations=ROUNDS)


def results_of(deployment):
    """The folders of runs that have ended."""
    return {path.parent for path in (deployment.folder / "var" / "results").glob("*/run.json")}


def run_study(deployment, study, *options):
    """Run the study by the command; return the new folder, and what the command printed."""
    before = results_of(deployment)
    said = deployment.submit(study, ",".join(NODES), *options)
    [folder] = results_of(deployment) - before
    return folder, said


@pytest.fixture(scope="module")
def undisturbed(hospitals, study):
    """A run during which others try to get in; its folder and its log."""
    intruders = start_intruders(hospitals)
    folder, said = run_study(hospitals, study, "report=on", "tensorboard=on")
    return folder, said, intruders


def test_the_study_runs_and_nobody_else_gets_in(hospitals, undisturbed):
    folder, said, intruders = undisturbed
    assert "completed" in said, said + hospitals.logs()
    about = json.loads((folder / "run.json").read_text())
    assert about["status"] == "completed"
    assert len(about["files"]) == 5
    assert "patients to train with" in hospitals.log("hospital-b")
    for name, words in intruders.items():
        hospitals.wait_for_log(name, words)
        assert "SuperNode ID" not in hospitals.log(name), name
        assert hospitals.processes[name].wait(timeout=20) == 1, name
    states = hospitals.states()
    assert [states[name] for name in (*NODES, "hospital-c")] == ["online", "online", "registered"]
    hospitals.stop(*intruders)
    for name in NODES:
        [address] = set(re.findall(r"Uvicorn running on (http://127\S+)", hospitals.log(name)))
        asked = httpx.post(
            f"{address}/v1/runtime/acquire-task", headers={"content-type": "application/protobuf"}
        )
        assert asked.status_code == 401, name  # no other program of this host gets a task


def test_it_has_the_plain_loops_numbers(halta, undisturbed):
    folder, _, _ = undisturbed
    there = pickle.loads((folder / "last.pkl").read_bytes())["last"]
    assert json.loads((folder / "run.json").read_text())["rounds"] == ROUNDS + 1
    here = in_process(halta, 2, max_iterations=ROUNDS)
    features, coef, intercept, _ = plain_loop(halta, 2, ROUNDS)
    assert there["features"] == here.aggregate["features"] == features
    for key, plain in (("coef", coef), ("intercept", intercept)):
        np.testing.assert_allclose(there[key], here.aggregate[key], rtol=1e-12)
        # One coefficient of two hospitals is a difference of larger numbers, near zero.
        np.testing.assert_allclose(there[key], plain, rtol=1e-12, atol=1e-15)
    for name in halta[0].RESULT_FILENAMES:
        assert (folder / name).stat().st_size > 0


def test_a_deployment_shows_rounds_and_leaves_a_report(undisturbed):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder, said, _ = undisturbed
    for number in (1, 2, 3):
        found = rf"round {number}: 2 of 2 nodes, [0-9.]+ s, [0-9.]+ kB received"
        assert re.search(found, said), said
    assert re.search(r"round 3: .*: has_converged returned True", said)
    assert re.search(r"evaluation: 2 of 2 nodes, .*accuracy", said)
    assert "━" not in said
    rows = list(csv.DictReader((folder / "history.csv").open(newline="")))
    assert [(row["round"], row["node"]) for row in rows] == [
        (number, node) for number in "123" for node in NODES
    ]
    about = json.loads((folder / "run.json").read_text())
    assert set(about["evaluations"]) == set(about["left"]) == set(NODES)
    assert list(about["sizes"]) == ["hospital-a"]
    assert re.fullmatch(r"2 files, [0-9.]+ kB", about["sizes"]["hospital-a"])
    events = accumulators.EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    for node in NODES:
        shown = {event.step: event.value for event in events.Scalars(f"evaluation/accuracy/{node}")}
        accuracy = about["evaluations"][node]["accuracy"]
        assert shown == {3: pytest.approx(accuracy, rel=1e-6)}
    page = (folder / "report.html").read_text()
    for shown in (*NODES, "has of its own said so", "data:image/svg+xml;base64,", "accuracy"):
        assert shown in page, shown


@pytest.mark.exhaustive
def test_a_killed_node_comes_back_and_goes_on(hospitals, study, undisturbed):
    """Flower takes a minute to let it in again; the run waits, and has the same result.

    ``failures/test_failing_nodes.py`` has one that comes back without a key in ``make test``.
    """
    audit = hospitals.folder / "var" / "hospital-b" / "audit.jsonl"
    before = len(audit.read_text().splitlines())

    def answers():
        lines = [json.loads(line) for line in audit.read_text().splitlines()[before:]]
        return [line["round"] for line in lines if line["answer_to"] == "train"]

    with ThreadPoolExecutor() as pool:
        run = pool.submit(run_study, hospitals, study, "on-failure=wait")
        hospitals.wait_for("the first round", answers)
        process = hospitals.processes.pop("hospital-b")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=15)
        hospitals.start_node("hospital-b")
        deadline = time.monotonic() + 360
        while not run.done() and time.monotonic() < deadline:
            if hospitals.processes["hospital-b"].poll() is not None:
                hospitals.start_node("hospital-b")  # as its systemd unit does
            time.sleep(10)
        again, said = run.result(timeout=1)
    assert "node hospital-b is back; asking it again" in said, said + hospitals.logs()
    about = json.loads((again / "run.json").read_text())
    assert about["failures"] == []
    assert [file["sha256"] for file in about["files"]] == [
        file["sha256"] for file in json.loads((undisturbed[0] / "run.json").read_text())["files"]
    ]


@pytest.mark.exhaustive
def test_a_restarted_server_knows_its_hospitals(hospitals):
    """``failures/test_ended_runs.py`` has one that goes on; ``unit/deploy`` the script's file."""
    hospitals.stop("server")
    hospitals.start_server()
    hospitals.wait_for("all online", lambda: all_online(hospitals, NODES), every=3.0)


def all_online(deployment, names):
    states = deployment.states()  # a process each time
    return {states[name] for name in names} == {"online"}


def test_a_hospital_trusts_nobody_and_another_leaves(hospitals, study):
    trusted = hospitals.parties / "hospital-c" / "trusted-entities.yaml"
    trusted.write_text(f"fpk_1: {ed25519_key()}\n")
    with hospitals.nodes("hospital-c"):  # with the key that an intruder was refused with
        hospitals.wait_for_log("hospital-c", "SuperNode ID")
        said = hospitals.submit(study, "hospital-c", expect=1)
        assert "The FAB could not be verified: no key that this node trusts" in said
        hospitals.wait_for_log("hospital-c", "The FAB could not be verified")
        assert "Start `flwr-clientapp` process" not in hospitals.log("hospital-c")

        keys = hospitals.parties / "server" / "keys"
        node = (keys / "hospital-b.id").read_text().strip()
        hospitals.analyst("flwr", "supernode", "unregister", node, "study")  # as README.md says
        assert hospitals.processes["hospital-b"].wait(timeout=40) == 1
        assert "does not know this node's key" in hospitals.log("hospital-b")
        states = hospitals.states()
        assert [states[name] for name in (*NODES, "hospital-c")] == [
            "online",
            "unregistered",
            "online",
        ]


def ed25519_key():
    key = Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def start_intruders(deployment):
    """Start nodes that must not get in; return what each will say before it ends.

    The third hospital is added and registered here, so that the node that trusts another CA has a
    good key and is refused for the certificate alone.
    """
    folder, parties = deployment.folder, deployment.parties
    deployment.add("hospital-c", folder / "data" / "hospital-2")
    deployment.provision(deployment.file, "--add", "hospital-c")
    register = parties / "server" / "register.sh"
    said = deployment.command("sh", register, "hospital-a", "hospital-c").splitlines()
    assert said[0] == "hospital-a: its key is known already: registered, or shut out before"
    assert said[1].startswith("hospital-c: registered as node")

    other = folder / "other"
    deployment.provision(deployment.file, "--to", other)
    shutil.copytree(parties / "analyst", folder / "impostor")
    shutil.copy(other / "ca" / "ca.pem", folder / "impostor" / "ca.pem")
    command = ("sh", folder / "impostor" / "connect.sh", "flwr", "supernode", "list", "study")
    assert "hospital" not in deployment.command(*command, expect=1)

    shutil.copytree(parties / "hospital-c", folder / "unregistered")
    shutil.copy(other / "hospital-c" / "node.key", folder / "unregistered" / "node.key")
    shutil.copytree(parties / "hospital-c", folder / "wrong-ca")
    shutil.copy(other / "ca" / "ca.pem", folder / "wrong-ca" / "ca.pem")
    for name in ("unregistered", "wrong-ca"):
        more = {"FLAME_PORT": f"{free_port()}", "FLAME_HOME": f"{folder / 'var' / name}"}
        deployment.start(name, folder / name / "start.sh", **more)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        httpx.get(f"http://localhost:{deployment.port}/health")  # in plain text
    program = Path(sys.executable).parent / "flower-supernode"
    where = ("--superlink", f"localhost:{deployment.port}", "--port", free_port())
    ca = ("--root-certificates", parties / "hospital-c" / "ca.pem")
    home = {"FLWR_HOME": f"{folder / 'var' / 'keyless'}"}
    deployment.start("keyless", program, *ca, *where, "--isolation", "process", **home)
    return {
        "unregistered": "Failed to activate SuperNode",
        "keyless": "All SuperNodes must be registered",
        "wrong-ca": "CERTIFICATE_VERIFY_FAILED",
    }
