"""A terminal's stream while a bar is drawn on it: whole lines go above the bar."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flame_flwr.results.progress_bar import Bar

__all__ = ["PrintAbove"]


class PrintAbove:
    """A stream whose lines are printed above the bar; a forked process has the stream itself.

    What is flushed before its line has ended is shown as it is, by the stream, in place of the bar,
    until a line ends.
    """

    def __init__(self, stream: Any, bar: Bar) -> None:
        self._stream = stream
        self._bar = bar
        self._process = os.getpid()
        self._begun = ""

    def write(self, text: str) -> int:
        """Print the lines that are complete, and keep the rest."""
        if os.getpid() != self._process:
            return int(self._stream.write(text))
        if self._bar.away:
            # The terminal has the beginning of a line already; the rest must go right behind it.
            begun, self._begun = self._begun, ""
            self._stream.write(begun + text)
            if text.endswith("\n"):
                self._stream.flush()
                self._bar.come_back()
            return len(text)
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._bar.print_above(line)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Show what is there of a line."""
        if self._begun and os.getpid() == self._process:
            if not self._bar.away:
                self._bar.give_way()
            begun, self._begun = self._begun, ""
            self._stream.write(begun)
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
