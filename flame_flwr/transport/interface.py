"""The seam between the loop and the nodes: who takes part, and asking them.

Two things implement it: :class:`flame_flwr.transport.grid.GridTransport` over a Flower ``Grid``,
and :class:`flame_flwr.transport.in_process.InProcess`, which calls the nodes in this process.
Neither knows the strategy: messages go in, replies come out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from flwr.app import Message

from flame_flwr.transport.local_message import request_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flwr.app import ArrayRecord, ConfigRecord
    from flwr.serverapp import Grid

    from flame_flwr.transport.greeting import Greeting

__all__ = ["Transport"]


class Transport(ABC):
    """Asks nodes, and yields what they answer.

    Parameters
    ----------
    session : str
        The analysis's own id.

    Attributes
    ----------
    addresses : dict of str to int
        Flower's node ids by the nodes' names, in participant order; empty before :meth:`hello`.
    asked : dict of str to str
        The nodes' names in the exchange under way, by the ids of the messages they were sent.
    """

    def __init__(self, session: str) -> None:
        self.session = session
        self.addresses: dict[str, int] = {}
        self.asked: dict[str, str] = {}

    @property
    @abstractmethod
    def grid(self) -> Grid:
        """The Grid that a strategy's own methods are given."""

    @abstractmethod
    def hello(self, *, reads_first: bool = False, secure: bool = False) -> list[Greeting]:
        """Wait for the nodes and ask each who it is.

        Parameters
        ----------
        reads_first : bool
            Whether nodes read their data before they answer.
        secure : bool
            Whether they are asked for their keys for secure sums.

        Returns
        -------
        list of Greeting
            In participant order; with ``on-failure = "skip"`` also of nodes that cannot take part.
        """

    @abstractmethod
    def exchange(self, messages: Sequence[Message], what: str) -> Iterator[Message]:
        """Send messages and yield one reply to each, as they arrive.

        Parameters
        ----------
        messages : sequence of Message
            At most one for a node.
        what : str
            What is asked, such as ``round 3``, for log and errors.
        """

    def request(
        self,
        kind: str,
        address: int,
        arrays: ArrayRecord,
        config: ConfigRecord,
        *,
        ttl: float,
        group_id: str,
    ) -> Message:
        """Return a message to a node, of the aggregate and what is said beside it."""
        content = request_records(kind, arrays, config)
        return Message(content, address, kind, ttl=ttl, group_id=group_id)

    def sender(self, reply: Message) -> str:
        """Return the name of the node that a reply comes from.

        Flower answers itself for a node that is gone, so only the message that was asked tells.
        """
        return self.asked.get(reply.metadata.reply_to_message_id, "an unknown node")

    def take_part(self, greetings: Iterable[Greeting]) -> None:
        """Enter the addresses of those that can take part."""
        self.addresses = {g.name: g.address for g in greetings if g.failure is None}

    def names(self) -> dict[int, str]:
        """Return the nodes' names by their addresses."""
        return {address: name for name, address in self.addresses.items()}
