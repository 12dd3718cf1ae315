"""A Flower ``Grid`` whose nodes are ClientApps in this process: real messages, and no Ray.

It is for clients of a user's own, and for tests of clients.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from flame_flwr.clients.client import StarClient
from flame_flwr.clients.reply_gate import ReplyGate
from flame_flwr.flower import message_like
from flame_flwr.transport.in_process import as_data
from flame_flwr.transport.process_grid import ProcessGrid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.clients.node import NodePlan
    from flame_flwr.data.source import NodeData
    from flame_flwr.flower import Client

__all__ = ["LocalGrid"]


class LocalGrid(ProcessGrid):
    """A Grid with one ClientApp and one ``Context`` per node.

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

    Attributes
    ----------
    apps : dict of int to ClientApp
        By the nodes' addresses.
    contexts : dict of int to Context
        Likewise: what Flower keeps of a node between messages.

    Examples
    --------
    >>> from flame_flwr.clients import NodePlan
    >>> from flame_flwr.star import StarAnalyzer
    >>> class Count(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         return 3
    >>> with LocalGrid(NodePlan(Count), splits=[None, None]) as grid:
    ...     sorted(grid.get_node_ids())
    [1, 2]
    """

    def __init__(
        self,
        plan: NodePlan,
        splits: Sequence[Any],
        client: type[StarClient] = StarClient,
        run_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(len(splits))
        self.apps: dict[int, ClientApp] = {}
        self.contexts = {}
        for node_id, split in enumerate(splits, start=1):
            self.apps[node_id] = _GatedApp(_client_fn(plan, client, as_data(split)))
            self.contexts[node_id] = Context(
                run_id=self.run.run_id,
                node_id=node_id,
                node_config={"partition-id": node_id - 1, "num-partitions": len(splits)},
                state=RecordDict(),
                run_config=dict(run_config or {}),
            )

    def answer(self, message: Message) -> Message:
        """Have a node's ClientApp answer a message."""
        node_id = message.metadata.dst_node_id
        if node_id not in self.apps:
            return Message(Error(1, f"no node {node_id}"), reply_to=message)
        # Messages of a round share their records: a node gets records of its own.
        own = message_like(message, copy.deepcopy(message.content))
        return self.apps[node_id](own, self.contexts[node_id])


class _GatedApp(ClientApp):
    """A ClientApp whose answers leave through the gate; its exceptions reach the caller."""

    def __call__(self, message: Message, context: Context) -> Message:
        gate = ReplyGate(message, context)
        return gate.let_out(gate.refusal() or super().__call__(message, context))


def _client_fn(plan: NodePlan, client: type[StarClient], data: NodeData) -> Any:
    def client_fn(context: Context) -> Client:
        made = client(plan, context)

        # On the instance, before what a subclass may have of its own: here the splits are the data.
        def open_data() -> NodeData | None:
            return None if plan.data_type == "none" else data

        made.open_data = open_data  # type: ignore[method-assign]
        return made.to_client()

    return client_fn
