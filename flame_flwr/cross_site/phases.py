"""What the server asks nodes for after the training, and what a node answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from flame_flwr.errors import text_of
from flame_flwr.log import logger
from flame_flwr.statistics import AUC

__all__ = ["CROSS_SITE", "DONE", "OWN", "SCORES", "Scorer", "answer", "is_asked"]

CROSS_SITE = "cross_site"
"""The key of the aggregate under which nodes are asked, and of the final one for the result."""

OWN, SCORES, DONE = "own", "scores", "done"
"""What is asked for: a node's own model; the scores of all models; nothing any more."""


class Scorer(Protocol):
    """What an analyzer has so that its nodes can be asked."""

    id: str

    def own_model(self, data: Any, aggregate: Any, rounds: int) -> Any:
        """Return a model of this node's rows alone, trained as long as so many rounds.

        Parameters
        ----------
        data, aggregate : Any
            As ``analysis_method`` gets them.
        rounds : int
            Of training.
        """

    def decisions(self, model: Any, data: Any, aggregate: Any) -> tuple[Any, Any]:
        """Return outcomes, 1 or 0, and a model's predictions, from 0 to 1, of held-out rows.

        From 0.5 on a prediction says 1. A node without such rows returns two empty lists.
        """


def is_asked(aggregate: Any) -> bool:
    """Tell whether an aggregate asks a node for its part of the cross-site validation."""
    asked = aggregate.get(CROSS_SITE) if isinstance(aggregate, Mapping) else None
    return isinstance(asked, Mapping) and asked.get("ask") in (OWN, SCORES)


def answer(analyzer: Scorer, data: Any, aggregate: Any) -> dict[str, Any]:
    """Return what a node answers where :func:`is_asked`.

    Parameters
    ----------
    analyzer : Scorer
        An analyzer with ``own_model`` and ``decisions``.
    data, aggregate : Any
        As its ``analysis_method`` got them.

    Returns
    -------
    dict
        ``own``, the node's own model, or ``scores``: an ``AUC`` of the common model and of every
        own one, by node. Another node's model that cannot be scored here is left out.
    """
    asked = aggregate[CROSS_SITE]
    if asked["ask"] == OWN:
        return {OWN: analyzer.own_model(data, aggregate, asked["rounds"])}
    models = dict(asked["models"])
    if not asked["shared"]:  # it is scored at home, and goes nowhere
        models[analyzer.id] = analyzer.own_model(data, aggregate, asked["rounds"])

    def counted(model: Any) -> AUC:
        outcomes, predictions = analyzer.decisions(model, data, aggregate)
        return AUC.from_data(outcomes, predictions, bins=asked["bins"])

    common = counted(asked["common"])
    own = {}
    for node, model in models.items():
        try:
            own[node] = counted(model)
        except Exception as error:  # of another node, which need not be honest
            if node == analyzer.id:
                raise
            logger.warning("the model of %s cannot be scored here: %s", node, text_of(error))
    return {SCORES: {OWN: own, "common": common}}
