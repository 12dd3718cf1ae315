"""``StarAggregation``: a user's aggregator as an aggregation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.base import CONVERGED, FINISHED, SIMPLE, Aggregation, Finished
from flame_flwr.aggregation.odd_values import other_forms
from flame_flwr.failure.hints import hint_aggregator
from flame_flwr.failure.notes import add_hint
from flame_flwr.log import logger
from flame_flwr.star import saving

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.star.nodes import StarAggregator

__all__ = ["StarAggregation"]


class StarAggregation(Aggregation):
    """Runs a user's aggregator: collects the round's values, then hands over the list.

    Parameters
    ----------
    aggregator : StarAggregator
        The instance; it lives for the whole run.
    nodes : sequence of str
        All nodes, in participant order: the order of the list it is given.
    simple_analysis : bool
        One round and no more.

    Examples
    --------
    >>> from flame_flwr.identity import Identity
    >>> from flame_flwr.star import StarAggregator
    >>> from flame_flwr.star.handle import FlameHandle
    >>> class Total(StarAggregator):
    ...     def aggregation_method(self, analysis_results):
    ...         return sum(analysis_results)
    ...     def has_converged(self, result, last_result):
    ...         return True
    >>> flame = FlameHandle(Identity("aggregator", ("ward-a", "ward-b")))
    >>> aggregation = StarAggregation(Total(flame), ["ward-a", "ward-b"], simple_analysis=True)
    >>> aggregation.begin(1)
    >>> aggregation.add("ward-b", 30)
    >>> aggregation.add("ward-a", 12)
    >>> aggregation.finish().aggregate
    42
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
        # Popped, so that the user's list alone holds them, and large ones can go while it works.
        values = list(map(self._values.pop, answered))
        self.aggregator.answered_node_ids = answered
        try:
            aggregate, converged = self.aggregator.aggregate(values, self._simple)
        except Exception as error:
            hint_aggregator(error, self.aggregator, answered, values)
            odd = other_forms(dict(zip(answered, values, strict=True)))
            if odd:
                add_hint(error, f"the nodes' values differ: {odd}")
            raise
        self.aggregator.flame._flush()
        reason = ""
        if self._simple:
            reason = SIMPLE
        elif converged:
            reason = CONVERGED
        elif self.aggregator.finished:
            reason = FINISHED
        return Finished(aggregate, bool(reason), reason)

    def save(self) -> bytes:
        """Return the aggregator's attributes, with code in them: bytes for this host alone.

        Raises
        ------
        ModelError
            An attribute cannot be saved; the message names it.
        """
        return saving.save(self.aggregator, self.aggregator.flame)

    def load(self, data: bytes) -> None:
        """Take these attributes in place of the aggregator's own."""
        flame = self.aggregator.flame
        self.aggregator = saving.load(data, type(self.aggregator), flame)

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
