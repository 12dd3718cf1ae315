"""How good coefficients are on some rows: as an analyzer says it, and by default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import ModelError
from flame_flwr.sklearn.training import fitted_with
from flame_flwr.training.checks import check_scores

if TYPE_CHECKING:
    from flame_flwr.sklearn.analyzer import SklearnAnalyzer
    from flame_flwr.sklearn.rows import Rows
    from flame_flwr.sklearn.training import Weights

__all__ = ["decisions_of", "evaluate", "scores_of"]

_RESERVED = frozenset({"model", "local_n_samples", "n_test", "agreement"})


def evaluate(analyzer: SklearnAnalyzer, weights: Weights, rows: Rows) -> dict[str, float]:
    """Score coefficients on rows without training, for an ``evaluation_method`` of your own.

    Parameters
    ----------
    analyzer : SklearnAnalyzer
        Whose ``score`` it is.
    weights : dict
        Such as ``result["model"]``.
    rows : Rows
        From :func:`~flame_flwr.sklearn.rows_for`.
    """
    estimator = fitted_with(analyzer._new(rows), weights, rows)
    return check_scores(analyzer, analyzer.score(estimator, rows.x, rows.y), _RESERVED)


def scores_of(estimator: Any, x: Any, y: Any) -> dict[str, float]:
    """Return a classifier's ``accuracy``, ``loss`` and ``auc``, or a regressor's ``loss``.

    Parameters
    ----------
    estimator : Any
        Fitted.
    x, y : array
        Rows, at least one.
    """
    from sklearn.base import is_classifier

    if not is_classifier(estimator):
        return {"loss": float(np.mean((estimator.predict(x) - y) ** 2))}
    scores = {"accuracy": float(np.mean(estimator.predict(x) == y))}
    classes = estimator.classes_
    if hasattr(estimator, "predict_proba"):
        scores["loss"] = _log_loss(estimator, x, y)
    if len(classes) == 2 and len(np.unique(y)) == 2:
        from sklearn.metrics import roc_auc_score

        scores["auc"] = float(roc_auc_score(y == classes[1], estimator.decision_function(x)))
    return scores


def decisions_of(estimator: Any, rows: Rows) -> tuple[Any, Any]:
    """Return for each row whether it is of the second of two classes, and how likely that is said.

    Where the estimator has no probabilities, the logistic function of its decision.

    Raises
    ------
    ModelError
        There are not two classes.
    """
    from scipy.special import expit

    if rows.classes is None or len(rows.classes) != 2:
        raise ModelError("cross-site validation is of classifiers of two classes")
    outcomes = (rows.y == rows.classes[1]).astype(np.int64)
    return outcomes, expit(estimator.decision_function(rows.x))


def _log_loss(estimator: Any, x: Any, y: Any) -> float:
    """Return the mean log loss; of two classes by log odds, which never are 0 as chances may be."""
    if len(estimator.classes_) == 2 and _is_logistic(estimator):
        odds = estimator.decision_function(x)
        signed = np.where(y == estimator.classes_[1], -odds, odds)
        return float(np.logaddexp(0.0, signed).mean())
    from sklearn.metrics import log_loss

    return float(log_loss(y, estimator.predict_proba(x), labels=estimator.classes_))


def _is_logistic(estimator: Any) -> bool:
    """Tell whether ``predict_proba`` is the logistic function of the decision."""
    from sklearn.linear_model import LogisticRegression

    return isinstance(estimator, LogisticRegression) or estimator.loss == "log_loss"
