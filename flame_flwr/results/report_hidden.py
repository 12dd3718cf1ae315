"""What a report does not show, and why: sentences, made of what ``run.json`` says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.results.report_words import failed_nodes, listed, setting
from flame_flwr.text.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["hidden"]


def hidden(about: dict[str, Any]) -> list[str]:
    """Return a sentence for each thing that is hidden, or the one that nothing is.

    Parameters
    ----------
    about : dict
        What ``run.json`` says.
    """
    return list(_hidden(about)) or [
        "Nothing that this report could show: there were no rules, filters, noise or masks, and "
        "all metrics may be shown."
    ]


def _hidden(about: dict[str, Any]) -> Iterator[str]:
    if about["privacy"]:
        yield (
            "Metrics, scores and the aggregate's change: they are exact, and the result has noise "
            "so that nothing exact of it is known."
        )
    elif about["shown"] is not None:
        named = ", ".join(about["shown"]) or "none"
        yield (
            f"All metrics and scores but those that the study shows ({named}): they could tell "
            "what it keeps back, and are for its aggregator alone."
        )
    if about["secure"] and about["secure"]["masked"]:
        yield (
            "What each node returned by itself, and how long it computed: sums over all nodes are "
            "all that the server learned."
        )
    rules = setting(about, "disclosure")
    if rules or about["disclosure"]:
        where = listed(list(about["disclosure"])) or "the nodes"
        own = f" ({rules})" if rules else ""
        yield (
            f"What disclosure rules withheld at {where}{own}: it is left out of what left the "
            "node, and a figure of all nodes is then one of the others."
        )
    if any(said["filters"] for said in about["filters"].values()):
        yield (
            "The nodes' results as they were before filters changed them: "
            f"{listed(list(about['filters']))} let the changed ones leave only."
        )
    silent = [node for node in about["nodes"] if node not in about["sizes"]]
    if silent:
        yield (
            f"How much data there is at {listed(silent)}: a node says it only where its hospital "
            "allows that (share-size in its config), and never beside masked sums."
        )
    if about["failures"]:
        yield (
            f"What exactly went wrong, {counted(len(about['failures']), 'time')}, at "
            f"{listed(failed_nodes(about))}: a failing node sends the type of its error and its "
            "place, and the rest only where its hospital shares that. The node's own log has it."
        )
