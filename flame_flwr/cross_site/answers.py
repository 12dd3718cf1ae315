"""What nodes answer in the two rounds of a cross-site validation, looked at when it comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.reductions.looked_at import LookedAtPerNode
from flame_flwr.aggregation.reductions.tree import declare
from flame_flwr.cross_site.phases import OWN, SCORES
from flame_flwr.cross_site.result import COMMON
from flame_flwr.statistics import AUC

if TYPE_CHECKING:
    from flame_flwr.aggregation.reductions.tree import Tree

__all__ = ["kind_of", "phase_tree"]

_NOT_MADE_HERE = "flame_flwr.cross_site.answer makes what is expected: look at what runs there"


def kind_of(model: Any) -> frozenset[Any] | type:
    """Return what every model is of: the keys of a dict, else a type."""
    return frozenset(model) if isinstance(model, Mapping) else type(model)


def phase_tree(phase: str, bins: int, kind: frozenset[Any] | type) -> Tree | None:
    """Return what merges the answers of one of the two rounds; ``None`` for another round.

    Parameters
    ----------
    phase : str
        What is asked for.
    bins : int
        Of the predictions that are asked for.
    kind : frozenset or type
        That of the common model.
    """

    def odd_model(value: Any, nodes: tuple[str, ...]) -> str:
        if kind_of(value) == kind:
            return ""
        return f"its own model is made of other parts than the common one. {_NOT_MADE_HERE}"

    def odd_scores(value: Any, nodes: tuple[str, ...]) -> str:
        own = value.get(OWN) if isinstance(value, Mapping) else None
        if not isinstance(own, Mapping) or not set(own) <= set(nodes):
            return f"it sent no scores of the models that it was sent. {_NOT_MADE_HERE}"
        if not all(_is_counted(each, bins) for each in (value.get(COMMON), *own.values())):
            return f"a score is no AUC with {bins} bins from 0 to 1. {_NOT_MADE_HERE}"
        return ""

    fault = {OWN: odd_model, SCORES: odd_scores}.get(phase)
    return None if fault is None else declare({phase: LookedAtPerNode(fault=fault)}, fixed=True)


def _is_counted(score: Any, bins: int) -> bool:
    return isinstance(score, AUC) and (score.bins, score.low, score.high) == (bins, 0.0, 1.0)
