"""What a strategy holds: an object that takes the nodes' values and makes the aggregate.

A strategy owns messages, waiting and failures; an aggregation owns the arithmetic. One
aggregation lives for one run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from flame_flwr.engine.hints import hint_aggregator
from flame_flwr.log import logger
from flame_flwr.star import saving

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.star.nodes import StarAggregator

__all__ = ["SIMPLE", "Aggregation", "Finished", "Remembering", "Resumable", "StarAggregation"]
__all__ += ["unmeasured"]

SIMPLE = "a simple analysis has one round"
_CONVERGED = "has_converged returned True"
_FINISHED = "the aggregator called node_finished"


class Finished(NamedTuple):
    """The end of a round.

    Attributes
    ----------
    aggregate : Any
        The aggregate.
    converged : bool
        Whether to stop.
    reason : str
        Why; empty where it goes on.
    change : float or None
        By how much the aggregate has changed, as the aggregation measures it: that is what
        ``history.csv`` and the report show. NaN where it measures none in this round; ``None``
        where it never does: then it is the norm of the change of all arrays of floats.
    """

    aggregate: Any
    converged: bool
    reason: str
    change: float | None = None


def unmeasured(reason: str) -> str:
    """Return a reason of an aggregation for a private run: one of a user's own may be exact."""
    known = reason in ("", SIMPLE, _CONVERGED, _FINISHED)
    return reason if known else "the aggregation said so"


class Aggregation(Protocol):
    """Takes values as they arrive, gives one aggregate a round."""

    def begin(self, number: int) -> None:
        """Start round `number`, counted from 1."""

    def add(self, node: str, value: Any) -> None:
        """Take one node's value. Nodes come in any order; the aggregate must not show it.

        Raises
        ------
        AnswerError
            The value cannot be merged and nothing of it was: a failure of that node.
        """

    def finish(self) -> Finished:
        """Make the aggregate of what was added since :meth:`begin`."""

    def final(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Turn the last aggregate into what is written; `evaluations` in participant order."""


@runtime_checkable
class Resumable(Protocol):
    """An aggregation that another run can go on with. Those that cannot keep no checkpoint."""

    def save(self) -> bytes:
        """Return everything that later rounds need; for :meth:`load` in another process."""

    def load(self, data: bytes) -> None:
        """Go on as the aggregation was that :meth:`save` was called on."""


@runtime_checkable
class Remembering(Protocol):
    """An aggregation that compares a round's aggregate with the last one."""

    def replace(self, aggregate: Any) -> None:
        """Take this as the last aggregate: an equal one, or a strategy's own in its place."""


class StarAggregation:
    """Runs a user's aggregator: collects the round's values, then hands over the list.

    Parameters
    ----------
    aggregator : StarAggregator
        The instance; it lives for the whole run.
    nodes : sequence of str
        All nodes, in participant order: the order of the list it is given.
    simple_analysis : bool
        One round and no more.
    """

    def __init__(
        self, aggregator: StarAggregator, nodes: Sequence[str], simple_analysis: bool
    ) -> None:
        self.aggregator = aggregator
        self._nodes = list(nodes)
        self._simple = simple_analysis
        self._values: dict[str, Any] = {}

    def begin(self, number: int) -> None:
        """Forget the last round's values and tell the aggregator's log which round it is."""
        self._values = {}
        self.aggregator.flame._enter_round(number)

    def add(self, node: str, value: Any) -> None:
        """Keep one node's value."""
        self._values[node] = value

    def finish(self) -> Finished:
        """Run ``aggregate`` on the values in participant order."""
        answered = [node for node in self._nodes if node in self._values]
        values = [self._values.pop(node) for node in answered]
        self.aggregator.answered_node_ids = answered
        try:
            aggregate, converged = self.aggregator.aggregate(values, self._simple)
        except Exception as error:
            hint_aggregator(error, self.aggregator, answered, values)
            raise
        self.aggregator.flame._flush()
        reason = ""
        if self._simple:
            reason = SIMPLE
        elif converged:
            reason = _CONVERGED
        elif self.aggregator.finished:
            reason = _FINISHED
        return Finished(aggregate, bool(reason), reason)

    def save(self) -> bytes:
        """Return the aggregator's attributes, pickled.

        Raises
        ------
        ModelError
            An attribute cannot be pickled; the message names it.
        """
        return saving.save(self.aggregator, self.aggregator.flame)

    def load(self, data: bytes) -> None:
        """Take these attributes in place of the aggregator's own."""
        flame = self.aggregator.flame
        self.aggregator, _ = saving.load(data, type(self.aggregator), flame)

    def final(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Call the aggregator's ``final_method`` where it has one.

        A simple analysis whose result is ``None`` is warned of: nothing else would show it.
        """
        final_method = getattr(self.aggregator, "final_method", None)
        if final_method is not None:
            if evaluations:
                self.aggregator.answered_node_ids = list(evaluations)
            aggregate = final_method(aggregate, list(evaluations.values()))
        if self._simple and aggregate is None:
            last = "aggregation_method" if final_method is None else "final_method"
            logger.warning("%s returned None, which is now the result: has it a `return`?", last)
        self.aggregator.node_finished()
        self.aggregator.flame.set_progress(100)
        self.aggregator.flame._flush()
        return aggregate
