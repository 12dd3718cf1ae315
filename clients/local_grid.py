"""A Flower ``Grid`` in this process: real messages, one ``Context`` per node, no Ray.

It is for strategies that override Flower's Message methods, and for tests of clients.
"""

from __future__ import annotations

import copy
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Any

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from flame_flwr.clients.client import StarClient
from flame_flwr.flower import Run, in_process, message_like, set_message_id
from flame_flwr.transport.in_process import as_data

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flame_flwr.clients.node import NodePlan
    from flame_flwr.data.source import NodeData
    from flame_flwr.flower import Client

__all__ = ["LocalGrid"]

_RUN_IDS = count(1)


class LocalGrid(Grid):
    """A Grid whose nodes are called when their replies are pulled.

    Parameters
    ----------
    plan : NodePlan
        The model's part for nodes.
    splits : sequence
        Each node's data.
    client : type of StarClient
        A subclass of a user's own, where there is one.
    run_config : dict, optional
        What every node's ``Context`` has as its run config.
    """

    def __init__(
        self,
        plan: NodePlan,
        splits: Sequence[Any],
        client: type[StarClient] = StarClient,
        run_config: dict[str, Any] | None = None,
    ) -> None:
        self._run = Run.create_empty(next(_RUN_IDS))
        self._messages: dict[str, Message] = {}
        self._numbers = count(1)
        self._stack = ExitStack()
        self._contexts = {}
        self._apps = {}
        for i, split in enumerate(splits):
            node_id = i + 1
            self._contexts[node_id] = Context(
                run_id=self._run.run_id,
                node_id=node_id,
                node_config={"partition-id": i, "num-partitions": len(splits)},
                state=RecordDict(),
                run_config=dict(run_config or {}),
            )
            self._apps[node_id] = ClientApp(_client_fn(plan, client, as_data(split)))

    def __enter__(self) -> LocalGrid:
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
        """Return 1 to the number of splits."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Keep the messages until their replies are pulled."""
        ids = []
        for message in messages:
            message_id = f"message-{next(self._numbers)}"
            set_message_id(message, message_id)
            self._messages[message_id] = message
            ids.append(message_id)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Run the nodes and return their replies, in the order asked for."""
        return [
            self._answer(self._messages.pop(key)) for key in message_ids if key in self._messages
        ]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Push and pull. There is nothing to wait for, so `timeout` has no effect."""
        return self.pull_messages(self.push_messages(messages))

    def _answer(self, message: Message) -> Message:
        node_id = message.metadata.dst_node_id
        if node_id not in self._apps:
            return Message(Error(1, f"no node {node_id}"), reply_to=message)
        # Messages of a round share their records: a node gets records of its own.
        own = message_like(message, copy.deepcopy(message.content))
        return self._apps[node_id](own, self._contexts[node_id])


def _client_fn(plan: NodePlan, client: type[StarClient], data: NodeData) -> Any:
    def client_fn(context: Context) -> Client:
        made = client(plan, context)

        def open_data() -> NodeData | None:
            return None if plan.data_type == "none" else data

        made.open_data = open_data  # type: ignore[method-assign]
        return made.to_client()

    return client_fn
