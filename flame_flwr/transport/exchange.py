"""Sending messages over a Flower ``Grid`` and taking the replies as they come.

``Grid.send_and_receive`` sleeps three seconds between polls and holds every reply at once. This
polls soon and then less often, and yields each reply as it is there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flwr.app import ArrayRecord, Error, Message

from flame_flwr.errors import NodesMissingError
from flame_flwr.flower import lean_arrays, prompt_objects
from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flwr.serverapp import Grid

    from flame_flwr.transport.reconnecting import Reconnecting

    Sent = dict[str, Message]

__all__ = ["NO_ANSWER", "Backoff", "Sizes", "counted", "pull", "push", "shortened"]

NO_ANSWER = 9001
"""Error code of the reply that stands for a node that did not answer in time."""

_PULLED_AT_ONCE = 64 * 2**20
_SAY_EVERY = 30.0
_WAIT_PER_NODE = 1e-4
"""Seconds between two polls for each node that is waited for; Flower's own waits 0.1 s for any."""


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

    def sleep(self, at_most: float, at_least: float = 0.0) -> None:
        """Wait: at least `at_least` seconds, and never more than `at_most`."""
        time.sleep(max(0.0, min(max(self._next, at_least), at_most)))
        self._next = min(self._next * 1.4, self._most)


def push(grid: Grid, messages: Sequence[Message], what: str) -> tuple[Sent, list[Message]]:
    """Push messages; return those sent, by the ids that replies will name, and those refused.

    The SuperLink refuses a message to a node that it no longer knows.

    Raises
    ------
    NodesMissingError
        It took none at all, as too large.
    """
    ids = list(grid.push_messages(messages)) if messages else []
    if len(ids) != len(messages):
        raise NodesMissingError(
            f"{what}: the SuperLink took none of {len(messages)} messages: they are too large"
        )
    pairs = list(zip(ids, messages, strict=True))
    refused = [message for key, message in pairs if not key]
    return {key: message for key, message in pairs if key}, refused


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

    def note(self, reply: Message) -> None:
        """Look how large a reply is."""
        for record in reply.content.values() if reply.has_content() else ():
            if isinstance(record, ArrayRecord):
                size = sum(len(array.data) for array in record.values())
                self.largest = max(self.largest, size)

    def batches(self, ids: list[str]) -> Iterator[list[str]]:
        """Yield ids by as many as are to be pulled at once."""
        while ids:
            size = max(1, _PULLED_AT_ONCE // self.largest) if self.largest else 1
            yield ids[:size]
            ids = ids[size:]


def pull(
    grid: Grid,
    sent: Sent,
    *,
    timeout: float,
    what: str,
    sizes: Sizes,
    names: dict[str, str] | None = None,
    reconnecting: Reconnecting | None = None,
    refused: Iterable[Message] = (),
    missing: Callable[[], Sequence[str]] = list,
) -> Iterator[Message]:
    """Yield one reply to every message that was sent.

    Parameters
    ----------
    grid : Grid
        Flower's.
    sent : dict of str to Message
        What :func:`push` returned.
    timeout : float
        Seconds, for all of them together.
    what : str
        What is waited for, such as ``round 3``, for the log.
    sizes : Sizes
        Says how many are pulled at once.
    names : dict of str to str, optional
        The nodes' names by message id; gets those of messages that are sent again.
    reconnecting : Reconnecting, optional
        Finds the nodes that were gone and are back: they are asked again.
    refused : iterable of Message
        What the SuperLink did not take; with `reconnecting`, their nodes are waited for.
    missing : callable
        Gives the names for the log where `names` has none yet.

    Yields
    ------
    Message
        In order of arrival. For a node that did not answer in time, or whose message was refused,
        an error message with the code :data:`NO_ANSWER`.
    """
    names = names if names is not None else {}
    for key, message in sent.items():
        names.setdefault(key, str(message.metadata.dst_node_id))
    waiting, unanswered = dict(sent), {names[key]: message for key, message in sent.items()}
    for message in refused:
        if reconnecting is None:
            yield Message(Error(NO_ANSWER, "its SuperNode is gone"), reply_to=message)
            continue
        name = names[message.metadata.message_id]
        reconnecting.lose(name)
        unanswered[name] = message
    report = _Report(what, timeout, len(unanswered))
    backoff = Backoff()
    while unanswered:
        fresh = False
        for ids in sizes.batches(list(waiting)):
            with lean_arrays(), prompt_objects():
                replies = list(grid.pull_messages(ids))
            while replies:
                reply = replies.pop(0)
                key = reply.metadata.reply_to_message_id
                if waiting.pop(key, None) is None or names[key] not in unanswered:
                    continue  # the second answer of a node that was asked twice
                if reconnecting is not None and reconnecting.takes(names[key], reply):
                    continue
                del unanswered[names[key]]
                fresh = True
                sizes.note(reply)
                yield reply
                del reply  # it may be large, and the next one comes
        if reconnecting is not None:
            again, _ = push(grid, reconnecting.messages(unanswered), what)
            waiting.update(again)
            names.update({key: reconnecting.name(message) for key, message in again.items()})
        left = report.left()
        if not unanswered or left <= 0:
            break
        report.say(missing() or unanswered)
        if fresh:
            backoff.reset()
        # A poll costs the SuperLink time for every node that is waited for: in a simulation of a
        # thousand, whose news never end, it would have no time left for the nodes.
        backoff.sleep(left, at_least=_WAIT_PER_NODE * len(unanswered))
    for message in unanswered.values():
        reason = f"no answer within {timeout:.0f} s"
        yield Message(Error(NO_ANSWER, reason), reply_to=message)


class _Report:
    """Says now and then what is waited for, and how long already."""

    def __init__(self, what: str, timeout: float, count: int) -> None:
        self._what, self._timeout, self._count = what, timeout, count
        self._started = self._said = time.monotonic()

    def left(self) -> float:
        """Return the seconds that are left."""
        return self._started + self._timeout - time.monotonic()

    def say(self, unanswered: Iterable[str]) -> None:
        """Log who is missing, if it is time to."""
        now = time.monotonic()
        if now - self._said > _SAY_EVERY:
            self._said = now
            missing = list(unanswered)
            logger.info(
                "%s: waiting for %d of %d nodes: missing %s, %.0f s of %.0f s",
                self._what,
                len(missing),
                self._count,
                shortened(missing),
                now - self._started,
                self._timeout,
            )


def counted(number: int) -> str:
    """Return ``1 node``, ``2 nodes`` and so on."""
    return f"{number} node" if number == 1 else f"{number} nodes"


def shortened(names: Sequence[str], most: int = 20) -> str:
    """Return names with commas between, of many only the first."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
