"""How much of what analyses print goes into the node's log.

An analysis may print a gigabyte; the disk of the log must not fill, and a process that is ended
must not have said its last words in vain. So its beginning and its end are kept.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Allowance", "MessageOutput"]

_AT_ONCE, _PER_SECOND = 2**20, 4096.0
_TAIL = 8192
_CHUNK = 1 << 16
_MOST_AT_THE_END = 2**22
"""Bytes that are still looked at when a message's processes have ended: no pipe holds more."""

_COLOURS = re.compile(rb"\x1b\[[0-9;]*m")
_C1 = re.compile(rb"\xc2[\x80-\x9f]")
_UNSEEN = bytes(i for i in range(32) if i not in b"\t\n\r") + b"\x7f"
_SHOWN = bytes.maketrans(b"\r" + _UNSEEN, b"\n" + b"?" * len(_UNSEEN))
"""A terminal that shows the log must not obey an analysis."""


class Allowance:
    """What may be written for now: so much at once, and after it only so much per second.

    Examples
    --------
    >>> allowance = Allowance(at_once=100, per_second=10, clock=iter([0, 0, 0, 5]).__next__)
    >>> [allowance.take(80), allowance.take(80), allowance.take(80)]
    [80, 20, 50]
    """

    def __init__(
        self,
        at_once: int = _AT_ONCE,
        per_second: float = _PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._rate, self._clock = at_once, per_second, clock
        self._left, self._at = float(at_once), clock()

    def take(self, wanted: int) -> int:
        """Return how much of it may be written; that is then used up."""
        now = self._clock()
        self._left = min(float(self._most), self._left + self._rate * (now - self._at))
        self._at = now
        taken = max(0, min(wanted, int(self._left)))
        self._left -= taken
        return taken

    def overdraw(self, size: int) -> bool:
        """Take `size` bytes even if they are not left, and tell whether the debt allowed it."""
        self.take(0)
        if self._left < -self._most:
            return False
        self._left -= size
        return True


class MessageOutput:
    """What the processes of one message print, through a pipe into the node's log.

    Parameters
    ----------
    pipe : int
        The reading end, not blocking; closed at the end.
    allowance : Allowance
        That of all messages.
    log : int
        Descriptor of the node's log.
    """

    def __init__(self, pipe: int, allowance: Allowance, log: int = 2) -> None:
        self.pipe = pipe
        self._allowance, self._log = allowance, log
        self._left_out, self._tail, self._in_line = 0, b"", False

    def read(self) -> int:
        """Take what there is in the pipe; return how much: 0 for none, or at the end."""
        try:
            data = os.read(self.pipe, _CHUNK)
        except OSError:
            return 0
        # Once something is left out, all that follows is: a log with holes would read as if whole.
        allowed = 0 if self._left_out else self._allowance.take(len(data))
        self._write(data[:allowed])
        rest = data[allowed:]
        self._left_out += len(rest)
        self._tail = (self._tail + rest)[-_TAIL:]
        return len(data)

    def close(self) -> None:
        """Write the end of what was left out, and how much it was; close the pipe."""
        # What it has started has the pipe open, too, where it could not be ended: no end may come.
        looked_at = 0
        while looked_at < _MOST_AT_THE_END and (size := self.read()):
            looked_at += size
        os.close(self.pipe)
        if left_out := self._left_out:
            shown = self._tail if self._allowance.overdraw(len(self._tail)) else b""
            self._end_line()
            _write_all(
                self._log,
                b"WARNING: the analysis printed more than goes into this log: %d bytes of it are "
                b"left out%s\n" % (left_out - len(shown), b", before its end:" if shown else b""),
            )
            self._write(shown)
        self._end_line()

    def _write(self, data: bytes) -> None:
        """Write lines with a mark before each, so that none looks like one of the node's own."""
        if not data:
            return
        text = _C1.sub(b"??", _COLOURS.sub(b"", data)).translate(_SHOWN)
        lines = text.splitlines(keepends=True)
        marked = (b"" if self._in_line else b"| ") + b"| ".join(lines)
        self._in_line = not text.endswith(b"\n")
        _write_all(self._log, marked)

    def _end_line(self) -> None:
        if self._in_line:
            _write_all(self._log, b"\n")
            self._in_line = False


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    with contextlib.suppress(OSError):  # a log that cannot be written must end no analysis
        while view:
            view = view[os.write(descriptor, view) :]
