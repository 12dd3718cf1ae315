"""Compares what all processes of one message use together with what they may use."""

from __future__ import annotations

import os
import resource
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.folder_trees import size_below
from flame_flwr.node.kept_folders import kept_bytes, opened_kept
from flame_flwr.node.process_tree import deleted_of, descendants, memory_of, processor_time

if TYPE_CHECKING:
    from flame_flwr.node.limits import Limits

__all__ = ["MessageUsage"]

_LEAST_WAIT = 0.05
_DISK_WAIT, _DISK_MOST = 0.5, 5.0
"""Seconds without a look at the disk: at least, and at most."""

_DISK_SHARE = 20.0
"""How many times as long as a look at the disk takes, there is none."""


class MessageUsage:
    """What the processes of one message use, looked at for the fork server that is their parent.

    Messages come one at a time, so what has been left to the fork server is this message's too.

    It is made before anything of an app runs, and looks at the folders that are there then.

    Parameters
    ----------
    limits : Limits
        What it may use.
    scratch : int, optional
        The handle of the folder for its temporary files, where that is on a disk of the machine's.

    Raises
    ------
    OSError
        A folder that it may write to is not there.
    """

    def __init__(self, limits: Limits, scratch: int | None = None) -> None:
        self._limits, self._scratch = limits, scratch
        with ExitStack() as opened:
            self._kept = [
                (opened.enter_context(opened_kept(Path(each))), most)
                for each, most in limits.kept.items()
            ]
            self._opened = opened.pop_all()
        self._look_at_disk = 0.0
        self._began = self._looked = time.monotonic()
        self._waited_for = _time_of_ended_children()  # of messages before; this one's come on top

    def exceeded(self) -> str:
        """Return which limit they have reached; empty for none, or where it was looked just now."""
        now = time.monotonic()
        if now - self._began > self._limits.seconds:
            return "message-timeout"
        if now - self._looked < _LEAST_WAIT:  # with every line that an analysis prints it is asked
            return ""
        self._looked = now
        pids = self.all_processes()
        if len(pids) > self._limits.processes:
            return "processes"
        if memory_of(pids, self._limits.memory) > self._limits.memory:
            return "memory-gb"
        if self._limits.cpu is not None:
            used = processor_time(pids) + _time_of_ended_children() - self._waited_for
            if used > self._limits.cpu:
                return "cpu-minutes"
        return self._full_disk(now, pids)

    def _full_disk(self, now: float, pids: list[int]) -> str:
        """Look at what lies on disk, ever more seldom the longer it takes."""
        if now < self._look_at_disk:
            return ""
        most, which = self._limits.memory, ""
        deleted = deleted_of(pids, self._devices())
        if any(kept_bytes(each) > bound for each, bound in self._kept):
            which = "disk"
        elif deleted > most or (
            self._scratch is not None and size_below(self._scratch, most) > most
        ):
            which = "temporary files"
        ended = time.monotonic()
        self._look_at_disk = ended + min(max(_DISK_WAIT, _DISK_SHARE * (ended - now)), _DISK_MOST)
        return which

    def _devices(self) -> set[int]:
        """Return the devices that its folders are on; those of the sandbox are in memory."""
        folders = [each for each, _ in self._kept]
        folders += [] if self._scratch is None else [self._scratch]
        return {os.fstat(each).st_dev for each in folders}

    def close(self) -> None:
        """Let go of the folders."""
        self._opened.close()

    def all_processes(self) -> list[int]:
        """Return the message's process, those below it, and those that have lost their parent."""
        return descendants(os.getpid())


def _time_of_ended_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
