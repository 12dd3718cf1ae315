"""A real Flower deployment on 127.0.0.1: SuperLink and SuperNodes, to be killed and restarted."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
from hanging import HANGS
from ports import free_port

from flame_flwr.cli.submit import Federation, submit

PROGRAMS = Path(sys.executable).parent
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}


class Deployment:
    """One SuperLink and its SuperNodes, with an ``FLWR_HOME`` of their own.

    Every program is a process group of its own, and is killed by its own id. The nodes in `stock`
    are Flower's own SuperNodes, which start a Python for each message.
    """

    def __init__(self, folder, name="hospitals", stock=("a",)):
        self.folder = folder
        self.name = name
        self.stock = stock
        self.port = free_port()
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        (self.home / "config.toml").write_text(
            f'[superlink.{name}]\naddress = "127.0.0.1:{self.port}"\ninsecure = true\n'
        )
        path = os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", "")])
        own = {"FLWR_HOME": str(self.home), "PATH": path, "FORKED_COMMANDS": "1"}
        self.environment = {**os.environ, **QUIET, **own}
        self.processes = {}
        self.configs = {}

    def __enter__(self):
        self.start_superlink()
        return self

    def __exit__(self, *error):
        for name in list(self.processes):
            self.kill(name)
        for pid in self.running():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def federation(self):
        environment = {key: self.environment[key] for key in (*QUIET, "FLWR_HOME")}
        return Federation(self.name, environment)

    def start_superlink(self):
        self._start(
            "superlink",
            *("flower-superlink", "--insecure", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--database", str(self.folder / "superlink.db")),
            "--disable-runtime-dependency-installation",
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.processes["superlink"].poll() is None:
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=2).is_success:
                    return
            time.sleep(0.1)
        raise TimeoutError(f"the SuperLink did not start:\n{self.log('superlink')}")

    def start_node(self, name, **config):
        """Start a node; without a config, with the one it had before."""
        config = {key.replace("_", "-"): value for key, value in config.items()}
        # Without a sandbox, so that apps of tests may say in files how far they are.
        config = {"name": name, "approval": "none", "sandbox": "off", **config}
        config = self.configs.setdefault(name, config)
        pairs = " ".join(f"{key}={json.dumps(value)}" for key, value in config.items())
        is_stock = name in self.stock
        program = ("flower-supernode",) if is_stock else ("flame-flwr", "node", "start")
        self._start(
            name,
            *(*program, "--insecure", "--superlink", f"127.0.0.1:{self.port}"),
            *("--port", str(free_port()), "--node-config", pairs),
        )

    def _start(self, name, program, *arguments):
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [PROGRAMS / program, *arguments],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
            )

    def kill(self, name, how=signal.SIGKILL):
        """End a program and everything it has started."""
        process = self.processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=30)

    def running(self, program=""):
        """Return the ids of the processes that have this deployment's home, by their command."""
        found, home = [], f"FLWR_HOME={self.home}".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                told = (entry / "environ").read_bytes().split(b"\0")
                if home in told and program in (entry / "cmdline").read_text():
                    found.append(int(entry.name))
        return found

    def log(self, name):
        """Return what a program has printed, without colours."""
        path = self.folder / f"{name}.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        return re.sub(r"\x1b\[[0-9;]*m", "", text)

    def logs(self):
        """Return the last lines of every program, to be shown when a test fails."""
        names = sorted(path.stem for path in self.folder.glob("*.log"))
        return "\n".join(f"--- {name}\n{self.log(name)[-3000:]}" for name in names)

    def flwr(self, command, run_id):
        """Say something about a run to the SuperLink, with Flower's own command."""
        subprocess.run(
            [PROGRAMS / "flwr", command, run_id, self.name],
            env=self.environment,
            check=True,
            timeout=HANGS,
            capture_output=True,
        )

    def run(self, app, on_line=None, **config):
        """Run an app; return whether it succeeded and its log."""
        lines = []

        def heard(line):
            lines.append(line)
            if on_line is not None:
                on_line(line)

        config = {key.replace("_", "-"): value for key, value in config.items()}
        ended = submit(app, self.federation, config, on_line=heard, wait=2.0)
        return ended, "\n".join(lines)
