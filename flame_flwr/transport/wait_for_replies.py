"""Sending messages over a Flower ``Grid`` and taking the replies as they come.

``Grid.send_and_receive`` sleeps three seconds between polls and holds every reply at once. This
polls soon and then less often, and yields each reply as it is there.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from flwr.app import Error, Message

from flame_flwr.errors import NodesMissingError
from flame_flwr.flower import set_message_id
from flame_flwr.flower_objects import is_remote
from flame_flwr.flower_single_record import leaving_out_known
from flame_flwr.log import logger
from flame_flwr.polling import Polling
from flame_flwr.transport.packing import pack_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from flwr.serverapp import Grid

    from flame_flwr.transport.arrivals import Arrivals
    from flame_flwr.transport.reconnecting import Reconnecting

    Sent = dict[str, Message]

__all__ = ["NO_ANSWER", "counted", "pull", "push", "shortened"]

NO_ANSWER = 9001
"""Error code of the reply that stands for a node that did not answer in time."""

_SAY_EVERY = 30.0
_LAST = 10.0
"""Seconds after the limit in which what is there is still fetched, part by part."""

_WAIT_PER_NODE = 1e-4
"""Seconds between two polls for each node that is waited for; Flower's own waits 0.1 s for any."""


def push(
    grid: Grid, messages: Sequence[Message], what: str, packing: Mapping[int, str] | None = None
) -> tuple[Sent, list[Message]]:
    """Push messages; return those sent, by the ids that replies will name, and those refused.

    The SuperLink refuses a message to a node that it no longer knows.

    Parameters
    ----------
    grid : Grid
        Flower's.
    messages : sequence of Message
        To nodes.
    what : str
        What is asked, for the error.
    packing : mapping of int to str, optional
        By the addresses of the nodes that take small messages as one record, its name.

    Raises
    ------
    NodesMissingError
        It took none at all, as too large.
    """
    packed = pack_each(messages, packing or {})
    # Flower gives no id for a message that the SuperLink refuses, and no ids at all where it takes
    # the whole request for too large.
    with leaving_out_known(packed) if is_remote(grid) else nullcontext():
        ids = list(grid.push_messages(packed)) if messages else []
    if len(ids) != len(messages):
        raise NodesMissingError(
            f"{what}: the SuperLink took none of {len(messages)} messages: they are too large"
        )
    pairs = list(zip(ids, messages, strict=True))
    refused = [message for key, message in pairs if not key]
    return {key: message for key, message in pairs if key}, refused


def pull(
    grid: Grid,
    sent: Sent,
    *,
    timeout: float,
    what: str,
    arrivals: Arrivals,
    names: dict[str, str] | None = None,
    reconnecting: Reconnecting | None = None,
    refused: Iterable[Message] = (),
    later: Sent | None = None,
    missing: Callable[[], Sequence[str]] = list,
    polling: Polling | None = None,
    look: Callable[[], None] | None = None,
) -> Iterator[Message]:
    """Yield one reply to every message that was sent.

    Parameters
    ----------
    grid : Grid
        Flower's.
    sent : dict of str to Message
        What :func:`push` returned.
    timeout : float
        Seconds, for all of them together. Those in which the caller works on a reply do not count.
    what : str
        What is waited for, such as ``round 3``, for the log.
    arrivals : Arrivals
        Of this exchange: takes the replies over the Grid.
    names : dict of str to str, optional
        The nodes' names by message id; gets those of messages that are sent again.
    reconnecting : Reconnecting, optional
        Finds the nodes that were gone and are back: they are asked again.
    refused : iterable of Message
        What the SuperLink did not take; with `reconnecting`, their nodes are waited for.
    later : dict of str to Message, optional
        By the nodes' names, messages that are sent one by one as those before them are answered.
    missing : callable
        Gives the names for the log where `names` has none yet.
    polling : Polling, optional
        Knows how long the replies before these took.
    look : callable, optional
        Called again and again while replies are waited for.

    Yields
    ------
    Message
        In order of arrival. For a node that did not answer in time, or whose message was refused,
        an error message with the code :data:`NO_ANSWER`.
    """
    names = names if names is not None else {}
    for key, message in sent.items():
        names.setdefault(key, str(message.metadata.dst_node_id))
    owed = _Unanswered(grid, what, sent, later or {}, names, reconnecting)
    for message in refused:
        yield from owed.refused(message, names[message.metadata.message_id])
    report = _Report(what, timeout, len(owed.nodes))
    polling = polling or Polling()
    polling.begin(at_most=timeout)
    while owed.nodes:
        # Asked before the look and not after it: what is there when the time is over still counts.
        fresh, over = False, report.left() <= 0
        for reply in arrivals.take(owed.message_ids()):
            if not owed.is_settled_by(reply):
                continue
            fresh = True
            with report.paused():
                yield reply
            del reply  # it may be large, and the next one comes
        owed.ask_those_back()
        yield from owed.ask_more()
        if fresh:  # also of the last ones, or the time of one slow round would stay for all
            polling.note_news()
        left = report.left()
        # A reply of which parts keep coming is no silent node: it gets a little longer.
        if not owed.nodes or (over and (left < -_LAST or not arrivals.moving)):
            break
        report.say(missing() or owed.nodes)
        if look is not None:
            look()
        if arrivals.moving:
            continue
        # A poll costs the SuperLink time for every node that is waited for: in a simulation of a
        # thousand, whose news never end, it would have no time left for the nodes.
        polling.sleep(left, at_least=_WAIT_PER_NODE * len(owed.waiting))
    yield from owed.given_up(arrivals, timeout)


