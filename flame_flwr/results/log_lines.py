"""The line of each round in the log, and that of the evaluation.

``flame-flwr submit`` reads them again for its progress bar, and to say what there is of a run that
it stopped: :data:`ROUND`, with :data:`PLACE`, :data:`TAKE_PART` and :data:`RESULTS` around them. A
line is the framework's own where nothing but the level is before it: what user code says has its
node and round there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flame_flwr.log import logger
from flame_flwr.metrics import summary
from flame_flwr.sizes import shown_size

if TYPE_CHECKING:
    from flame_flwr.results.record import RoundRecord, RunRecord

__all__ = ["PLACE", "RESULTS", "ROUND", "TAKE_PART"]
__all__ += ["log_evaluation", "log_round", "warn_of_unknown"]

_COLOUR = r"(?:\x1b\[[0-9;]*m)*"
_LEVEL = rf"^{_COLOUR}(?:INFO *{_COLOUR}:(?:flame_flwr:)? *)?"
"""Flower's, or that of :func:`logging.basicConfig`; mostly there is none."""

_METRICS = r"(?:, (?P<metrics>.*?(?: [-+.e\d]+|\)|nan|inf|more)))?(?:: .*)?$"
"""They end with a number, a range or ``and 2 more``; why it stopped comes after them."""

_TABLE = r"(?: \(with a table of [^)]*\))?"

ROUND = re.compile(
    rf"{_LEVEL}round (?P<round>\d+): \d+ of \d+ nodes, [0-9.]+ s, "
    rf"[\w .]+ received{_TABLE}{_METRICS}"
)
TAKE_PART = re.compile(rf"{_LEVEL}\d+ nodes? takes? part: ")
PLACE = re.compile(rf"{_LEVEL}the run's files go into (?P<place>(?:/|\w+://).*)$")
RESULTS = re.compile(rf"{_LEVEL}results in (?:/|\w+://)")


def log_round(entry: RoundRecord, record: RunRecord) -> None:
    """Log a round: nodes that answered, seconds, bytes, their metrics, and why it stopped.

    The first time a table leaves a node, it says how large it is: it may be of patients.

    Metrics that the study does not show, and those of a private run, are left out.
    """
    public = record.public
    metrics = summary(public.round(entry).node_metrics.values(), public.weighted(entry))
    logger.info(
        "round %d: %d of %d nodes, %.2f s, %s received%s%s%s",
        entry.round,
        len(entry.node_seconds),
        len(record.nodes),
        entry.seconds,
        shown_size(sum(entry.node_bytes.values())),
        f" (with a table of {entry.table})" if entry.table else "",
        f", {metrics}" if metrics else "",
        f": {entry.reason}" if entry.reason else "",
    )


def log_evaluation(record: RunRecord) -> None:
    """Log the scores of the last aggregate: of how many nodes, their mean and range."""
    scores = summary(record.public.evaluations.values(), record.public.weighted_scores)
    logger.info(
        "evaluation: %d of %d nodes%s",
        len(record.evaluations),
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
