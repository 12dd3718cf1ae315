"""``live.json``: what a run does now, beside its results until ``run.json`` is there.

It is written by a thread of its own, which looks at the run twice a second: so no node's answer and
no round waits for a disk or a store, and the loop does nothing for it. What is in it is made of the
public view of the run's record, and of what the server itself sees of the nodes.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.errors import FlameError
from flame_flwr.files import reason_of, write_whole
from flame_flwr.log import logger
from flame_flwr.object_store import BRIEF, is_url, open_store
from flame_flwr.processes.threads import call_beside
from flame_flwr.results.callbacks import Callback, shielded
from flame_flwr.results.live_content import LiveContent
from flame_flwr.results.live_file import LIVE, is_live

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from flame_flwr.object_store import ObjectStore
    from flame_flwr.results.run_record import RunRecord

__all__ = ["LiveWriter", "remove_live"]

FOLDER_EVERY, STORE_EVERY = 0.5, 2.0
"""Seconds between two files; a store is asked less often, as each costs a request."""

BEAT = 5.0
"""Seconds after which a file is written even if nothing has happened: its writer is alive."""

_END = 3.0  # seconds that the last file may take, at the end of a run


class LiveWriter(Callback):
    """Writes ``live.json`` while a run goes on.

    Parameters
    ----------
    place : str or Path
        The run's folder, or its URL in a store.
    started : datetime
        When the run began.
    run_id : str, optional
        Flower's.
    first : float
        Seconds until the first file: shorter runs write none.
    now : callable
        A clock, in seconds since 1970.
    """

    def __init__(
        self,
        place: str | Path,
        started: datetime,
        run_id: str | None = None,
        *,
        first: float = 0.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        # User code may change the working directory of this process.
        self._place = place if is_url(str(place)) else Path(place).absolute()
        self._started = started
        self._run_id = run_id
        self._first = first
        self._now = now
        self._every = STORE_EVERY if is_url(str(place)) else FOLDER_EVERY
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._content: LiveContent | None = None
        self._store: ObjectStore | None = None
        self._last = b""
        self._beaten = 0.0
        self._failing = False
        self._told = False
        self._writing = threading.Lock()

    def opened(self, record: RunRecord) -> None:
        """Begin to look at the run, from another thread."""
        if not is_url(str(self._place)) and not _may_write(self._folder):
            return
        self._content = LiveContent(record, self._started, self._run_id, BEAT)
        self._thread = call_beside(self._run, "live.json")

    def end(self) -> None:
        """Stop: there is a ``run.json``, which says more. The file goes."""
        self._told = True
        self.close()
        remove_live(self._place)

    def close(self) -> None:
        """Write what has become of the run, unless there is a ``run.json``, and stop."""
        self._over.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(_END)
        # A thread that has not come to its last file by now writes none: the folder is the user's.
        self._told = True
        # One that is being written is waited for: `end` removes the file right after this.
        if self._writing.acquire(timeout=_END):
            self._writing.release()

    def look(self) -> bool:
        """Write a file where something has happened since the last one, or it is time for a beat.

        Returns
        -------
        bool
            Whether one was written.
        """
        assert self._content is not None
        now = self._now()
        said = self._content.look(now)
        if said == self._last and now - self._beaten < BEAT:
            return False
        self._last, self._beaten = said, now
        # The time goes in front of what was compared above, in the place of its first brace.
        text = b'{"written": %s, %s' % (json.dumps(round(now, 3)).encode(), said[1:])
        try:
            self._write(text)
        except (OSError, FlameError) as error:
            if not self._failing:  # once, and not twice a second until the disk has room again
                why = error if isinstance(error, FlameError) else reason_of(error)
                logger.warning("live.json cannot be written (%s); the run goes on", why)
            self._failing = True
            return False
        self._failing = False
        return True

    @property
    def _folder(self) -> Path:
        return Path(self._place)

    def _run(self) -> None:
        with shielded("live.json"):
            self._look_until_over()

    def _look_until_over(self) -> None:
        wait = self._first
        while not self._over.wait(wait):
            if self._is_told():  # as where Flower ends the process
                return
            self.look()
            wait = self._every
        if self._last and not self._is_told():  # the last one says what came of the rounds
            self.look()

    def _is_told(self) -> bool:
        """Tell whether there is a ``run.json``, which says more."""
        return self._told or (not is_url(str(self._place)) and (self._folder / "run.json").exists())

    def _write(self, text: bytes) -> None:
        if is_url(str(self._place)):
            if self._store is None:
                self._store = _open(self._place)
            self._store.put(LIVE, text)
            return
        with self._writing:
            if self._told:  # `close` has stopped waiting for this thread meanwhile
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            # No waiting for the disk: after a power failure nobody asks what the run was doing.
            write_whole(self._folder / LIVE, [text], None, lasting=False)


def remove_live(place: str | Path) -> None:
    """Remove ``live.json`` of a run that has its ``run.json``; no other file of that name."""
    if is_url(str(place)):
        with suppress(FlameError):
            _open(place).delete(LIVE)
        return
    path = Path(place) / LIVE
    with suppress(OSError):
        if is_live(path):
            path.unlink(missing_ok=True)


def _open(place: str | Path) -> ObjectStore:
    return open_store(str(place), BRIEF, what="`results` in the run config")


def _may_write(folder: Path) -> bool:
    """Tell whether the file would replace none that no run has written."""
    path = folder / LIVE
    return is_live(path) or not path.exists()
