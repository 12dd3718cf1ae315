"""What the loop sees of the nodes: hello, a round, an evaluation.

There are two links: :class:`flame_flwr.transport.grid.GridTransport` over a Flower ``Grid``, and
:class:`flame_flwr.transport.in_process.LocalTransport` which calls the nodes in this process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from flame_flwr.failure.failure import Failure
    from flame_flwr.payload import Payload

__all__ = ["Reply", "Transport"]


@dataclass(slots=True)
class Reply:
    """One node's answer to one message: a payload, or a failure, or an evaluation's numbers.

    Attributes
    ----------
    node : str
        The node's id.
    payload : Payload or None
        Its result, of a round.
    failure : Failure or None
        Why there is none.
    seconds : float
        Of analysis, on the node.
    metrics : dict
        The numbers of an evaluation, or those that the analyzer reported of a round.
    filters : list of dict
        What was done to the result before it left the node, as
        :meth:`flame_flwr.privacy.filter_chain.FilterChain.report` gives it.
    size : str
        How much data the node has, where it lets it be known, in its first answer.
    disclosure : list of str
        The disclosure rules that it went through.
    """

    node: str
    payload: Payload | None = None
    failure: Failure | None = None
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    filters: list[dict[str, Any]] = field(default_factory=list)
    size: str = ""
    disclosure: list[str] = field(default_factory=list)


class Transport(Protocol):
    """Carries rounds to the nodes and back into the strategy.

    Attributes
    ----------
    absent : dict of str to str
        After :meth:`hello`: nodes that the analysis goes on without, and why.
    """

    absent: dict[str, str]

    def hello(self) -> tuple[tuple[str, ...], bool]:
        """Wait for the nodes. Return their ids in participant order, and if they can evaluate."""

    def train(self, number: int, aggregate: Payload | None) -> Payload:
        """Run one round. The strategy collects the answers; return the new aggregate."""

    def evaluate(self, number: int, aggregate: Payload) -> None:
        """Have the last aggregate evaluated. The strategy collects the answers."""
