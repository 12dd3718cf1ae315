"""Log lines for a round, for the evaluation, and for what a study shows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from flame_flwr.log import logger
from flame_flwr.results.followed_lines import RoundLine
from flame_flwr.results.metric_means import summary
from flame_flwr.results.run_record import ALL_NODES
from flame_flwr.text.sizes import shown_size

if TYPE_CHECKING:
    from flame_flwr.results.run_record import RoundRecord, RunRecord

__all__ = ["log_evaluation", "log_round", "warn_of_unknown"]


def log_round(entry: RoundRecord, record: RunRecord) -> None:
    """Log a round: nodes that answered, seconds, bytes, their metrics, and why it stopped.

    The first time a table leaves a node, it says how large it is: it may be of patients.

    Metrics that the study does not show, and those of a private run, are left out.
    """
    if not logger.isEnabledFor(logging.INFO):
        return  # many nodes' metrics take longer to sum up than a quick round does
    public = record.public
    line = RoundLine(
        round=entry.round,
        answered=len(entry.node_seconds),
        nodes=len(record.nodes),
        seconds=entry.seconds,
        received=shown_size(sum(entry.node_bytes.values())),
        table=entry.table,
        metrics=summary(public.round(entry).node_metrics.values(), public.weighted(entry)),
        reason=entry.reason,
    )
    logger.info("%s", line)


def log_evaluation(record: RunRecord) -> None:
    """Log the scores of the last aggregate: of how many nodes, their mean and range."""
    scores = summary(record.public.evaluations.values(), record.public.weighted_scores)
    logger.info(
        "evaluation: %d of %d nodes%s",
        # Secure sums have one entry, with the scores of all nodes together.
        len(record.nodes if ALL_NODES in record.evaluations else record.evaluations),
        len(record.nodes),
        f", {scores}" if scores else "",
    )


def warn_of_unknown(record: RunRecord) -> None:
    """Warn of names in `shown` that no node has reported: what was meant is hidden, too."""
    unknown = record.public.unknown()
    if unknown:
        logger.warning(
            "shown: no node has reported %s; names that are not in `shown` are hidden",
            ", ".join(map(repr, unknown)),
        )
