"""What a node has read for runs, in files without a name: read once, and used in every round.

A file has no name in any folder, so it is gone when the node ends, however it ends, and no process
finds it: one that may read it is handed an open file, for reading.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from flame_flwr.data.spool import Spool
from flame_flwr.processes.threads import call_later

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Fetched", "FetchedData"]

KEPT_SECONDS = 2 * 3600.0
"""How long a run's data is kept after its last message: no node is told that a run has ended."""

MOST_RUNS, MOST_QUERIES = 8, 32
"""What is kept at a time: each is an open file."""


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
            if len(queries) >= MOST_QUERIES:  # an app could ask until no file can be opened
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
        if self._timer is None and self._runs:  # one timer for all: it looks which are old by then
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
