"""Ditto's personal model of scikit-learn: one round of training beside the common one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.sklearn.scores import evaluate
from flame_flwr.sklearn.training import train, zero_weights

if TYPE_CHECKING:
    from flame_flwr.sklearn.rows import Rows
    from flame_flwr.sklearn.training import Weights

__all__ = ["train_personal"]


def train_personal(
    analyzer: Any, received: Weights, rows: Rows, test: Rows | None
) -> tuple[Weights, dict[str, dict[str, float]]]:
    """Train a node's personal model, and score it.

    Parameters
    ----------
    analyzer : Ditto and SklearnAnalyzer
        The node's.
    received : dict
        The common model that it was sent.
    rows, test : Rows
        To train with, and those held back, where there are some.

    Returns
    -------
    dict of str to ndarray, dict of str to dict
        The model; its scores on the rows as ``personal``, on those held back as ``test_personal``.
    """
    # its own estimator: the common model's counts the steps of that one
    analyzer._kept_beside = analyzer._kept_beside or analyzer._new(rows)
    estimator = analyzer._kept_beside
    begun = analyzer.personal or zero_weights(estimator, rows)
    model = train(analyzer, estimator, begun, rows, toward=received, strength=analyzer.lam)
    found = {"personal": evaluate(analyzer, model, rows)}
    if test is not None:
        found["test_personal"] = evaluate(analyzer, model, test)
    return model, found
