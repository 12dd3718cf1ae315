"""Sending messages over a Flower ``Grid`` and taking the replies as they come.

``Grid.send_and_receive`` sleeps three seconds between polls and holds every reply at once. This
polls soon and then less often, and yields each reply as it is there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flwr.app import Error, Message

from flame_flwr.errors import NodesMissingError
from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flwr.serverapp import Grid

__all__ = ["NO_ANSWER", "Backoff", "pull", "push"]

NO_ANSWER = 9001
"""Error code of the reply that stands for a node that did not answer in time."""

_PULLED_AT_ONCE = 64 * 2**20
_SAY_EVERY = 30.0


class Backoff:
    """Waits a little longer each time, up to a limit, and starts over after news.

    Parameters
    ----------
    first, most : float
        Seconds of the first and of the longest wait.
    """

    def __init__(self, first: float = 0.01, most: float = 0.5) -> None:
        self._first, self._most = first, most
        self._next = first

    def reset(self) -> None:
        """Start over with the shortest wait."""
        self._next = self._first

    def sleep(self, at_most: float) -> None:
        """Wait, but not longer than `at_most` seconds."""
        time.sleep(max(0.0, min(self._next, at_most)))
        self._next = min(self._next * 1.4, self._most)


def push(grid: Grid, messages: Sequence[Message], what: str) -> dict[str, Message]:
    """Push messages and return them by the ids that replies will name.

    Raises
    ------
    NodesMissingError
        The SuperLink did not take one of them, as for a node that has just gone.
    """
    ids = list(grid.push_messages(messages))
    if len(ids) != len(messages) or None in ids:
        raise NodesMissingError(
            f"{what}: the SuperLink took {len([i for i in ids if i])} of {len(messages)} messages; "
            "is a node gone, or a message too large?"
        )
    return dict(zip(ids, messages, strict=True))


def pull(
    grid: Grid,
    sent: dict[str, Message],
    *,
    timeout: float,
    largest: Callable[[], int],
    what: str,
) -> Iterator[Message]:
    """Yield a reply for every message sent.

    Parameters
    ----------
    grid : Grid
        Flower's.
    sent : dict of str to Message
        What :func:`push` returned.
    timeout : float
        Seconds, for all of them together.
    largest : callable
        Gives the largest reply's bytes so far: where replies are large, few are pulled at once,
        so that the server does not hold all of them.
    what : str
        What is waited for, such as ``round 3``, for the log.

    Yields
    ------
    Message
        In order of arrival. For a node that did not answer in time, an error message with the
        code :data:`NO_ANSWER`.
    """
    started = said = time.monotonic()
    waiting = dict(sent)
    backoff = Backoff()
    while waiting:
        fresh = False
        for ids in _batches(list(waiting), max(1, _PULLED_AT_ONCE // max(1, largest()))):
            for reply in grid.pull_messages(ids):
                if waiting.pop(reply.metadata.reply_to_message_id, None) is not None:
                    fresh = True
                    yield reply
        now = time.monotonic()
        left = started + timeout - now
        if not waiting or left <= 0:
            break
        if now - said > _SAY_EVERY:
            said = now
            answered = f"{len(sent) - len(waiting)} of {len(sent)} nodes have answered"
            logger.info("%s: %s, %.0f s of %.0f s", what, answered, now - started, timeout)
        if fresh:
            backoff.reset()
        backoff.sleep(left)
    for message in waiting.values():
        reason = f"no answer within {timeout:.0f} s"
        yield Message(Error(NO_ANSWER, reason), reply_to=message)


def _batches(ids: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
