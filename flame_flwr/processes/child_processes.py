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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["tied"]

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
        [sys.executable, "-I", "-S", __file__, mark, *folders],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
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
    parents: dict[int, int] = {}
    found: set[int] = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
            if state in (b"Z", b"X"):
                continue
            parents[int(name)] = int(parent)
            with open(f"/proc/{name}/environ", "rb") as file:
                if mark in file.read():
                    found.add(int(name))
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


if __name__ == "__main__":
    message = sys.stdin.buffer.read()
    if os.path.isdir("/proc/self"):
        _end(sys.argv[1].encode())
    if message != _DONE:
        for folder in sys.argv[2:]:
            shutil.rmtree(folder, ignore_errors=True)
