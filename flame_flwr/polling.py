"""When to ask again for what is not there yet: soon, then less and less often."""

from __future__ import annotations

import math
import time

__all__ = ["IDLE_AFTER", "IDLE_WAIT", "Polling"]

IDLE_WAIT, IDLE_AFTER = 3.0, 600.0
"""Seconds between two questions of a node without work for so long: an idle night costs little."""

_LONGEST_HEAD_START = 0.5
"""Seconds. What comes much earlier than the last time waits no longer than that."""


class Polling:
    """Waits between two questions, a little longer each time, and starts over after news.

    Every question costs the one who is asked, and a SuperLink answers one at a time. What is asked
    for again and again, such as the replies of one round after another, takes about as long each
    time. So after :meth:`begin` nobody asks before three quarters of that time have passed, and
    then in steps of an eighth of it. What is there by then counts as having taken so long: the
    time shrinks until something is not there yet. The seconds of the question itself do not count,
    as they come again each time and would keep the time from shrinking.

    Parameters
    ----------
    first, most : float
        Seconds of the shortest and of the longest wait.
    growth : float
        How much longer each wait is than the one before it.

    Examples
    --------
    >>> polling, asked = Polling(first=0.001, most=0.01), 0
    >>> polling.begin()
    >>> while asked < 3:
    ...     polling.sleep(at_most=1.0)
    ...     asked += 1
    >>> polling.note_news()
    """

    def __init__(self, first: float = 0.01, most: float = 0.5, growth: float = 1.4) -> None:
        self._first, self._most, self._growth = first, most, growth
        self._next = first
        self._usual = 0.0
        self._began: float | None = None
        self._asks = 0.0

    def begin(self, at_most: float = math.inf) -> None:
        """Begin to wait for the next one, and be away for most of the time that the last one took.

        Parameters
        ----------
        at_most : float
            Seconds that there are.
        """
        self._began = time.monotonic()
        if (head_start := min(self._usual * 3 / 4, _LONGEST_HEAD_START, at_most)) > 0:
            time.sleep(head_start)
        # From here on it is the question that takes time, which is not counted: see above.
        self._asks = time.monotonic()
        self._next = self._shortest()

    def note_news(self) -> None:
        """Start over with the shortest wait; the first news since the beginning tell the time."""
        if self._began is not None:
            self._usual, self._began = self._asks - self._began, None
        self._next = self._shortest()

    def sleep(self, at_most: float = math.inf, at_least: float = 0.0) -> None:
        """Wait: at least `at_least` seconds, and never more than `at_most`."""
        time.sleep(max(0.0, min(max(self._next, at_least), at_most)))
        self._asks = time.monotonic()
        self._next = min(self._next * self._growth, self._most)

    def _shortest(self) -> float:
        return min(max(self._first, self._usual / 8), self._most)
