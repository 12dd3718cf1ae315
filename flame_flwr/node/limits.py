"""What the process of one message may use, and what is said where it has used it up.

The kernel holds what it can hold for one process; the fork server adds up memory, processor time
and number of all that belong to a message, ten times a second, and what they have on disk, and ends
them where it is too much.
"""

from __future__ import annotations

import os
import resource
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.config import NodeSettings

__all__ = ["TOO_MANY_QUESTIONS", "Limits", "reason_of_limit"]

_SHARE_OF_MACHINE = 0.8
_PROCESSES, _TASKS, _FILES = 256, 4096, 4096

_PER_CORE = 64 * 2**20
"""Bytes that numerical libraries reserve for each core and hardly use: stacks and buffers."""

_CPU_GRACE = 10
"""Seconds of processor time after which the kernel ends what the fork server has not."""

_CGROUP, _CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")

_MEND = {
    "memory-gb": (
        "needs more memory than one analysis has at this node: read less at once, or have "
        "`memory-gb` in the node config raised"
    ),
    "cpu-minutes": (
        "has used up the processor time that one message has at this node: have `cpu-minutes` in "
        "the node config raised"
    ),
    "message-timeout": (
        "did not answer within the time that one message has at this node: see whether it hangs, "
        "or have `message-timeout` in the node config raised"
    ),
    "state-mb": (
        "keeps more from round to round than one analysis may at this node: keep less in the "
        "analyzer's attributes, or have `state-mb` in the node config raised"
    ),
    "disk": (
        "keeps more on its node's disk than one analysis or its project may, or folders of its "
        "own there: keep less in the analyzer's attributes and with `save_intermediate_data`, or "
        "have `state-mb` in the node config raised"
    ),
    "folders": (
        "has put something else in the place of a folder that its node has made: write into the "
        "folder for temporary files, and leave all others as they are"
    ),
    "temporary files": (
        "has more in temporary files than one message may at this node: remove them when they "
        "have been read, or have `memory-gb` in the node config raised"
    ),
    "processes": (
        "has started more processes than one analysis may have at a node: give its pool of "
        "workers fewer"
    ),
}


TOO_MANY_QUESTIONS = (
    "it asks its node for data more often, or at greater length, than one message may: read what "
    "it needs in fewer questions, and keep it in a variable"
)


@dataclass(frozen=True)
class Limits:
    """What one message may use at this node.

    Attributes
    ----------
    memory : int
        Bytes, of all processes together; what they share counts once.
    cpu : float or None
        Seconds of processor time, of all processes together.
    seconds : float
        From the fork to the end.
    processes : int
        At one time.
    tasks : int
        Processes and threads of this user beside those that there are already; root is exempt.
    files : int
        That a process may have open.
    kept : mapping of str to int
        The folders of the node's ``state-dir`` that it may write to, and how many bytes may lie in
        each at any time.

    Examples
    --------
    >>> from flame_flwr.config import NodeSettings
    >>> limits = Limits.of(NodeSettings.from_config({"memory-gb": 8, "cpu-minutes": 30}))
    >>> limits.memory, limits.cpu
    (8000000000, 1800.0)
    """

    memory: int
    cpu: float | None
    seconds: float
    processes: int = _PROCESSES
    tasks: int = _TASKS
    files: int = _FILES
    kept: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: NodeSettings) -> Limits:
        """Return the limits that a node's config sets."""
        return cls(
            memory=int(settings.memory_gb * 1e9) or _default_memory(),
            cpu=60.0 * settings.cpu_minutes or None,
            seconds=float(settings.message_timeout),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields, for the fork server."""
        return asdict(self)

    def apply(self, tasks_before: int) -> None:
        """Have the kernel hold this process and its children to what it can hold them to.

        Address space is no measure: NumPy and PyTorch reserve gigabytes that they never touch.
        What counts is memory that may be written to, beyond what came from the fork server.

        Parameters
        ----------
        tasks_before : int
            Processes and threads that this user had without the message.
        """
        # These hold one process. What all use together the fork server adds up, a little late: a
        # single allocation of everything that there is would be quicker than its look.
        reserved = _PER_CORE * (os.cpu_count() or 1)
        _lower(resource.RLIMIT_DATA, self.memory + reserved + _writable_memory())
        _lower(resource.RLIMIT_FSIZE, self.memory)
        _lower(resource.RLIMIT_NPROC, tasks_before + self.tasks)  # the kernel counts by user
        _lower(resource.RLIMIT_NOFILE, self.files)
        _lower(resource.RLIMIT_CORE, 0)  # a dump would hold data
        if self.cpu is not None:
            _lower(resource.RLIMIT_CPU, int(self.cpu) + _CPU_GRACE)


def reason_of_limit(limit: str) -> str:
    """Return what is answered where a message's processes were ended at a limit.

    It leaves the node, so it has no numbers.

    Examples
    --------
    >>> print(reason_of_limit("processes"))
    the analysis has started more processes than one analysis may have at a node: give \
its pool of workers fewer
    """
    return f"the analysis {_MEND[limit]}"


def _lower(which: int, most: int) -> None:
    """Set both limits, so that the process cannot raise it; a lower one that is there stays."""
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(which, (most, most))


def _writable_memory() -> int:
    """Return the bytes that the kernel counts for this process's RLIMIT_DATA."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmData:")[2].split()[0])


def _default_memory() -> int:
    """Return most of what the machine has, or of what this service may have of it."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(_SHARE_OF_MACHINE * min(machine, _memory_of_service()))


def _memory_of_service() -> float:
    """Return the least `memory.max` of the control groups that this process is in."""
    least = float("inf")
    try:
        own = _CGROUP.read_text().rpartition("0::")[2].splitlines()[0]
    except (OSError, IndexError):
        return least
    group = _CGROUPS / own.lstrip("/")
    for folder in (group, *group.parents):  # a limit further up holds for all below it
        if folder.is_relative_to(_CGROUPS):
            try:
                least = min(least, float((folder / "memory.max").read_text()))
            except (OSError, ValueError):  # "max", or an older kind of control groups
                continue
    return least
