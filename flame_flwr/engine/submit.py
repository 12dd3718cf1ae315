"""Start a run of a Flower app, follow it, and tell whether it succeeded.

``flwr run --stream`` may exit with 0 although the run failed; this asks the SuperLink.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from flame_flwr.engine.stopped import Followed
from flame_flwr.engine.tied import tied
from flame_flwr.engine.workdir import SCRATCH
from flame_flwr.errors import FlameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Federation", "SubmitError", "SubmittedRun", "free_port", "simulation", "submit"]

_STARTED = re.compile(r"Successfully started run (\d+)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_START_LIMIT = 60.0
_STOP_LIMIT = 20.0


class SubmitError(FlameError, RuntimeError):
    """A run could not be started, or its end could not be learnt."""


@dataclass(frozen=True, slots=True)
class Federation:
    """Where a run goes.

    Parameters
    ----------
    name : str
        The connection's name in Flower's ``config.toml``.
    environment : dict of str to str
        Added to the environment of ``flwr``.
    nodes : int or None
        How many nodes to simulate; ``None`` leaves it to the federation.
    """

    name: str
    environment: Mapping[str, str]
    nodes: int | None = None


@dataclass(frozen=True, slots=True)
class SubmittedRun:
    """A run that has ended.

    Parameters
    ----------
    run_id : str
        Flower's.
    status : str
        Flower's, such as ``finished:completed``.
    details : str
        What Flower says of a failure.
    """

    run_id: str
    status: str
    details: str

    @property
    def succeeded(self) -> bool:
        """Whether the run completed."""
        return self.status == "finished:completed"


def submit(
    app: Path,
    federation: Federation,
    run_config: Mapping[str, Any] | None = None,
    on_line: Callable[[str], object] = print,
) -> SubmittedRun:
    """Run an app and follow its log until it ends. Ctrl-C, or any exception here, stops the run.

    Then the last line says where the files of the run are, with its last aggregate.

    Parameters
    ----------
    app : Path
        The app's folder, with its ``pyproject.toml``.
    federation : Federation
        Where it runs.
    run_config : dict, optional
        Overrides of the app's config; values are strings, numbers or booleans.
    on_line : callable
        Gets every line of the log.

    Raises
    ------
    SubmitError
        ``flwr run`` did not start the run, or the SuperLink does not know how it ended.
    """
    command = ["flwr", "run", str(app), federation.name, "--stream"]
    if federation.nodes is not None:
        command += ["--federation-config", f"num-supernodes={federation.nodes}"]
    if run_config:
        pairs = " ".join(f"{key}={json.dumps(value)}" for key, value in run_config.items())
        command += ["--run-config", pairs]
    environment = _environment(federation.environment)
    run_id, followed = "", Followed()
    try:
        with (
            tied() as mark,
            _started(command, {**environment, **mark}, stdout=subprocess.PIPE) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                text = line.rstrip("\n")
                found = _STARTED.search(_COLOURS.sub("", text))
                run_id = found.group(1) if found else run_id
                followed.note(text)
                on_line(text)
    except BaseException:
        if run_id:
            on_line(f"stopping run {run_id}")
            _output(["flwr", "stop", run_id, federation.name], environment)
            on_line(followed.kept())
        raise
    if not run_id:
        raise SubmitError(f"flwr run did not start a run of {app}; its last words are above")
    return _ended(run_id, federation, environment)


@contextmanager
def simulation(nodes: int, *folders: str) -> Iterator[Federation]:
    """Have a SuperLink of one's own that simulates nodes, on a free port, within the block.

    Nothing of it stays: it has a home folder of its own, and is stopped at the end. All of its
    processes end with this one, also where it is killed.

    Parameters
    ----------
    nodes : int
        How many nodes to simulate.
    *folders : str
        Temporary ones of the caller's, that are removed where this process is killed.

    Raises
    ------
    SubmitError
        It did not start; the message has the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="flame-flwr-") as home, tied(home, *folders) as mark:
        environment = {"FLWR_HOME": home, SCRATCH: home, **mark}
        port = free_port()
        config = f'[superlink.own]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
        (Path(home) / "config.toml").write_text(config)
        command = ["flower-superlink", "--insecure", "--simulation", "--host", "127.0.0.1"]
        command += ["--port", str(port), "--disable-runtime-dependency-installation"]
        log_file = Path(home) / "superlink.log"
        with (
            log_file.open("wb") as log,
            _started(command, _environment(environment), stdout=log) as process,
        ):
            _wait_for(process, port, log_file)
            try:
                yield Federation("own", environment, nodes)
            finally:
                _see_runs_ended(process.pid)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment, with Flower's programs of this Python on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, **_QUIET, "PATH": path, **more}


@contextmanager
def _started(
    command: list[str], environment: Mapping[str, str], stdout: Any
) -> Iterator[subprocess.Popen[str]]:
    """Start a program of this Python's environment and see it ended when the block ends."""
    program = shutil.which(command[0], path=environment["PATH"]) or command[0]
    process = subprocess.Popen(  # noqa: S603  (our own arguments, no shell)
        [program, *command[1:]],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
        start_new_session=True,  # Ctrl-C is this process's: it ends the others in order
    )
    try:
        yield process
        if stdout == subprocess.PIPE:
            process.wait(timeout=_START_LIMIT)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=20)
        if process.stdout is not None:
            process.stdout.close()


def _wait_for(process: subprocess.Popen[str], port: int, log_file: Path) -> None:
    deadline = time.monotonic() + _START_LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=2.0).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    tail = "\n".join(log_file.read_text(errors="replace").splitlines()[-20:])
    how = f"did not start within {_START_LIMIT:.0f} s" if process.poll() is None else "ended early"
    raise SubmitError(f"the SuperLink {how}:\n{tail}")


def _see_runs_ended(superlink: int) -> None:
    """Wait until the processes of a SuperLink's runs have ended, and end those that do not.

    A run that was stopped takes some seconds to learn of it, and only while its SuperLink lives.
    Where there is no ``/proc``, nothing is waited for.
    """
    deadline = time.monotonic() + _STOP_LIMIT
    while (runs := _grandchildren(superlink)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for pid in runs:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _grandchildren(pid: int) -> list[int]:
    """Return a process's descendants but its children, which are the SuperLink's own parts."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] != "Z":
                parents[int(stat.parent.name)] = int(fields[1])
    generation, found = [pid], list[int]()
    for depth in range(len(parents)):
        generation = [child for child, parent in parents.items() if parent in generation]
        if not generation:
            break
        found += generation if depth else []
    return found


def _ended(run_id: str, federation: Federation, environment: Mapping[str, str]) -> SubmittedRun:
    command = ["flwr", "list", federation.name, "--run-id", run_id, "--format", "json"]
    deadline = time.monotonic() + _START_LIMIT
    run: dict[str, Any] = {}
    while time.monotonic() < deadline:
        text = _output(command, environment)
        try:
            run = json.loads(text)["runs"][0]
        except (ValueError, KeyError, IndexError) as error:
            raise SubmitError(f"the end of run {run_id} cannot be learnt:\n{text}") from error
        if str(run["status"]).startswith("finished"):
            return SubmittedRun(run_id, str(run["status"]), str(run["status-details"]))
        time.sleep(0.5)
    raise SubmitError(f"run {run_id} did not end: its status is {run.get('status')}")


def _output(command: list[str], environment: Mapping[str, str]) -> str:
    with _started(command, environment, stdout=subprocess.PIPE) as process:
        return process.stdout.read() if process.stdout else ""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port
