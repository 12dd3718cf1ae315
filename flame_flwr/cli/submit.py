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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from flame_flwr.app_folder import App, as_options
from flame_flwr.child_processes import tied
from flame_flwr.cli.colours import has_colours, without_colours
from flame_flwr.cli.connection import (
    Connection,
    Federation,
    SubmitError,
    SubmittedRun,
    what_is_left,
)
from flame_flwr.cli.stopped_run import Followed
from flame_flwr.failure.scratch_folders import SCRATCH
from flame_flwr.run_reminder import ran

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["WAIT", "Federation", "SubmitError", "SubmittedRun", "free_port", "simulation", "submit"]

_STARTED = re.compile(r"Successfully started run (\d+)")
_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "PYTHONIOENCODING": "utf-8",
}
WAIT = 60.0
"""How many seconds a SuperLink is waited for."""

_LOST_LIMIT = 30.0  # one that has answered before: systemd starts it again after 10 s

_START_LIMIT = 60.0
_STOP_LIMIT = 20.0


def submit(
    app: Path,
    federation: Federation,
    run_config: Mapping[str, Any] | None = None,
    on_line: Callable[[str], object] = print,
    wait: float = WAIT,
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
        Overrides of the app's config; values are strings, numbers or booleans. Any text arrives
        as it is, also one with quotes, line breaks or emoji in it.
    on_line : callable
        Gets every line of the log; without colours, unless standard output is a terminal.
    wait : float
        How many seconds to wait for a SuperLink that does not answer; where it is lost during the
        run, no more than 30.

    Raises
    ------
    ConfigError
        There is no such app or federation, or the app's run config has no such key, or one of
        another type: before anything is submitted.
    SubmitError
        ``flwr run`` did not start the run, or the SuperLink does not answer, or does not know how
        it ended.
    """
    ran()
    program = App.read(app)
    overrides = program.checked(run_config or {})
    environment = _environment(federation.environment)
    connection = Connection.read(federation.name, environment, program.about.get("federations", {}))
    connection.wait(wait, on_line)
    command = ["flwr", "run", str(app), federation.name, "--stream"]
    if federation.nodes is not None:
        command += ["--federation-config", f"num-supernodes={federation.nodes}"]
    run_id, coloured, followed = "", has_colours(), Followed()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="flame-flwr-") as own,
            tied(own) as mark,
            _started(
                [*command, *as_options(overrides, own)],
                {**environment, **mark},
                stdout=subprocess.PIPE,
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                text = line.rstrip("\n")
                found = _STARTED.search(without_colours(text))
                run_id = found.group(1) if found else run_id
                followed.note(without_colours(text))
                on_line(text if coloured else without_colours(text))
    except BaseException:
        if run_id:
            _stop(run_id, federation, environment, followed, on_line)
        raise
    if not run_id:
        raise SubmitError(f"flwr run did not start a run of {app}; its last words are above")
    left = what_is_left(program.merged(overrides))
    try:
        connection.wait(min(wait, _LOST_LIMIT), on_line)
    except SubmitError as error:
        raise SubmitError(
            f"run {run_id}: the SuperLink {connection.address} is gone: it has ended, or the way "
            f"to it is cut. If it has ended, so has the run: {left}. If not, the run goes on: "
            f"`flwr log {run_id} {federation.name}` follows it"
        ) from error
    run = _ended(run_id, federation, environment, left)
    cut_short = process.returncode != 0 and not run.succeeded
    return replace(run, details=f"{run.details}; {left}") if cut_short else run


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
            except SubmitError as error:
                if process.poll() is not None:
                    error.add_note(f"the last words of its SuperLink:\n{_tail(log_file)}")
                raise
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
        encoding="utf-8",
        errors="replace",
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
    how = f"did not start within {_START_LIMIT:.0f} s" if process.poll() is None else "ended early"
    raise SubmitError(f"the SuperLink {how}:\n{_tail(log_file)}")


def _tail(log_file: Path) -> str:
    text = without_colours(log_file.read_text(errors="replace"))
    return "\n".join(text.splitlines()[-20:])


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


def _stop(
    run_id: str,
    federation: Federation,
    environment: Mapping[str, str],
    followed: Followed,
    on_line: Callable[[str], object],
) -> None:
    """Stop a run and say where its files are, or that it may go on.

    It may where the SuperLink is gone, or Ctrl-C came once more.
    """
    command = ["flwr", "stop", run_id, federation.name]
    stopped = False

    def say(line: str) -> None:
        with suppress(OSError, ValueError):  # it may be a closed pipe that ends this
            on_line(line)

    try:
        say(f"stopping run {run_id}")
        with _started(command, environment, stdout=subprocess.PIPE) as process:
            said = process.stdout.read() if process.stdout else ""
        stopped = process.returncode == 0
        say(followed.kept() if stopped else without_colours(said).rstrip())
    finally:
        if not stopped:
            say(f"run {run_id} may go on: `{' '.join(command)}` stops it")


def _ended(
    run_id: str, federation: Federation, environment: Mapping[str, str], left: str
) -> SubmittedRun:
    command = ["flwr", "list", federation.name, "--run-id", run_id, "--format", "json"]
    deadline = time.monotonic() + _START_LIMIT
    run: dict[str, Any] = {}
    while time.monotonic() < deadline:
        text = _output(command, environment)
        try:
            answer = json.loads(text[text.find("{") :])
            if "runs" not in answer:
                text = answer["error-message"]
            run = answer["runs"][0]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            said = [line for line in without_colours(text).splitlines() if line.strip()]
            raise SubmitError(
                f"run {run_id}: the SuperLink does not say how it ended "
                f"({said[-1].strip() if said else 'no answer'}). Where it was started again "
                f"without its database, it knows nothing of the run: {left}"
            ) from error
        if str(run["status"]).startswith("finished"):
            return SubmittedRun(run_id, str(run["status"]), str(run["status-details"]))
        time.sleep(0.5)
    raise SubmitError(
        f"run {run_id} has not ended: its status is {run.get('status')}. "
        f"`flwr log {run_id} {federation.name}` follows it, `flwr stop {run_id} "
        f"{federation.name}` ends it"
    )


def _output(command: list[str], environment: Mapping[str, str]) -> str:
    with _started(command, environment, stdout=subprocess.PIPE) as process:
        return process.stdout.read() if process.stdout else ""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port
