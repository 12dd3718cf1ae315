"""Counts of a node's answers: how many went through filters, and which sums and sets have left."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flwr.app import ConfigRecord

from flame_flwr.config import NodeSettings, RunSettings
from flame_flwr.data.configured import frozen_folder
from flame_flwr.data.frozen_store import FrozenStore
from flame_flwr.privacy.figure_account import FigureAccount

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from flwr.app import Context, RecordDict

__all__ = ["count_answers", "counted_figures", "keep_account", "keep_counts", "kept_account"]

_COUNTS = "flame_flwr.filtered"
_ACCOUNT = "flame_flwr.figures"
_FROZEN = "flame_flwr.frozen"


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
    counts = before if len(before) == len(report) else [0] * len(report)  # the config was changed
    counts = [n + entry["applied"] for n, entry in zip(counts, report, strict=True)]
    state[_COUNTS] = ConfigRecord({"answers": json.dumps(counts)})
    return [{**entry, "answers": n} for entry, n in zip(report, counts, strict=True)]


def keep_counts(before: RecordDict, state: RecordDict) -> None:
    """Put the counts of a state from before into one that an analysis's process gave back."""
    for kind in (_COUNTS, _ACCOUNT, _FROZEN):
        state.pop(kind, None)  # what an app puts there itself counts for nothing
        if kind in before:
            state[kind] = before[kind]


@contextmanager
def counted_figures(
    context: Context, account: FigureAccount, frozen: Collection[str]
) -> Iterator[None]:
    """Have an account know what has left before, and keep what leaves within the block.

    Of frozen data what has left in earlier runs counts, and is kept for later ones. It is not in
    the run's own state then, which the analysis's process gets.

    Parameters
    ----------
    context : Context
        Of the node and run.
    account : FigureAccount
        What has left in this run.
    frozen : collection of str
        The digests of the frozen data that the answer is made of.

    Raises
    ------
    ConfigError, DataError
        What has left cannot be read or kept.
    """
    digests = {*frozen, *_kept_digests(context.state)}
    if not digests:
        yield
        keep_account(context.state, account)
        return
    context.state[_FROZEN] = ConfigRecord({"digests": sorted(digests)})
    with _store(context).figures(digests).added_to(account):
        yield
    context.state.pop(_ACCOUNT, None)


def _kept_digests(state: RecordDict) -> list[str]:
    """Return what a run has read: an analysis may answer from what it has kept of it."""
    saved = state.get(_FROZEN)
    digests = saved["digests"] if isinstance(saved, ConfigRecord) else []
    return list(map(str, digests)) if isinstance(digests, list) else []


def _store(context: Context) -> FrozenStore:
    settings = NodeSettings.from_config(context.node_config)
    run = RunSettings.from_config(context.run_config)
    return FrozenStore.of(settings, frozen_folder(settings, run))


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
