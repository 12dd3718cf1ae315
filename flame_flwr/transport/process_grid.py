"""A Flower ``Grid`` in this process: a message is answered when its reply is pulled."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Self

from flwr.app import Message
from flwr.serverapp import Grid

from flame_flwr.flower import Run, in_process, set_message_id
from flame_flwr.transport.local_message import LocalRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flwr.app import RecordDict

__all__ = ["ProcessGrid"]

_RUN_IDS = count(1)
"""Every run of this process has an id of its own: some may be under way in other threads."""


class ProcessGrid(Grid):
    """The base of the Grids in this process; nodes' ids are 1, 2 and so on.

    Parameters
    ----------
    nodes : int
        How many there are.
    """

    def __init__(self, nodes: int) -> None:
        self._run = Run.create_empty(next(_RUN_IDS))
        self._node_ids = list(range(1, nodes + 1))
        self.messages: dict[str, Message] = {}
        self._numbers = count(1)
        self._stack = ExitStack()

    @abstractmethod
    def answer(self, message: Message) -> Message:
        """Return the answer of the node that a message goes to."""

    def __enter__(self) -> Self:
        """Make messages possible in this process."""
        self._stack.enter_context(in_process(self._run.run_id, 0))
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the process as it was."""
        self._stack.close()

    def set_run(self, run: Run) -> None:
        """Set the run."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message; as the ``Message`` constructor does."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Return 1 to the number of nodes."""
        return list(self._node_ids)

    def number(self, message: Message) -> str:
        """Give a message the id that its reply will name, and return it."""
        message_id = f"message-{next(self._numbers)}"
        # A local message is given Flower's metadata when somebody asks for them: most never are.
        if isinstance(message, LocalRequest):
            message.message_id = message_id
        if not isinstance(message, LocalRequest) or message.made:
            set_message_id(message, message_id)
        return message_id

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Keep the messages until their replies are pulled."""
        ids = []
        for message in messages:
            ids.append(self.number(message))
            self.messages[ids[-1]] = message
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Run the nodes and return their replies, in the order asked for."""
        return [self.answer(self.messages.pop(key)) for key in message_ids if key in self.messages]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Push and pull. There is nothing to wait for, so `timeout` has no effect."""
        return self.pull_messages(self.push_messages(messages))
