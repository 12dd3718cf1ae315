"""The messages of a round: made for every node, and checked where a user's strategy made them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from flwr.app import ConfigRecord, Message, MessageType

from flame_flwr.errors import ModelError
from flame_flwr.transport.local_message import address_of
from flame_flwr.transport.wait_for_replies import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from flwr.app import ArrayRecord

    from flame_flwr.strategies.run_state import Run
    from flame_flwr.transport.interface import Transport

__all__ = ["ask_in_turn", "checked", "each_checked", "messages_for"]

_MARGIN = 60.0
"""Seconds that a message outlives the wait for its answer: the wait's own limit comes first."""


def messages_for(
    run: Run,
    kind: str,
    number: int,
    arrays: ArrayRecord,
    config: ConfigRecord,
    *,
    only: Collection[str] | None = None,
) -> list[Message]:
    """Return a message of that kind for every node that takes part; all share the aggregate.

    With `only` it is for these nodes.
    """
    # Shared by all nodes that are told the same, so that it is made and packed once for a thousand.
    configs: dict[tuple[bool, int], ConfigRecord] = {}

    def config_for(node: str) -> ConfigRecord:
        key = knows, after = node in run.answered, run.after.get(node, 0)
        if key not in configs:
            own = {**config, "round": number, "after": after, "session": run.transport.session}
            # Once in a run: the node keeps them, and those of a thousand nodes are long.
            everyone = {} if knows else {"analyzers": json.dumps(list(run.transport.addresses))}
            if run.sums is not None:
                of = number if kind == MessageType.TRAIN else None
                everyone |= run.sums.said(of, first=not knows)
            configs[key] = ConfigRecord({**own, **everyone})
        return configs[key]

    ttl, group, request = run.settings.round_timeout + _MARGIN, str(number), run.transport.request
    return [
        request(kind, address, arrays, config_for(node), ttl=ttl, group_id=group)
        for node, address in run.transport.addresses.items()
        if only is None or node in only
    ]


def checked(messages: Any, nodes: dict[int, str], owner: str) -> list[Message]:
    """Return the messages that a strategy has made, after a check that each is for another node.

    Raises
    ------
    ModelError
        As of :func:`each_checked`.
    """
    return list(each_checked(messages, lambda: nodes, owner))


def each_checked(
    messages: Any, names: Callable[[], dict[int, str]], owner: str
) -> Iterator[Message]:
    """Yield the messages that a strategy has made, each after a check that it is for another node.

    A node's address may change while others are asked, so `names` is called for each.

    Raises
    ------
    ModelError
        There are two for a node, of whose answers only one could count, or one for a node that
        takes no part.
    """
    if not isinstance(messages, Iterable):
        raise ModelError(
            f"{owner}: it must return messages, not {type(messages).__name__}; has it a `return`?"
        )
    seen = set()
    for message in messages:
        if not isinstance(message, Message):
            raise ModelError(f"{owner}: it must return messages, not {type(message).__name__}")
        address, nodes = address_of(message), names()
        if address not in nodes:
            raise ModelError(
                f"{owner}: a message goes to node {address}, which takes no part in this run; "
                f"its nodes are {shortened([f'{name} ({n})' for n, name in nodes.items()])}"
            )
        if address in seen:
            raise ModelError(
                f"{owner}: there are two messages for node {nodes[address]}, and only one "
                "answer of a node can count: return one message per node, with all that it "
                "needs"
            )
        seen.add(address)
        yield message


def ask_in_turn(transport: Transport, messages: Any, owner: str, what: str) -> Iterator[Message]:
    """Ask one node after another: a message is made when the last reply has been merged.

    Parameters
    ----------
    transport : Transport
        Asks the nodes.
    messages : iterable of Message
        What a strategy has returned.
    owner, what : str
        Whose messages they are, and of which round.

    Raises
    ------
    ModelError
        They are all there already, or are not one for a node each.
    """
    if isinstance(messages, Sequence):
        raise ModelError(
            f"{owner}: its nodes are asked one after another, so it must yield each message "
            "when the one before is answered, and not return all of them"
        )
    # A strategy's generator stands still at its `yield` until the reply before has been merged.
    for message in each_checked(messages, transport.names, owner):
        node = transport.names()[address_of(message)]
        yield from transport.exchange([message], f"{what}, {node}")
