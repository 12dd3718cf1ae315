"""``on-failure = "wait"``: find the nodes that were gone and are back, and ask them again.

A client process that dies gives an error after about a minute, and so does a SuperNode. One that
starts again within that minute gives none: its message is lost, and only the time of its
activation tells. A SuperNode without a key of its own comes back under another address.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flwr.app import Message

from flame_flwr.flower import GONE, online_nodes
from flame_flwr.log import logger
from flame_flwr.transport.arrivals import Arrivals
from flame_flwr.transport.greeting import parse_hello, send_hello
from flame_flwr.transport.registered import named_by_key, to_be_asked

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from flwr.serverapp import Grid

__all__ = ["Reconnecting"]

_LOOK_EVERY = 1.0
_ASK_AGAIN = 15.0
"""Seconds until a node that is back is asked again, when it said that it cannot take part."""

_MOST_TIMES = 5
"""How often a node is asked in one exchange: code that kills its process would do it again."""


class Reconnecting:
    """Knows of the nodes of one exchange which are gone, and which are back and are to be asked.

    Parameters
    ----------
    grid : Grid
        Flower's.
    addresses : dict of str to int
        The nodes' addresses by name; a node that comes back under another one is entered.
    messages : iterable of Message
        What each node was sent.
    session : str
        The analysis's own id.
    what : str
        Such as ``round 3``, for the log.
    """

    def __init__(
        self,
        grid: Grid,
        addresses: dict[str, int],
        messages: Iterable[Message],
        session: str,
        what: str,
    ) -> None:
        self._grid = grid
        self._hellos = Arrivals(grid)
        self._addresses = addresses
        self._session = session
        self._what = what
        by_address = {message.metadata.dst_node_id: message for message in messages}
        self._messages = {
            name: by_address[address]
            for name, address in addresses.items()
            if address in by_address
        }
        self._seen = online_nodes(grid)
        self._since = {address: node.activated for address, node in self._seen.items()}
        self._strangers = set(self._since) - set(addresses.values())
        self._known = set(self._since) | set(addresses.values())
        self._asked: dict[str, Message] = {}
        self._unable: dict[int, float] = {}
        self._found: dict[str, int] = {}
        self._lost: set[str] = set()
        self._times: dict[str, int] = {}
        self._looked = time.monotonic()

    def takes(self, name: str, reply: Message) -> bool:
        """Tell whether this reply says that the node is gone, and the node is waited for."""
        gone = reply.has_error() and reply.error.code in GONE
        if not gone or self._times.get(name, 1) >= _MOST_TIMES:
            return False
        self.lose(name)
        return True

    def lose(self, name: str) -> None:
        """Wait for a node that is gone."""
        if name not in self._lost:
            logger.warning("%s: node %s is gone; waiting for it", self._what, name)
        self._lost.add(name)

    @property
    def lost(self) -> set[str]:
        """The nodes that are gone and waited for."""
        return set(self._lost)

    def messages(self, unanswered: Container[str]) -> list[Message]:
        """Return new messages for the nodes that are back since the last look."""
        if time.monotonic() - self._looked < _LOOK_EVERY:
            return []
        self._looked = time.monotonic()
        nodes = online_nodes(self._grid)
        self._seen |= nodes
        online = {address: node.activated for address, node in nodes.items()}
        # Nodes that take no part are asked who they are, too: a lost one may have come back among
        # them, under another address, before this exchange began.
        if self._lost:
            self._known -= self._strangers
            self._strangers = set()
        self._find(set(online) - self._known)
        self._adopt(online)
        again = []
        for name in self._messages:
            address = self._addresses[name]
            if name not in unanswered or address not in online:
                continue
            # A SuperNode that is killed and back within a minute was never offline to Flower. Its
            # message is lost all the same, and only its new time of activation says so.
            restarted = online[address] != self._since.get(address, online[address])
            if name in self._lost or restarted:
                again.append(self._again(name, address))
                self._since[address] = online[address]
        return again

    def name(self, message: Message) -> str:
        """Return the name of the node that a message goes to."""
        address = message.metadata.dst_node_id
        return next(name for name, known in self._addresses.items() if known == address)

    def _again(self, name: str, address: int) -> Message:
        logger.warning("%s: node %s is back; asking it again", self._what, name)
        self._lost.discard(name)
        self._times[name] = self._times.get(name, 1) + 1
        first = self._messages[name]
        return Message(
            first.content,
            address,
            first.metadata.message_type,
            ttl=first.metadata.ttl,
            group_id=first.metadata.group_id,
        )

    def _find(self, addresses: set[int]) -> None:
        """Say hello to new nodes, and read their answers: one of them may be one that was gone."""
        # One that was back and could not take part may be able to after a while.
        addresses |= {address for address, when in self._unable.items() if when < self._looked}
        self._known |= addresses
        for address in addresses:
            self._unable.pop(address, None)
        asked = to_be_asked(sorted(addresses), self._seen, self._messages)
        self._asked |= send_hello(self._grid, asked, self._session)
        for reply in self._hellos.take(list(self._asked)) if self._asked else ():
            greeting = parse_hello(self._asked.pop(reply.metadata.reply_to_message_id), reply)
            if greeting is None:
                continue
            # A name is what a node says, and its key what the SuperLink has checked.
            greeting = named_by_key(greeting, self._seen)
            if greeting.name not in self._messages:
                continue
            if greeting.failure is None:
                self._found[greeting.name] = greeting.address
            else:
                self._unable[greeting.address] = self._looked + _ASK_AGAIN
                text = "%s: node %s is back and cannot take part yet: %s"
                logger.warning(text, self._what, greeting.name, greeting.failure)

    def _adopt(self, online: Container[int]) -> None:
        """Take new addresses for nodes that are gone; another node of that name stays out."""
        # While the old address is online its node may still answer, and two must not count as one.
        for name, address in list(self._found.items()):
            if name in self._lost or self._addresses[name] not in online:
                del self._found[name]
                self._addresses[name] = address
                self._lost.add(name)
