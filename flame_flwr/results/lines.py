"""The line of each round in the log, and that of the evaluation.

``flame-flwr submit`` reads them again for its progress bar: :data:`TAKE_PART`, :data:`ROUND`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flame_flwr.log import logger
from flame_flwr.metrics import summary
from flame_flwr.sizes import shown_size

if TYPE_CHECKING:
    from flame_flwr.results.record import RoundRecord, RunRecord

__all__ = ["ROUND", "TAKE_PART", "log_evaluation", "log_round"]

TAKE_PART = re.compile(r"\b(\d+) nodes? take part: ")
ROUND = re.compile(r"\bround (\d+): (\d+) of (\d+) nodes, [0-9.]+ s, (.*)$")


def log_round(entry: RoundRecord, record: RunRecord) -> None:
    """Log a round: nodes that answered, seconds, bytes, their metrics, and why it stopped.

    Of a private run no metrics are shown: they are exact.
    """
    metrics = summary(entry.node_metrics.values()) if record.privacy is None else ""
    logger.info(
        "round %d: %d of %d nodes, %.2f s, %s received%s%s",
        entry.round,
        len(entry.node_seconds),
        len(record.nodes),
        entry.seconds,
        shown_size(sum(entry.node_bytes.values())),
        f", {metrics}" if metrics else "",
        f": {entry.reason}" if entry.reason else "",
    )


def log_evaluation(record: RunRecord) -> None:
    """Log the scores of the last aggregate: of how many nodes, their mean and range."""
    scores = summary(record.evaluations.values()) if record.privacy is None else ""
    logger.info(
        "evaluation: %d of %d nodes%s",
        len(record.evaluations),
        len(record.nodes),
        f", {scores}" if scores else "",
    )
