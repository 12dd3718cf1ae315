"""Starting Flower's own programs, of this Python's environment, and seeing them ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["START_LIMIT", "output", "program_environment", "started"]

START_LIMIT = 60.0
"""Seconds that a program has to start, or to end when it has said everything."""

_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "PYTHONIOENCODING": "utf-8",
}


def program_environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment, with Flower's programs of this Python on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, **_QUIET, "PATH": path, **more}


@contextmanager
def started(
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
        if stdout == subprocess.PIPE:  # all is read, so it is about to end
            process.wait(timeout=START_LIMIT)
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


def output(command: list[str], environment: Mapping[str, str]) -> str:
    """Run a program to its end and return what it printed."""
    with started(command, environment, stdout=subprocess.PIPE) as process:
        return process.stdout.read() if process.stdout else ""
