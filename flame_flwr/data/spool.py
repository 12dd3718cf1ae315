"""A file without a name: gone when the process ends, and found by no other."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from pathlib import Path

__all__ = ["Spool"]


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

    def read(self, place: int, size: int) -> bytes:
        """Return what was added at a place."""
        return os.pread(self._file.fileno(), size, place)
