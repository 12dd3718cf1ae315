"""Taking the replies to an exchange, each at its own pace and within its limit.

Until a reply is complete it concerns nobody but its node: it delays no other reply, and takes no
more memory than a node may have. What it says is read in :mod:`flame_flwr.transport.read_reply`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from flwr.app import ArrayRecord, Error

from flame_flwr.errors import PayloadError
from flame_flwr.flower import message_like
from flame_flwr.flower_arrays import MessageTooLargeError
from flame_flwr.flower_objects import (
    SMALL,
    TOO_LARGE,
    UNREADABLE,
    ArrivingReply,
    is_remote,
    pull_replies,
)
from flame_flwr.transport.packing import is_packed, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flwr.app import Message
    from flwr.serverapp import Grid

__all__ = ["Arrivals", "Sizes"]

_PULLED_AT_ONCE = 64 * 2**20
_HELD_TOGETHER = 2**30
"""Bytes of replies that have arrived in part, above which only the fullest of them goes on: without
that, a thousand nodes that each send half an answer fill the server's memory. It is as many as one
reply may have, where that is more."""


class Sizes:
    """How many replies are pulled at once: where they are large, a few.

    So the server does not hold all of them, and one at a time while no size is known.

    Parameters
    ----------
    largest : int
        Bytes of the largest reply so far; 0 while none is known.
    """

    def __init__(self, largest: int = 0) -> None:
        self.largest = largest

    def note(self, size: int) -> None:
        """Note how many bytes a reply had."""
        self.largest = max(self.largest, size)

    def batches(self, ids: list[str]) -> Iterator[list[str]]:
        """Yield the ids in lists of as many as are to be pulled at once."""
        while ids:
            # Read anew for every batch: the replies of the last one may have been larger.
            size = max(1, _PULLED_AT_ONCE // self.largest) if self.largest else 1
            yield ids[:size]
            ids = ids[size:]


class Arrivals:
    """The replies to one exchange.

    Parameters
    ----------
    grid : Grid
        Flower's.
    most : int, optional
        How many bytes a reply may have. Without it as many as an answer to hello, which is small.
    sizes : Sizes, optional
        Says how many are pulled at once, where a Grid gives whole replies only.
    """

    def __init__(self, grid: Grid, most: int = SMALL, sizes: Sizes | None = None) -> None:
        self._grid = grid
        self._most = most
        self._sizes = sizes or Sizes(largest=1)
        self._arriving: dict[str, ArrivingReply] = {}

    def take(self, ids: Sequence[str]) -> Iterator[Message]:
        """Yield the replies that are complete, and an error in place of one that cannot be had.

        Parameters
        ----------
        ids : sequence of str
            The messages whose replies are waited for.
        """
        if not is_remote(self._grid):
            for batch in self._sizes.batches(list(ids)):
                replies = list(self._grid.pull_messages(batch))
                while replies:  # none is held that has been yielded
                    reply = replies.pop(0)
                    error = self._open(reply)
                    yield reply if error is None else message_like(reply, error=error)
                    del reply
            return
        # A SuperLink gives the ids of a reply's objects once, so those of earlier calls are kept.
        known = {key: self._arriving[key] for key in ids if key in self._arriving}
        new = [key for key in ids if key not in known]
        found = pull_replies(self._grid, new, self._most) if new else []
        self._arriving = known | {reply.answers: reply for reply in found}
        for key in list(self._arriving):
            # Asked for each anew: the caller may have let go of the one that it got before.
            if not self._has_room(key):
                continue
            message = self._continued(self._arriving[key])
            if message is not None:
                del self._arriving[key]
                error = self._open(message)
                yield message if error is None else message_like(message, error=error)
                del message

    @property
    def moving(self) -> bool:
        """Whether there is more to pull now, of a reply that has begun to arrive."""
        return any(reply.moving for reply in self._arriving.values())

    def late(self, key: str) -> str:
        """Say of a reply that it has arrived in part; ``''`` of one that has not."""
        reply = self._arriving.get(key)
        if reply is None:
            return ""
        return (
            f"{reply.parts - reply.missing} of {reply.parts} parts of it are there: raise "
            "`round-timeout` in the run config if its line is slow"
        )

    def _has_room(self, key: str) -> bool:
        """Tell whether more of a reply may be held; above the limit only one of them goes on."""
        # Those that wait for their node are let go first; of the rest one is completed at a time.
        replies = self._arriving.values()
        if sum(reply.held for reply in replies) <= max(self._most, _HELD_TOGETHER):
            return True
        for reply in replies:
            if not reply.moving:
                reply.let_go()
        return self._arriving[key] is max(replies, key=lambda reply: reply.held)

    def _continued(self, reply: ArrivingReply) -> Message | None:
        try:
            return reply.take()
        except MessageTooLargeError:
            return reply.failed(TOO_LARGE, _too_large(self._most))

    def _open(self, message: Message) -> Error | None:
        """Unpack a reply in place; return an error where it is unreadable or too large."""
        try:
            if is_packed(message):
                message.content = unpack(message).content
            bulk, small = _content_bytes(message)
        except PayloadError as error:  # it is this node's failure, and of no other
            return Error(UNREADABLE, str(error))
        self._sizes.note(bulk)
        # Only arrays may be large: Python builds every value of the other records by itself.
        is_large = bulk + small > self._most or small > SMALL
        return Error(TOO_LARGE, _too_large(self._most)) if is_large else None


def _too_large(most: int) -> str:
    if most <= SMALL:
        return (
            f"its answer has more than {most / 2**20:g} MB, and what a node says of itself has a "
            "few kB: look at what this node runs"
        )
    return (
        f"its answer has more than {most / 2**20:g} MB, or more than {SMALL // 2**20} MB beside "
        "arrays: raise `max-answer-mb` in the run config if it may, else have the analysis return "
        "less"
    )


def _content_bytes(message: Message) -> tuple[int, int]:
    """Return how many bytes a reply's arrays have, and roughly how many all else has."""
    # By the bytes that are there: what an array says of its own shape may be made up.
    bulk = small = 0
    for record in message.content.values() if message.has_content() else ():
        if isinstance(record, ArrayRecord):
            bulk += sum(len(array.data) for array in record.values())
        else:
            small += sum(len(key) + _size(value) for key, value in record.items())
    return bulk, small


def _size(value: Any) -> int:
    if isinstance(value, list):
        return 8 * len(value) + sum(len(item) for item in value if isinstance(item, str | bytes))
    return len(value) if isinstance(value, str | bytes) else sys.getsizeof(value)
