"""Programs that end with the process that has started them, also where that one is killed.

A watcher, which is this file run by itself, holds the reading end of a pipe: when the process on
the other end is gone, however it ended, the watcher kills all programs that carry a mark in their
environment. Programs they have started carry it too, in whatever session. It needs ``/proc``;
elsewhere programs are ended as far as their own starter ends them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["in_session", "living", "tied", "with_descendants"]

_LIMIT = 10.0
"""Seconds until all of them are gone."""


_DONE = b"done"
"""What the watcher is told where this process has come to the block's end."""


@contextmanager
def tied(*folders: str) -> Iterator[dict[str, str]]:
    """End programs when the block ends, or when this process does.

    Parameters
    ----------
    *folders : str
        Temporary ones, that are removed where this process is killed.

    Yields
    ------
    dict of str to str
        To be in the environment of each of them.
    """
    mark = f"FLAME_FLWR_TIED_{uuid.uuid4().hex}"
    watcher = subprocess.Popen(  # noqa: S603  (this Python, this file)
        # Without site and the user's variables: it starts at once, and imports nobody's code.
        [sys.executable, "-I", "-S", __file__, mark, *folders],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C at the terminal reaches this process, and not the watcher
    )
    try:
        yield {mark: "1"}
    finally:
        assert watcher.stdin is not None
        with suppress(OSError):  # somebody has ended it
            watcher.stdin.write(_DONE)
            watcher.stdin.close()
        try:
            watcher.wait(timeout=2 * _LIMIT)
        except subprocess.TimeoutExpired:
            watcher.kill()
            watcher.wait()


@contextmanager
def in_session(command: list[str], **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, and end it with all of its session when the block ends.

    Parameters
    ----------
    command : list of str
        The program and its arguments.
    **how
        As :class:`subprocess.Popen` takes it.
    """
    with subprocess.Popen(  # noqa: S603  (no shell)
        command, stdin=subprocess.DEVNULL, start_new_session=True, **how
    ) as process:
        try:
            yield process
        finally:
            with suppress(OSError):  # it may have gone by itself
                os.killpg(process.pid, signal.SIGKILL)


def _end(mark: bytes) -> None:
    """End every program with a mark, until none is left: they may start others meanwhile."""
    until = time.monotonic() + _LIMIT
    while (found := _marked(mark)) and time.monotonic() < until:
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _marked(mark: bytes) -> set[int]:
    """Return the processes with a mark in their environment, and all that these have started."""
    found, parents = set(), living()
    for pid in parents:
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if mark in file.read():
                found.add(pid)
    # A program may have cleared its environment: then its parent has the mark.
    return with_descendants(found, parents) - {os.getpid()}


def living() -> dict[int, int]:
    """Return every process with its parent; none where there is no ``/proc``."""
    parents: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc/self") else ()):
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
            # The name before it may hold anything, also a bracket and spaces.
            state, parent = file.read().rpartition(b")")[2].split()[:2]
            if state not in (b"Z", b"X"):  # a zombie has ended already
                parents[int(name)] = int(parent)
    return parents


def with_descendants(pids: set[int], parents: dict[int, int]) -> set[int]:
    """Return processes and all that they have started, of those that :func:`living` gives."""
    found = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


if __name__ == "__main__":
    message = sys.stdin.buffer.read()
    _end(sys.argv[1].encode())
    if message != _DONE:
        for folder in sys.argv[2:]:
            shutil.rmtree(folder, ignore_errors=True)
