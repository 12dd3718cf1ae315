"""Who a node is: the name that its key is registered under goes before the one that it says.

Where no key has a name, as on a deployment without registered nodes, a node is who it says it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flame_flwr.failure.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from flame_flwr.flower import OnlineNode
    from flame_flwr.transport.greeting import Greeting

__all__ = ["named_by_key", "to_be_asked"]


def to_be_asked(
    addresses: Iterable[int], online: Mapping[int, OnlineNode], wanted: Collection[str] | None
) -> list[int]:
    """Return the nodes that may be wanted ones: by their keys, or because their name is not known.

    Parameters
    ----------
    addresses : iterable of int
        Flower's ids of nodes.
    online : mapping of int to OnlineNode
        As :func:`flame_flwr.flower.online_nodes` gives it.
    wanted : collection of str or None
        Names; ``None`` for all nodes.

    Examples
    --------
    >>> from flame_flwr.flower import OnlineNode
    >>> names = {1: "hospital-a", 2: "hospital-b", 3: ""}
    >>> online = {address: OnlineNode(name, "") for address, name in names.items()}
    >>> to_be_asked([1, 2, 3], online, ["hospital-a"])
    [1, 3]
    """
    if wanted is None:
        return list(addresses)
    known = {address: node.name for address, node in online.items() if node.name}
    return [address for address in addresses if known.get(address) in (None, *wanted)]


def named_by_key(greeting: Greeting, seen: Mapping[int, OnlineNode]) -> Greeting:
    """Return a greeting under the name of the node's key, as a failure where it says another.

    Parameters
    ----------
    greeting : Greeting
        As the node has said it.
    seen : mapping of int to OnlineNode
        The nodes that are online, and may have been: their names are no other's.
    """
    said, names = greeting.name, {address: node.name for address, node in seen.items()}
    own = names.pop(greeting.address, "")
    if own == said:
        return greeting
    others = set(names.values())
    if not own and said not in others:
        return greeting
    failure = greeting.failure or Failure("a wrong name", text=_why_wrong(said, own))
    return replace(greeting, name=own or str(greeting.address), failure=failure)


def _why_wrong(said: str, own: str) -> str:
    if not own:
        return (
            f"its node config says {said!r}, and that is the name of another node's key: choose "
            "another `name` in its node config"
        )
    return (
        f"its node config says {said!r}, and its key is registered as {own}: set "
        f'name = "{own}" in its node config'
    )
