"""``CrossSiteResult``: how good every model is at every node, as figures, tables and curves."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flame_flwr.cross_site.phases import OWN
from flame_flwr.statistics import AUC

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ALL", "COMMON", "CrossSiteResult"]

ALL = "all"
"""What the rows of all nodes together are called."""

COMMON = "common"
"""What the common model is called."""

_NOTHING = {"auc": math.nan, "lower": math.nan, "upper": math.nan, "accuracy": math.nan}


@dataclass(frozen=True)
class CrossSiteResult:
    """Counts of predictions by model and node, and what follows from them.

    Attributes
    ----------
    own : dict of str to dict of str to AUC
        By the node whose own model it is, by the node that scored it.
    common : dict of str to AUC
        Of the common model, by node.
    bins : int
        Of the predictions.

    Notes
    -----
    A node that sent nothing, has no rows of one of the classes, or whose rules keep its counts
    back, has NaN. Where rules moved predictions to neighbouring bins, figures are those of the
    moved ones, and :attr:`moved` says so: with few rows they can be far off.

    Examples
    --------
    >>> ill, predicted = [False, True, False, True], [0.1, 0.9, 0.6, 0.7]
    >>> counts = AUC.from_data(ill, predicted, bins=10)
    >>> found = CrossSiteResult({}, {"node-0": counts}, bins=10)
    >>> found.figures("common")["auc"], found.shown("accuracy", "common", "node-0")
    (1.0, '0.750')
    """

    own: Mapping[str, Mapping[str, AUC]]
    common: Mapping[str, AUC]
    bins: int

    @classmethod
    def of(
        cls, answers: Mapping[str, Mapping[str, Any]], bins: int, sent: Iterable[str] = ()
    ) -> CrossSiteResult:
        """Turn the nodes' answers round, so that they stand by model.

        Parameters
        ----------
        answers : dict
            By node, ``own`` and ``common`` of what :func:`~flame_flwr.cross_site.answer` gives.
        bins : int
            Of the predictions.
        sent : iterable of str
            Whose models nodes were asked to score, whether or not any of them could.
        """
        scored = (name for each in answers.values() for name in each[OWN])
        models = list(dict.fromkeys([*sent, *scored]))
        own = {
            name: {node: each[OWN][name] for node, each in answers.items() if name in each[OWN]}
            for name in models
        }
        return cls(own, {node: each[COMMON] for node, each in answers.items()}, bins)

    @property
    def nodes(self) -> list[str]:
        """The nodes that have scored, in participant order."""
        return list(self.common)

    @property
    def models(self) -> dict[str, Mapping[str, AUC]]:
        """Every model's counts by node: ``node-0 alone`` and others, and ``common`` at the end."""
        return {**{f"{node} alone": each for node, each in self.own.items()}, COMMON: self.common}

    @property
    def moved(self) -> str:
        """What is to be said where disclosure rules have moved predictions; else nothing."""
        if not self.counts(COMMON).coarsened_at:
            return ""
        return (
            "*: rules at the node moved predictions to neighbouring bins. With few rows such "
            "figures and curves can be far from the true ones."
        )

    def shown(self, what: str, model: str, node: str = ALL) -> str:
        """Return a figure with three digits, with a ``*`` where predictions were moved."""
        value = self.figures(model, node)[what]
        if math.isnan(value):
            return "-"
        return f"{value:.3f}{'*' * bool(self.counts(model, node).coarsened_at)}"

    def counts(self, model: str, node: str = ALL) -> AUC:
        """Return the counts of a model at a node, or at all of them together."""
        by_node = self.models[model]
        if node == ALL:
            empty = AUC.zero(self.bins)
            return functools.reduce(AUC.merge, by_node.values(), empty)
        return by_node.get(node, AUC.zero(self.bins))

    def figures(self, model: str, node: str = ALL) -> dict[str, float]:
        """Return ``positives``, ``negatives``, ``auc``, its ``lower`` and ``upper``, ``accuracy``.

        Two predictions in one bin count a half in the AUC; it is between the two others.
        """
        by_node = self.models[model]
        counts = self.counts(model, node)
        found = counts.result()
        figures: dict[str, float] = {key: found[key] for key in ("positives", "negatives")}
        if node == ALL and len(by_node) < len(self.nodes):
            return {**figures, **_NOTHING}  # of some nodes only: another figure
        known = {key: found[key] for key in ("auc", "lower", "upper")}
        figures |= {key: math.nan if value is None else value for key, value in known.items()}
        return {**figures, "accuracy": _accuracy(counts)}

    def to_frame(self, what: str = "auc") -> pd.DataFrame:
        """Return a table of one figure: models in rows, nodes in columns, and all rows together.

        Parameters
        ----------
        what : {'auc', 'accuracy'}
        """
        import pandas as pd

        columns = [*self.nodes, ALL]
        rows = {
            model: [self.figures(model, node)[what] for node in columns] for model in self.models
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)

    def roc(self, model: str, node: str = ALL) -> npt.NDArray[np.float64]:
        """Return the ROC curve, shape (bins + 1, 3), from the highest threshold to the lowest.

        Returns
        -------
        ndarray
            The threshold; the share of the healthy and of the ill with a prediction from it on.
            NaN where there are none.
        """
        counts = self.counts(model, node)
        with np.errstate(invalid="ignore"):
            shares = [
                np.concatenate([[0], np.cumsum(each[::-1])]) / np.float64(sum(each))
                for each in (counts.negatives, counts.positives)
            ]
        return np.column_stack([np.linspace(1.0, 0.0, self.bins + 1), *shares])


def _accuracy(counts: AUC) -> float:
    """Return the share of right predictions: from 0.5 on they say 1."""
    half = counts.bins // 2  # `bins` is even, so that a bin begins at 0.5
    right = sum(counts.positives[half:]) + sum(counts.negatives[:half])
    return right / counts.size if counts.size else math.nan
