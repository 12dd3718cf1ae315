"""How many answers of a node each filter has acted on: what its privacy budget is counted by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flwr.app import ConfigRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flwr.app import RecordDict

__all__ = ["count_answers", "keep_counts"]

_COUNTS = "flame_flwr.filtered"


def count_answers(state: RecordDict, report: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Count an answer that went through filters; return the report with all such answers.

    Also those count that the server never got. The count ends with the SuperNode.

    Parameters
    ----------
    state : RecordDict
        What Flower keeps of this node and run.
    report : sequence of dict
        As :meth:`flame_flwr.privacy.filter_chain.FilterChain.report` gives it.
    """
    saved = state.get(_COUNTS)
    before = json.loads(str(saved["answers"])) if isinstance(saved, ConfigRecord) else []
    counts = before if len(before) == len(report) else [0] * len(report)
    counts = [n + entry["applied"] for n, entry in zip(counts, report, strict=True)]
    state[_COUNTS] = ConfigRecord({"answers": json.dumps(counts)})
    return [{**entry, "answers": n} for entry, n in zip(report, counts, strict=True)]


def keep_counts(before: RecordDict, state: RecordDict) -> None:
    """Put the counts of a state from before into one that an analysis's process gave back."""
    state.pop(_COUNTS, None)
    if _COUNTS in before:
        state[_COUNTS] = before[_COUNTS]
