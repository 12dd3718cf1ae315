"""Whether a run's data is what it was in its round before, as far as this node can see.

Of what the node reads itself it compares row count and hash, of folders, which analyses read, the
names, sizes and times of files. The node's log says what has changed; that it has, leaves.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from flame_flwr.data.table_pieces import rows_of, unpack
from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from pathlib import Path

__all__ = ["DataChanges", "Seen", "of_contents", "of_folder"]

_MOST = 1000


class Seen(NamedTuple):
    """Data as it was seen.

    Attributes
    ----------
    parts : int
        How many files or rows there were.
    digest : str
        Of their contents, or of what is known of the files.
    """

    parts: int
    digest: str


class DataChanges:
    """What the data of runs was when it was last seen; in memory, so until the node ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[int, Hashable], Seen] = OrderedDict()

    def has_changed(self, run_id: int, what: Hashable, name: str, seen: Seen) -> bool:
        """Note what a run's data is now; tell whether it was something else before.

        Parameters
        ----------
        run_id : int
            The run.
        what : hashable
            Which data.
        name : str
            What the log calls it.
        seen : Seen
            What it is now.
        """
        with self._lock:
            before = self._seen.pop((run_id, what), None)
            self._seen[run_id, what] = seen
            while len(self._seen) > _MOST:
                self._seen.popitem(last=False)
        if before is None or before == seen:
            return False
        logger.warning(
            "run %d: %s has changed since the run last read it: %d rows or files before (SHA-256 "
            "%s), %d now (%s). `freeze` keeps a study's data as it is",
            run_id,
            name,
            before.parts,
            before.digest[:16],
            seen.parts,
            seen.digest[:16],
        )
        return True


def of_folder(folder: Path) -> Seen | None:
    """Return what is in a folder, without reading it; ``None`` where it cannot be looked at."""
    digest, count = hashlib.sha256(), 0
    try:
        for parent, folders, names in os.walk(folder):
            folders.sort()  # `os.walk` goes on in this order; a disk gives any
            for name in sorted(names):
                path = os.path.join(parent, name)
                about, count = os.stat(path), count + 1
                known = f"{os.path.relpath(path, folder)}\0{about.st_size}\0{about.st_mtime_ns}\0"
                digest.update(known.encode("utf-8", "surrogateescape"))
    except OSError:
        return None  # the analysis will say so
    return Seen(count, digest.hexdigest())


def of_contents(kind: str, contents: Iterable[tuple[str, bytes]]) -> Seen:
    """Return what contents are, each with its key; of tables the rows count, else the lines."""
    digest, rows = hashlib.sha256(), 0
    for key, content in contents:
        digest.update(key.encode("utf-8", "surrogatepass") + b"\0")
        digest.update(len(content).to_bytes(8, "big"))  # or "ab", "c" would be as "a", "bc"
        digest.update(content)
        rows += rows_of(unpack(content)) if kind == "sql" else content.count(b"\n") or 1
    return Seen(rows, digest.hexdigest())
