"""Which processes are below one, and what they use, from ``/proc``."""

from __future__ import annotations

import os
from contextlib import suppress

__all__ = [
    "children_of",
    "deleted_of",
    "descendants",
    "memory_of",
    "processor_time",
    "tasks_of_user",
]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and all that these have."""
    found: list[int] = []
    new = children_of(pid)
    while new:
        found += new
        new = [child for parent in new for child in children_of(parent)]
    return found


def children_of(pid: int) -> list[int]:
    """Return the processes whose parent is a process; none where it has ended."""
    children: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return children
    for thread in threads:  # a child is listed with the thread that has started it
        children += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return children


def memory_of(pids: list[int], most: int) -> int:
    """Return the bytes of memory that processes have; what they share counts once.

    That takes the kernel milliseconds for a large process. So what each of them has, which is
    more, is added up first, and returned where it is no more than `most`.
    """
    resident = [_resident(pid) for pid in pids]
    if sum(resident) <= most:
        return sum(resident)
    return sum(_share(pid, alone) for pid, alone in zip(pids, resident, strict=True))


def processor_time(pids: list[int]) -> float:
    """Return the seconds that processes, and what they have waited for, have run."""
    ticks = 0
    for pid in pids:
        # The program's name comes first, in brackets. A process chooses it: it may hold others.
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime and cstime of proc(5)
    return ticks / _TICKS


def deleted_of(pids: list[int], devices: set[int]) -> int:
    """Return the bytes on some devices of files that have no name any more and are open still."""
    sizes: dict[tuple[int, int], int] = {}
    for pid in pids:
        with suppress(OSError):  # it has ended, or lets nobody look
            for name in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    # Such a file is found in no folder, and fills the disk all the same.
                    about = os.stat(f"/proc/{pid}/fd/{name}")
                    if not about.st_nlink and about.st_dev in devices:
                        sizes[about.st_dev, about.st_ino] = 512 * about.st_blocks
    return sum(sizes.values())


def tasks_of_user() -> int:
    """Return how many processes and threads this user has."""
    count, user = 0, os.getuid()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}").st_uid == user:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return count


def _resident(pid: int) -> int:
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE if fields else 0


def _share(pid: int, resident: int) -> int:
    """Return a process's proportional share; all that it has where it lets nobody look."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return 1024 * int(line.split()[1])
    return resident


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # it has ended
        return ""
