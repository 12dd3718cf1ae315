"""What a node has read for runs, in files without a name: read once, and used in every round.

A file has no name in any folder, so it is gone when the node ends, however it ends, and no process
finds it: one that may read it is handed an open file, for reading.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.processes.threads import call_later

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Fetched", "FetchedData", "Spool"]

KEPT_SECONDS = 2 * 3600.0
"""How long a run's data is kept after its last message: no node is told that a run has ended."""

MOST_RUNS, MOST_QUERIES = 8, 32
"""What is kept at a time: each is an open file."""


class Spool:
    """A file without a name, which is written once and then read.

    Parameters
    ----------
    folder : str
        On whose disk it is; made, for this user alone, where it is missing. Empty for the system's
        folder for temporary files.

    Raises
    ------
    OSError
        There can be no file.
    """

    def __init__(self, folder: str) -> None:
        if folder:
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder or None)  # noqa: SIM115  (closed by close)
        self._lock = threading.Lock()
        self.size = 0

    def write(self, content: bytes) -> tuple[int, int]:
        """Add bytes, and return their place and size; threads may do so at a time."""
        with self._lock:
            place, self.size = self.size, self.size + len(content)
            self._file.write(content)
            self._file.flush()  # a full disk is to be met here, and not when the file is opened
        return place, len(content)

    def open(self) -> int:
        """Return the file, open for reading; the caller closes it."""
        os.fchmod(self._file.fileno(), 0o400)
        # opened anew: a descriptor's copy could write, and would share its position
        return os.open(f"/proc/self/fd/{self._file.fileno()}", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of the file: its disk space is free when the last process has closed it."""
        with contextlib.suppress(OSError):  # what could not be written to a full disk
            self._file.close()


Fetched = tuple[dict[str, list[tuple[int, int]]], Spool]
"""What was read: the places and sizes of contents by key, and the file that they are in."""


class FetchedData:
    """What was read for the runs that this node takes part in.

    Parameters
    ----------
    seconds : float
        How long a run's data is kept after it was last used.
    """

    def __init__(self, seconds: float = KEPT_SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._runs: OrderedDict[int, tuple[float, dict[Hashable, Fetched]]] = OrderedDict()
        self._timer: threading.Timer | None = None

    def get(self, run_id: int, query: Hashable) -> Fetched | None:
        """Return what was read for a run before."""
        with self._lock:
            return self._used(run_id).get(query)

    def keep(self, run_id: int, query: Hashable, fetched: Fetched) -> bool:
        """Keep what was read; tell whether there was room for it, else it is the caller's."""
        with self._lock:
            queries = self._used(run_id)
            if len(queries) >= MOST_QUERIES:
                return False
            queries[query] = fetched
            while len(self._runs) > MOST_RUNS:
                self._drop(next(iter(self._runs)))
            return True

    def forget_others(self, run_id: int) -> bool:
        """Let go of what other runs have read; tell whether there was anything."""
        with self._lock:
            others = [other for other in self._runs if other != run_id]
            had = any(self._runs[other][1] for other in others)
            for other in others:
                self._drop(other)
            return had

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            for run_id in list(self._runs):
                self._drop(run_id)
            if self._timer is not None:
                self._timer.cancel()

    def _used(self, run_id: int) -> dict[Hashable, Fetched]:
        _, queries = self._runs.pop(run_id, (0.0, {}))
        self._runs[run_id] = (time.monotonic(), queries)  # the last in the order
        self._schedule()
        return queries

    def _schedule(self) -> None:
        if self._timer is None and self._runs:
            oldest = next(iter(self._runs.values()))[0]
            wait = max(0.0, oldest + self._seconds - time.monotonic())
            self._timer = call_later(self._expire, wait)

    def _expire(self) -> None:
        with self._lock:
            self._timer = None
            limit = time.monotonic() - self._seconds
            for run_id in [run_id for run_id, (used, _) in self._runs.items() if used <= limit]:
                self._drop(run_id)
            self._schedule()

    def _drop(self, run_id: int) -> None:
        for _, spool in self._runs.pop(run_id)[1].values():
            spool.close()
