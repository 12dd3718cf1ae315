"""A SuperLink of one's own that simulates nodes, for the time of a block."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from flame_flwr.cli.colours import without_colours
from flame_flwr.cli.connection import Federation, SubmitError
from flame_flwr.cli.flower_programs import START_LIMIT, program_environment, started
from flame_flwr.failure.scratch_folders import SCRATCH
from flame_flwr.processes.child_processes import living, tied, with_descendants

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["free_port", "simulation"]

_STOP_LIMIT = 20.0


@contextmanager
def simulation(nodes: int, *folders: str) -> Iterator[Federation]:
    """Start a SuperLink that simulates nodes, on a free port, and end it with the block.

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
        environment = {"FLWR_HOME": home, SCRATCH: home, **_no_proxy(), **mark}
        port = free_port()
        config = f'[superlink.own]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
        (Path(home) / "config.toml").write_text(config)
        command = ["flower-superlink", "--insecure", "--simulation", "--host", "127.0.0.1"]
        command += ["--port", str(port), "--disable-runtime-dependency-installation"]
        log_file = Path(home) / "superlink.log"
        with (
            log_file.open("wb") as log,
            started(command, program_environment(environment), stdout=log) as process,
        ):
            _wait_for(process, port, log_file)
            try:
                yield Federation("own", environment, nodes)
            except SubmitError as error:
                if process.poll() is not None:
                    error.add_note(f"the last words of its SuperLink:\n{_tail(log_file)}")
                raise
            finally:
                # while the SuperLink still lives: its processes are found as its descendants
                _end_runs(process.pid)


def _no_proxy() -> dict[str, str]:
    """Return what keeps talk within this machine off the proxy of a hospital's network.

    gRPC and others ask the environment's proxy for 127.0.0.1, too, which is that machine there.
    """
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    hosts = ",".join(filter(None, (given, "127.0.0.1", "localhost")))
    # gRPC reads the one, others the other
    return {"no_proxy": hosts, "NO_PROXY": hosts}


def _wait_for(process: subprocess.Popen[str], port: int, log_file: Path) -> None:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            url = f"http://127.0.0.1:{port}/health"
            if httpx.get(url, timeout=2.0, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    how = f"did not start within {START_LIMIT:.0f} s" if process.poll() is None else "ended early"
    raise SubmitError(f"the SuperLink {how}:\n{_tail(log_file)}")


def _tail(log_file: Path) -> str:
    text = without_colours(log_file.read_text(errors="replace"))
    return "\n".join(text.splitlines()[-20:])


def _end_runs(superlink: int) -> None:
    """Wait until the processes of a SuperLink's runs have ended, and end those that do not.

    A run that was stopped takes some seconds to learn of it, and only while its SuperLink lives.
    Where there is no ``/proc``, nothing is waited for.
    """
    deadline = time.monotonic() + _STOP_LIMIT
    while (runs := _grandchildren(superlink)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for pid in runs:
        # Ray's workers among them may be in the middle of user code that does not end.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _grandchildren(pid: int) -> set[int]:
    """Return a process's descendants but its children, which are the SuperLink's own parts."""
    parents = living()
    children = {child for child, parent in parents.items() if parent == pid}
    return with_descendants(children, parents) - children


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    # Another process may take it first: then the SuperLink ends at once, and its log says why.
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port
