"""Tells what is left of a run that ``submit`` has stopped: its files and its last aggregate.

A SuperLink takes no more lines from a run that was stopped, so this is made of the lines before.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from flame_flwr.results.followed_lines import FolderLine, RoundLine, parse_line

__all__ = ["Followed"]

_PATIENCE = 20.0
"""Seconds that a server has to write what there is of a run."""


class Followed:
    """The facts read from the lines of a run's log so far."""

    def __init__(self) -> None:
        self._place = ""
        self._rounds = 0

    def note(self, line: str) -> None:
        """Keep what a line of the log says of the run."""
        said = parse_line(line)
        # the first: user code may print such a line, too
        if isinstance(said, FolderLine) and not self._place:
            self._place = said.place
        elif isinstance(said, RoundLine):
            self._rounds = said.round

    def where_files_are(self, patience: float = _PATIENCE) -> str:
        """Return a line that says where the run's files are.

        Parameters
        ----------
        patience : float
            Seconds to wait for them, where the place is on this host.
        """
        if not self._place:
            return "the run had not begun: there are no files of it"
        folder = Path(self._place)
        if not folder.is_dir():  # on the server's host, or an object store
            last = f" (the aggregate of round {self._rounds} as rescue.pkl, unless it is private)"
            return f"what there is of the run goes into {self._place}{last * bool(self._rounds)}"
        about = folder / "run.json"
        until = time.monotonic() + patience
        # `run.json` is written last: with it, everything else is there.
        while not about.is_file() and time.monotonic() < until:
            time.sleep(0.1)
        if not about.is_file():
            return f"what there is of the run goes into {folder}"
        for rescue in sorted(folder.glob("rescue.*")):
            rounds = json.loads(about.read_bytes())["rounds"]
            return f"the aggregate of round {rounds} is in {rescue}"
        return f"what there is of the run is in {folder}"
