"""The node's clock against the server's, as every answer of the server tells it.

Flower signs each call with the time. A server refuses what comes from more than five seconds in
its future, or five minutes in its past, with the same answer as an unknown key.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from flame_flwr.log import logger

if TYPE_CHECKING:
    from flame_flwr.flower_node import ServerReply

__all__ = ["ServerClock"]

_REFUSED = 401
_AHEAD, _BEHIND = 4.0, -300.0
"""Seconds from which on a refusal may be the clock's: a second less than Flower's limits, as the
server's ``Date`` has whole seconds."""

_WORTH_SAYING = 2.0
_SAY_EVERY, _REMIND_EVERY = 60.0, 3600.0
_MEND = (
    "set the clock that is wrong, as with `timedatectl set-ntp true`: the server refuses a node "
    "that is more than 5 s ahead or 5 minutes behind"
)


class ServerClock:
    """What is known of the server's clock, and of the last contact with it.

    Attributes
    ----------
    difference : float or None
        Seconds that this node's clock is ahead of the server's, to about a second; below 0 it is
        behind. ``None`` until the server has answered.
    last_contact : float or None
        When the server last took a call, in seconds since 1970 by this node's clock.
    is_unknown : bool
        Whether the server has refused this node's key, with clocks that agree.
    """

    def __init__(self) -> None:
        self.difference: float | None = None
        self.last_contact: float | None = None
        self.is_unknown = False
        self._is_refused = False
        self._said_at = -_REMIND_EVERY

    def note_reply(self, reply: ServerReply) -> bool:
        """Take note of how the server has answered a call.

        Returns
        -------
        bool
            Whether the call was refused for the clock's sake, so that trying again helps once
            that is right.
        """
        ahead = _seconds_ahead(reply)
        if ahead is not None:
            self.difference = ahead
        if reply.status != _REFUSED:
            self._accepted(reply)
            return False
        if ahead is not None and not _BEHIND < ahead < _AHEAD:
            self._refused(ahead, reply)
            return True
        self.is_unknown = True  # the answer is the same; that the clocks agree leaves only this
        return False

    def _accepted(self, reply: ServerReply) -> None:
        self.last_contact = reply.answered_at
        if self._is_refused:
            self._is_refused = False
            self._said_at = time.monotonic()
            logger.info("the clocks agree again: the server takes this node's calls")
        elif abs(self.difference or 0.0) > _WORTH_SAYING and self._is_time(_REMIND_EVERY):
            logger.warning("%s: %s", self._words(self.difference or 0.0), _MEND)

    def _refused(self, ahead: float, reply: ServerReply) -> None:
        is_news, self._is_refused = not self._is_refused, True
        if self._is_time(0.0 if is_news else _SAY_EVERY):
            logger.error(
                "%s, so the server refuses this node: the server says %s, and here it was %s UTC. "
                "This node goes on trying, and comes back by itself. %s",
                self._words(ahead),
                reply.date,
                datetime.fromtimestamp(reply.asked_at, UTC).strftime("%H:%M:%S"),
                _MEND[0].upper() + _MEND[1:],
            )

    def _is_time(self, every: float) -> bool:
        """Tell whether it is time to say something again."""
        now = time.monotonic()  # which no change of the clock changes
        if now - self._said_at < every:
            return False
        self._said_at = now
        return True

    @staticmethod
    def _words(ahead: float) -> str:
        where = "ahead of" if ahead > 0 else "behind"
        return f"this node's clock is {abs(ahead):.0f} s {where} the server's"


def _seconds_ahead(reply: ServerReply) -> float | None:
    """Return how far this clock is ahead; ``None`` where the server does not say its time."""
    try:
        # `Date` has whole seconds, cut off: half a second later is the likeliest.
        server = parsedate_to_datetime(reply.date).timestamp() + 0.5
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    # The server wrote its time somewhere between the two: their middle is off by half of that most.
    return (reply.asked_at + reply.answered_at) / 2 - server