class _Unanswered:
    """The nodes of an exchange whose answers are still to come, and what each was asked.

    One node may have been sent several messages, because it was gone, or none yet, because only a
    few are under way at a time. So what is owed is a node's answer, and not a message's reply.
    """

    def __init__(
        self,
        grid: Grid,
        what: str,
        sent: Sent,
        later: Sent,
        names: dict[str, str],
        reconnecting: Reconnecting | None,
    ) -> None:
        self.nodes = {names[key]: message for key, message in sent.items()} | later
        self.waiting = dict(sent)
        self._grid, self._what = grid, what
        self._later, self._at_once = dict(later), len(sent)
        self._names = names
        self._reconnecting = reconnecting

    def refused(self, message: Message, name: str) -> Iterator[Message]:
        """Yield the failure of a node whose message was refused, unless it may come back."""
        self._names[message.metadata.message_id] = name
        if self._reconnecting is None:
            self.nodes.pop(name, None)
            yield Message(Error(NO_ANSWER, "its SuperNode is gone"), reply_to=message)
            return
        self._reconnecting.lose(name)
        self.nodes[name] = message

    def message_ids(self) -> list[str]:
        """Return the ids of the messages whose replies still count."""
        return [key for key in self.waiting if self._names[key] in self.nodes]

    def is_settled_by(self, reply: Message) -> bool:
        """Tell whether a reply is its node's answer, and then wait for that node no longer."""
        key = reply.metadata.reply_to_message_id
        if self.waiting.pop(key, None) is None or (name := self._names[key]) not in self.nodes:
            return False  # the second answer of a node that was asked twice
        if self._reconnecting is not None and self._reconnecting.takes(name, reply):
            return False
        del self.nodes[name]
        return True

    def ask_those_back(self) -> None:
        """Ask the nodes again that were gone and are back."""
        if self._reconnecting is None:
            return
        # As Flower sends it: what runs there now has not said that it takes packed messages.
        again, _ = push(self._grid, self._reconnecting.messages(self.nodes), self._what)
        self.waiting.update(again)
        self._names.update({key: self._reconnecting.name(each) for key, each in again.items()})

    def ask_more(self) -> Iterator[Message]:
        """Ask the next nodes, as many as have answered; yield failures of those that are gone."""
        for name in list(self._later)[: max(0, self._at_once - len(self.waiting))]:
            sent, refused = push(self._grid, [self._later.pop(name)], self._what)
            self.waiting.update(sent)
            self._names.update(dict.fromkeys(sent, name))
            for message in refused:
                yield from self.refused(message, name)

    def given_up(self, arrivals: Arrivals, timeout: float) -> Iterator[Message]:
        """Yield an error in place of every answer that has not come."""
        late = {self._names[key]: arrivals.late(key) for key in self.waiting}
        for name, message in self.nodes.items():
            if name in self._later:  # it was never sent, so it has no id by which its node is known
                set_message_id(message, name)
                self._names[name] = name
            part = f"; {late[name]}" if late.get(name) else ""
            reason = f"no answer within {timeout:.0f} s{part}"
            yield Message(Error(NO_ANSWER, reason), reply_to=message)


class _Report:
    """Says now and then what is waited for, and how long already."""

    def __init__(self, what: str, timeout: float, count: int) -> None:
        self._what, self._timeout, self._count = what, timeout, count
        self._started = self._said = time.monotonic()

    def left(self) -> float:
        """Return the seconds that are left."""
        return self._started + self._timeout - time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time within: it is the server's own, and no node's."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._started += time.monotonic() - began

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
