"""A federation as ``flame-flwr provision`` writes it, started with its own scripts.

One deployment for all: a server and two hospitals run the Long COVID study over TLS with
registered keys, while programs that have no business there try to get in.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ports import free_port

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "examples" / "halta"
pytestmark = pytest.mark.simulation

FEDERATION = """
name = "study"
venv = "{venv}"
[server]
host = "localhost"
listen = "127.0.0.1"
port = {port}
home = "{home}/server"
results = "{home}/results"
"""
HOSPITAL = """
[[hospitals]]
name = "{name}"
data = "{data}"
port = {port}
home = "{home}/{name}"
"""


class Deployment:
    """What was provisioned, and the processes that were started from it."""

    def __init__(self, folder):
        self.folder = folder
        self.parties = folder / "study"
        self.file = folder / "study.toml"
        self.port = free_port()
        self.processes = {}
        self.file.write_text(
            FEDERATION.format(venv=sys.prefix, port=self.port, home=folder / "var")
        )
        (folder / "var").mkdir()

    def add(self, name, data):
        with self.file.open("a") as file:
            file.write(
                HOSPITAL.format(name=name, data=data, port=free_port(), home=self.folder / "var")
            )

    def run(self, *command, expect=0, timeout=60):
        done = subprocess.run(
            [str(part) for part in command],
            cwd="/",
            env=environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        said = done.stdout + done.stderr
        assert expect is None or done.returncode == expect, said + self.logs()
        return said

    def provision(self, *arguments):
        return self.run(Path(sys.executable).parent / "flame-flwr", "provision", *arguments)

    def start(self, name, *command, **more):
        with (self.folder / f"{name}.log").open("w") as log:
            self.processes[name] = subprocess.Popen(
                [str(part) for part in command],
                cwd="/",
                env={**environment(), **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_server(self):
        self.start("server", self.parties / "server" / "start.sh")
        self.wait_for_log("server", "Uvicorn running on https://")

    def start_node(self, name):
        self.start(name, self.parties / name / "start.sh")

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def logs(self):
        files = sorted(self.folder.glob("*.log"))
        return "".join(f"\n--- {file.name}\n{file.read_text()[-3000:]}" for file in files)

    def wait_for(self, what, condition, seconds=90.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}{self.logs()}"
            time.sleep(0.3)

    def wait_for_log(self, name, words):
        self.wait_for(f"{name} says {words}", lambda: words in self.log(name))

    def analyst(self, *command, **more):
        return self.run("sh", self.parties / "analyst" / "connect.sh", *command, **more)

    def submit(self, nodes, config=(), **more):
        pairs = [part for pair in config for part in ("--run-config", pair)]
        return self.analyst(
            *("flame-flwr", "submit", self.folder / "app", "study"),
            *("--run-config", "data=", "--run-config", f"nodes={nodes}"),
            *("--run-config", f"results={self.folder / 'var' / 'results'}"),
            *pairs,
            timeout=300,
            **more,
        )

    def states(self):
        """The status of every registered node, sorted."""
        said = self.analyst("flwr", "supernode", "list", "study", "--format", "json")
        return sorted(node["status"] for node in json.loads(said)["nodes"])

    def stop(self, *names):
        processes = [self.processes.pop(name) for name in names]
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=15)


def environment():
    quiet = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.5", "NO_COLOR": "1"}
    return {key: value for key, value in os.environ.items() if key != "FLWR_HOME"} | quiet


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    """A server and two hospitals, registered and started."""
    folder = tmp_path_factory.mktemp("a federation's folder")
    subprocess.run(
        [sys.executable, "-m", "halta.synthetic", str(folder / "data")],
        cwd=STUDY,
        check=True,
        timeout=60,
        stdout=subprocess.DEVNULL,
    )
    federation = Deployment(folder)
    for letter, number in (("a", 0), ("b", 1)):
        federation.add(f"hospital-{letter}", folder / "data" / f"hospital-{number}")
    federation.provision(federation.file)
    shortened_study(folder)
    try:
        federation.start_server()
        said = federation.run("sh", federation.parties / "server" / "register.sh")
        assert re.fullmatch(r"(hospital-[ab]: registered as node \d+\n){2}", said)
        federation.start_node("hospital-a")
        federation.start_node("hospital-b")
        yield federation
    finally:
        federation.stop(*reversed(federation.processes))


def test_the_study_runs_and_nobody_else_gets_in(deployment):
    intruders = start_intruders(deployment)
    said = deployment.submit("hospital-a,hospital-b")
    assert "completed" in said, said + deployment.logs()
    [run] = (deployment.folder / "var" / "results").glob("*/run.json")
    about = json.loads(run.read_text())
    assert about["status"] == "completed"
    assert len(about["files"]) == 4
    assert "patients to train with" in deployment.log("hospital-b")
    for name, (words, ends) in intruders.items():
        deployment.wait_for_log(name, words)
        assert "SuperNode ID" not in deployment.log(name), name
        if ends:
            assert deployment.processes[name].wait(timeout=20) == 1, name
    assert deployment.states() == ["online", "online", "registered"]
    deployment.stop(*intruders)


def test_a_registered_node_that_is_killed_comes_back_with_its_key_and_goes_on(deployment):
    """Flower takes a minute to let it in again; the run waits, and has the same result."""
    [undisturbed] = [path.parent for path in results_of(deployment)]
    audit = deployment.folder / "var" / "hospital-b" / "audit.jsonl"
    before = len(audit.read_text().splitlines())

    def answers():
        lines = [json.loads(line) for line in audit.read_text().splitlines()[before:]]
        return [line["round"] for line in lines if line["answer_to"] == "train"]

    with ThreadPoolExecutor() as pool:
        run = pool.submit(deployment.submit, "hospital-a,hospital-b", config=["on-failure=wait"])
        deployment.wait_for("the first round", answers)
        process = deployment.processes.pop("hospital-b")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=15)
        deployment.start_node("hospital-b")
        deadline = time.monotonic() + 240
        while not run.done() and time.monotonic() < deadline:
            if deployment.processes["hospital-b"].poll() is not None:
                deployment.start_node("hospital-b")  # as its systemd unit does
            time.sleep(5)
        said = run.result(timeout=1)
    assert "node hospital-b is back; asking it again" in said, said + deployment.logs()
    [again] = [path.parent for path in results_of(deployment) if path.parent != undisturbed]
    about = json.loads((again / "run.json").read_text())
    assert about["failures"] == []
    assert [file["sha256"] for file in about["files"]] == [
        file["sha256"] for file in json.loads((undisturbed / "run.json").read_text())["files"]
    ]


def results_of(deployment):
    return (deployment.folder / "var" / "results").glob("*/run.json")


def test_a_restarted_server_a_careful_hospital_and_one_that_leaves(deployment):
    deployment.stop("server")
    deployment.start_server()
    trusted = deployment.parties / "hospital-c" / "trusted-entities.yaml"
    trusted.write_text(f"fpk_1: {ed25519_key()}\n")
    deployment.start_node("hospital-c")  # with the key that an intruder was refused with
    deployment.wait_for("all online", lambda: deployment.states() == ["online"] * 3)
    said = deployment.submit("hospital-c", expect=1)
    assert "no hello: The FAB could not be verified" in said
    deployment.wait_for_log("hospital-c", "The FAB could not be verified")
    assert "Start `flwr-clientapp` process" not in deployment.log("hospital-c")

    node = (deployment.parties / "server" / "keys" / "hospital-b.id").read_text().strip()
    deployment.analyst("flwr", "supernode", "unregister", node, "study")  # as README.md says
    assert deployment.processes["hospital-b"].wait(timeout=40) == 0
    assert deployment.states() == ["online", "online", "unregistered"]


def ed25519_key():
    key = Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def start_intruders(deployment):
    """Start nodes that must not get in; return what each will say, and whether it then ends.

    The third hospital is added and registered here, so that the node that trusts another CA has a
    good key and is refused for the certificate alone.
    """
    folder, parties = deployment.folder, deployment.parties
    deployment.add("hospital-c", folder / "data" / "hospital-2")
    deployment.provision(deployment.file, "--add", "hospital-c")
    register = parties / "server" / "register.sh"
    said = deployment.run("sh", register)
    known = "hospital-{}: its key is known already: registered, or shut out before\n"
    assert said.startswith(known.format("a") + known.format("b") + "hospital-c: registered as node")

    other = folder / "other"
    deployment.provision(deployment.file, "--to", other)
    shutil.copytree(parties / "analyst", folder / "impostor")
    shutil.copy(other / "ca" / "ca.pem", folder / "impostor" / "ca.pem")
    command = ("sh", folder / "impostor" / "connect.sh", "flwr", "supernode", "list", "study")
    assert "hospital" not in deployment.run(*command, expect=1)

    shutil.copytree(parties / "hospital-c", folder / "unregistered")
    shutil.copy(other / "hospital-c" / "node.key", folder / "unregistered" / "node.key")
    shutil.copytree(parties / "hospital-c", folder / "wrong-ca")
    shutil.copy(other / "ca" / "ca.pem", folder / "wrong-ca" / "ca.pem")
    for name in ("unregistered", "wrong-ca"):
        more = {"FLAME_PORT": f"{free_port()}", "FLAME_HOME": f"{folder / 'var' / name}"}
        deployment.start(name, folder / name / "start.sh", **more)
    ca = parties / "hospital-c" / "ca.pem"
    for name, how in {
        "plaintext": ("--insecure",),
        "keyless": ("--root-certificates", ca),
    }.items():
        program = Path(sys.executable).parent / "flower-supernode"
        # The scripts find Flower's other programs by themselves, these are started without one.
        path = os.pathsep.join([str(program.parent), os.environ.get("PATH", "")])
        where = ("--superlink", f"localhost:{deployment.port}", "--port", free_port())
        more = {"FLWR_HOME": f"{folder / 'var' / name}", "PATH": path}
        deployment.start(name, program, *where, *how, **more)
    return {
        "unregistered": ("Failed to activate SuperNode", True),
        "keyless": ("All SuperNodes must be registered", True),
        "wrong-ca": ("CERTIFICATE_VERIFY_FAILED", True),
        "plaintext": ("Connection attempt failed", False),  # it goes on trying
    }


def shortened_study(folder):
    """The study with one training round instead of ten: a round takes some seconds."""
    app = shutil.copytree(STUDY, folder / "app", ignore=shutil.ignore_patterns("pictures", "tests"))
    file = app / "halta" / "app.py"
    code = file.read_text()
    file.write_text(
        code.replace("query=[],", 'query=[],\n    aggregator_kwargs={"max_iterations": 1},')
    )
