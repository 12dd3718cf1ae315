"""``LookedAtPerNode``: every node's value, where the form of it is known and another is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.accumulators import AllValues
from flame_flwr.aggregation.reductions.collecting import PerNode

if TYPE_CHECKING:
    from flame_flwr.aggregation.accumulators import Accumulator, Where

__all__ = ["LookedAtPerNode"]


@dataclass(frozen=True, kw_only=True)
class LookedAtPerNode(PerNode):
    """:class:`PerNode`, of values that are looked at when they come.

    A node that sends something else has failed, and the others go on where ``on-failure`` says so.

    Parameters
    ----------
    fault : callable
        Gets a value, from a party that need not be honest, and the names of all nodes. Returns what
        is wrong with it, or ``''``.
    missing
        As for :class:`Reduction`.

    Examples
    --------
    >>> from flame_flwr.aggregation.merged_round import merge_values
    >>> counts = LookedAtPerNode(fault=lambda value, nodes: "" if value >= 0 else "it is below 0")
    >>> merge_values({"n": counts}, [{"n": 3}, {"n": 4}])
    {'n': {'node-0': 3, 'node-1': 4}}
    >>> merge_values({"n": counts}, [{"n": 3}, {"n": -1}])
    Traceback (most recent call last):
    flame_flwr.errors.AnswerError: round 1, key `n`, node-1: it is below 0
    """

    fault: Callable[[Any, tuple[str, ...]], str] = field(repr=False, compare=False)

    def collector(self, place: Where) -> Accumulator:
        """Return what keeps the values."""

        def look(node: str, value: Any) -> dict[tuple[Any, ...], Any]:
            fault = self.fault(value, place.nodes)
            if fault:
                raise place.refusal(fault, node)
            return {}

        return AllValues(place, dict, look)
