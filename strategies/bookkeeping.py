"""Keeps for the record what each answer holds: metrics, shape, amount of data.

All of it is only looked at: nothing here decides what the aggregate is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from flame_flwr.failure.failure import Failure
from flame_flwr.log import logger
from flame_flwr.metrics import MOST_NAMES, readable, rows_tested
from flame_flwr.payload import describe
from flame_flwr.privacy.find_tables import find_tables
from flame_flwr.privacy.secure.layout import Answer
from flame_flwr.results.callbacks import shielded
from flame_flwr.results.metric_means import of_a_round, plain
from flame_flwr.results.unknown_labels import UnknownLabels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flame_flwr.results.run_record import RoundRecord, RunRecord
    from flame_flwr.transport.read_reply import Reply

__all__ = ["Bookkeeping", "in_order"]

_V = TypeVar("_V")

_MANY = 10
"""Rows from which on a list of records is told of; two lists of coefficients are no table."""


class Bookkeeping:
    """Fills a round's entry in the record.

    Parameters
    ----------
    record : RunRecord
        The record of the run.
    metric_keys : dict of str to str
        What of a node's result is a metric, besides what it reports, and what the aggregate's value
        of that key is weighted by; empty where that is not said.
    """

    def __init__(self, record: RunRecord, metric_keys: Mapping[str, str]) -> None:
        self._record = record
        self._keys = dict(metric_keys)
        self._unfitted = UnknownLabels()
        self._rows_tested: dict[str, float | None] = {}
        self._table_rows = 0
        self._table_known = False
        self._warned = False
        record.metric_names.update(self._keys)

    def note(self, entry: RoundRecord, reply: Reply) -> Failure | None:
        """Keep what can be known of one answer.

        Returns
        -------
        Failure or None
            Of its node, where the answer is one that nothing can be told of.
        """
        try:
            self._note(entry, reply)
        except Exception as error:  # whatever a node's value raises is that node's failure
            text = f"what it sent cannot be looked at: a {type(error).__name__} was raised"
            return Failure("unreadable", text=text)
        return None

    def _note(self, entry: RoundRecord, reply: Reply) -> None:
        record, node, value = self._record, reply.node, reply.value
        if isinstance(value, Answer):  # nothing of it can be told
            record.left.note_masked(node, entry.round, reply.nbytes)
            return
        record.left.note(node, entry.round, value, reply.nbytes)
        if record.public.exact:  # else no exact figure is told
            self._unfitted.note(node, entry.round, value)
        record.left.note_numbers(node, entry.round, len(reply.metrics), "report_metrics")
        self._rows_tested[node] = rows_tested(value, reply.metrics)
        metrics = self._metrics(reply)
        if metrics and (known := self._known(metrics)):
            entry.node_metrics[node] = known
        if not self._table_known:
            with shielded("a look for tables"):
                self._note_tables(entry, value)
        if reply.size:
            record.sizes.setdefault(node, reply.size)
        record.filters.note(node, reply.filters)
        record.note_disclosure(node, reply.disclosure)
        record.note_data(node, reply.frozen, entry.round if reply.data_changed else None)

    def close(self, entry: RoundRecord, aggregate: Any) -> None:
        """Put a round's entry into participant order, with the metrics' means."""
        # Or files would differ from run to run, by which node was the faster one.
        nodes = self._record.nodes
        entry.node_seconds = in_order(nodes, entry.node_seconds)
        entry.node_bytes = in_order(nodes, entry.node_bytes)
        entry.node_metrics = in_order(nodes, entry.node_metrics)
        means = of_a_round(entry.node_metrics, aggregate, self._keys, self._rows_tested)
        entry.metrics = {name: mean for name, (mean, _) in means.items()}
        self._record.weighted_by |= {name: by for name, (_, by) in means.items()}
        entry.aggregate = describe(aggregate)
        self._table_known = self._table_known or bool(entry.table)

    def _metrics(self, reply: Reply) -> dict[str, float]:
        """Return what a node reported, and what of its result is a metric."""
        if not self._keys or not isinstance(reply.value, dict):
            return dict(reply.metrics)
        own = {key: plain(reply.value[key]) for key in self._keys if key in reply.value}
        return reply.metrics | readable(own)

    def _note_tables(self, entry: RoundRecord, value: Any) -> None:
        """Note the largest table of the first round in which there is one."""
        for table, _ in find_tables(value):
            large = table.rows >= _MANY or table.kind == "table"
            if table.rows > self._table_rows and large:
                self._table_rows, entry.table = table.rows, str(table)

    def _known(self, metrics: dict[str, float]) -> dict[str, float]:
        """Leave out metrics with new names once there are too many: each has a column."""
        names = self._record.metric_names
        for name in metrics:
            if len(names) < MOST_NAMES:
                names.add(name)
        known = {name: value for name, value in metrics.items() if name in names}
        if len(known) < len(metrics) and not self._warned:
            self._warned = True
            logger.warning(
                "the nodes have reported more than %d metrics by name; others are left out: use "
                "the same names in every round",
                MOST_NAMES,
            )
        return known


def in_order(nodes: Iterable[str], values: Mapping[str, _V]) -> dict[str, _V]:
    """Return values by node in participant order, in place of the order of arrival."""
    return {node: values[node] for node in nodes if node in values}
