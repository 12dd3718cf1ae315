"""What is compared: how much of a change returns, and how hospitals are weighted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flame_flwr.aggregation import Mean, WeightedMean
from flame_flwr.privacy import TopFraction, UpdateFilter

__all__ = ["COMPARISON", "Setting", "filters", "reductions"]


@dataclass(frozen=True)
class Setting:
    """One way to train the common model.

    Parameters
    ----------
    key : str
        Its short name, in files.
    text : str
        What it is called in pictures.
    share : float
        Only so many of the changed weights return, those that changed most; 1: all of them.
    weight : {'patients', 'score', 'equal'}
        Hospitals count by the rows they train with, by the AUC of the model that they return on
        these rows, or all the same.
    """

    key: str
    text: str
    share: float = 1.0
    weight: Literal["patients", "score", "equal"] = "patients"


COMPARISON = (
    Setting("full", "full update, weighted by patients"),
    Setting("top25", "only the top 25 % of changes", share=0.25),
    Setting("top10", "only the top 10 % of changes", share=0.10),
    Setting("score", "weighted by score", weight="score"),
    Setting("equal", "not weighted", weight="equal"),
)
"""The first is the model that scores per round and the cross-site matrix are about."""


def filters(settings: Sequence[Setting]) -> list[UpdateFilter]:
    """Return what a node does to its models before they leave, for ``StarModel(filters=...)``.

    In round 1, which only agrees on a scaling, there is no model: hence ``missing="skip"``.
    """
    return [
        TopFraction(each.share, keys=f"models.{each.key}", missing="skip")
        for each in settings
        if each.share < 1
    ]


def reductions(settings: Sequence[Setting]) -> dict[str, Any]:
    """Return how each setting's models are averaged, for a ``ReduceStrategy``."""
    return {each.key: dict.fromkeys(("coef", "intercept"), _mean(each)) for each in settings}


def _mean(setting: Setting) -> Mean | WeightedMean:
    """Return the mean of :class:`~flame_flwr.strategies.WeightedFedAvg`, by the setting's weight.

    The number of rows stands beside all models, the score beside the one it belongs to.
    """
    if setting.weight == "equal":
        return Mean()
    return WeightedMean(by="n" if setting.weight == "patients" else "score")
