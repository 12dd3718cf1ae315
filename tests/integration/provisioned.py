"""A federation as ``flame-flwr provision`` writes it, started with its own scripts."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import contextmanager, suppress
from pathlib import Path

from ports import free_port

from flame_flwr.cli.submit import Federation, submit

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

PRELOAD = "pandas,sklearn.linear_model,formulaic,statsmodels.genmod.families"
PRELOAD += ",flame_flwr.regression.glm"
"""What the analyses of the tests need; each message would import it, for 1.5 s of a core."""

IDENTIFIED = ("far", "hospital-a", "near")
"""Those with identities for secure sums; the last one lets nothing else out."""


class Provisioned:
    """What was provisioned, and the processes that were started from it."""

    def __init__(self, folder):
        self.folder = folder
        self.parties = folder / "study"
        self.file = folder / "study.toml"
        self.port = free_port()
        self.processes = {}
        self.secrets = {}
        self.file.write_text(
            FEDERATION.format(venv=sys.prefix, port=self.port, home=folder / "var")
        )
        (folder / "var").mkdir()

    def add(self, name, data):
        with self.file.open("a") as file:
            file.write(
                HOSPITAL.format(name=name, data=data, port=free_port(), home=self.folder / "var")
            )

    def configure(self, name, **config):
        """Give a node another config than the one that was provisioned, but for its folders."""
        file = self.parties / name / "node.toml"
        kept = tomllib.loads(file.read_text())
        kept = {key: kept[key] for key in ("name", "state-dir", "audit-log", "approval")}
        kept |= {key.replace("_", "-"): value for key, value in config.items()}
        file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in kept.items()))

    def command(self, *command, expect=0, timeout=120):
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
        return self.command(Path(sys.executable).parent / "flame-flwr", "provision", *arguments)

    def start(self, name, *command, **more):
        if name in self.processes:  # of another config, or of another test
            self.stop(name)
        with (self.folder / f"{name}.log").open("a") as log:
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
        """Start the SuperLink, which alone has the secrets of the store for results."""
        up, before = "Uvicorn running on https://", self.log("server")
        self.start("server", self.parties / "server" / "start.sh", **self.secrets)
        self.wait_for(f"server says {up}", lambda: self.log("server").count(up) > before.count(up))

    def start_node(self, name):
        self.start(name, self.parties / name / "start.sh", FLAME_PRELOAD=PRELOAD)

    @contextmanager
    def nodes(self, *names, **config):
        """Have nodes online within the block; with a config where it is not as provisioned."""
        for name in names:
            if config:
                self.configure(name, **config)
            self.start_node(name)
        try:
            yield self
        finally:
            self.stop(*(name for name in names if name in self.processes))

    @contextmanager
    def third(self):
        """Have the third hospital with an identity online, too, where it takes any run."""
        file = self.parties / IDENTIFIED[-1] / "node.toml"
        strict = file.read_text()
        try:
            with self.nodes(IDENTIFIED[-1], data=tomllib.loads(strict)["data"]):
                yield self
        finally:
            file.write_text(strict)

    def log(self, name):
        file = self.folder / f"{name}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def logs(self):
        files = sorted(self.folder.glob("*.log"))
        return "".join(f"\n--- {file.name}\n{file.read_text()[-3000:]}" for file in files)

    def wait_for(self, what, condition, seconds=90.0, every=0.3):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}{self.logs()}"
            time.sleep(every)

    def wait_for_log(self, name, words):
        self.wait_for(f"{name} says {words}", lambda: words in self.log(name))

    def identify(self, folder):
        """Give hospitals identities, as their pages say, and a number as data: 1.0, 2.0, 3.0."""
        program, sent = Path(sys.executable).parent / "flame-flwr", folder / "sent"
        sent.mkdir()
        for place, name in enumerate(IDENTIFIED):
            data, party = folder / name, self.parties / name
            data.mkdir()
            (data / "value").write_text(str(place + 1.0))
            (data / "folder").write_text(str(data))
            config = {"data": str(data), "identity_key": str(party / "own" / "identity.key")}
            config |= {"secure": "require"} if name == IDENTIFIED[-1] else {}
            (party / "own").mkdir()
            self.configure(name, **config, peers=str(party / "peers.toml"))
            said = self.command(program, "node", "identity", "--node", party)
            assert "fingerprint: " in said
            assert (party / "own" / "identity.key").stat().st_mode & 0o777 == 0o600
            (party / "own" / f"{name}.pub").rename(sent / f"{name}.pub")
        federation = self.folder / "of secure sums.toml"
        head, *hospitals = self.file.read_text().split("[[hospitals]]")
        named = [each for each in hospitals if any(f'name = "{n}"' in each for n in IDENTIFIED)]
        federation.write_text("[[hospitals]]".join([head, *named]))
        self.provision(federation, "--to", self.parties, "--identities", sent)
        nodes = [self.parties / name for name in IDENTIFIED]
        assert len({self.command(program, "node", "peers", "--node", node) for node in nodes}) == 1

    def analyst(self, *command, **more):
        return self.command("sh", self.parties / "analyst" / "connect.sh", *command, **more)

    def submit(self, app, nodes, *options, **more):
        """Run an app as the analyst's page says; return what the command printed."""
        pairs = ("data=", f"nodes={nodes}", f"results={self.folder / 'var' / 'results'}", *options)
        options = [part for pair in pairs for part in ("--run-config", pair)]
        return self.analyst("flame-flwr", "submit", app, "study", *options, timeout=300, **more)

    def run(self, app, nodes, **config):
        """Run an app without the command's process; return how it ended, and its log."""
        self.analyst("true")  # writes the connection down, whichever test comes first
        lines, home = [], self.parties / "analyst" / "flower"
        there = Federation("study", {"FLWR_HOME": str(home)})
        config = {key.replace("_", "-"): value for key, value in config.items()}
        ended = submit(app, there, {"nodes": nodes, **config}, on_line=lines.append)
        return ended, "\n".join(lines)

    def states(self):
        """The name and the status of every node that is, or was, registered or online."""
        said = self.analyst("flwr", "supernode", "list", "study", "--format", "json")
        status = {str(node["node-id"]): node["status"] for node in json.loads(said)["nodes"]}
        ids = {
            file.read_text().strip(): file.stem
            for file in (self.parties / "server" / "keys").glob("*.id")
        }
        return {ids[number]: each for number, each in status.items() if number in ids}

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
    kept = {key: value for key, value in os.environ.items() if key != "FLWR_HOME"}
    return {**kept, "NO_COLOR": "1", "FORKED_COMMANDS": "1"}
