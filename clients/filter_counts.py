"""What of a node's answers of a run is counted: by filters, and the sums that have left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flwr.app import ConfigRecord

from flame_flwr.privacy.figure_account import FigureAccount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flwr.app import RecordDict

__all__ = ["count_answers", "keep_account", "keep_counts", "kept_account"]

_COUNTS = "flame_flwr.filtered"
_ACCOUNT = "flame_flwr.figures"


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
    for kind in (_COUNTS, _ACCOUNT):
        state.pop(kind, None)
        if kind in before:
            state[kind] = before[kind]


def kept_account(state: RecordDict) -> FigureAccount:
    """Return which sums have left in this run."""
    saved = state.get(_ACCOUNT)
    if not isinstance(saved, ConfigRecord):
        return FigureAccount()
    return FigureAccount.from_json(str(saved["left"]))


def keep_account(state: RecordDict, account: FigureAccount) -> None:
    """Keep which sums have left, where some have."""
    if account:
        state[_ACCOUNT] = ConfigRecord({"left": account.to_json()})
