"""The classifier at one hospital: an epoch of SGD from given weights, and its scores.

Plain functions on arrays; the framework is not in them.
"""

from __future__ import annotations

import warnings
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import roc_auc_score

from flame_flwr.errors import DataError

__all__ = ["SGD", "Model", "decisions", "epoch", "new_model", "score"]

Values = npt.NDArray[np.float64]

SGD: dict[str, Any] = {
    "loss": "log_loss",
    "learning_rate": "constant",
    "eta0": 1e-3,
    "penalty": "l2",
    "fit_intercept": True,
    "max_iter": 1,
    "random_state": 4649,
}
"""The settings on the slides."""


class Model(TypedDict):
    """What travels: ``coef``, shape (1, n_measurements), and ``intercept``, shape (1,)."""

    coef: Values
    intercept: Values


def new_model(n_measurements: int) -> Model:
    """Return the model that training begins with: all weights are zero."""
    return {"coef": np.zeros((1, n_measurements)), "intercept": np.zeros(1)}


def epoch(model: Model, x: Values, y: npt.NDArray[np.int64], **settings: Any) -> Model:
    """Go over the rows once with stochastic gradient descent, from a model's weights on.

    Parameters
    ----------
    model : Model
        The weights that are put in before the fit; it is not changed.
    x : ndarray of float64, shape (n_rows, n_measurements)
        Scaled.
    y : ndarray of int, shape (n_rows,)
        0 and 1, both of them.
    **settings
        In place of those of :data:`SGD`.

    Raises
    ------
    DataError
        The loss or the weights are no finite numbers any more.
    """
    # Without warm_start scikit-learn would put the weights aside and begin with zeros.
    classifier = SGDClassifier(**{**SGD, **settings}, warm_start=True)
    classifier.coef_, classifier.intercept_ = model["coef"].copy(), model["intercept"].copy()
    with warnings.catch_warnings():
        # That one epoch does not reach the optimum is the plan, and no news in every round.
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            classifier.fit(x, y)
        except ValueError as error:
            if "overflow occurred" in str(error) or "Input X contains" in str(error):
                raise _diverged() from error
            raise
    fitted: Model = {"coef": classifier.coef_, "intercept": classifier.intercept_}
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(loss(decisions(fitted, x), y)):
            raise _diverged()
    return fitted


def decisions(model: Model, x: Values) -> Values:
    """Return the log odds of being ill, shape (n_rows,)."""
    found: Values = x @ model["coef"][0] + model["intercept"][0]
    return found


def score(model: Model, x: Values, y: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return ``accuracy``, ``auc`` (area under the ROC curve) and ``loss`` (mean log loss)."""
    found = decisions(model, x)
    return {
        "accuracy": float(((found > 0) == (y == 1)).mean()),
        "auc": float(roc_auc_score(y, found)),
        "loss": loss(found, y),
    }


def loss(found: Values, y: npt.NDArray[np.int64]) -> float:
    """Return the mean log loss of log odds: ``log(1 + exp(-z))`` of the ill, ``z = -z`` else."""
    return float(np.logaddexp(0.0, np.where(y == 1, -found, found)).mean())


def _diverged() -> DataError:
    return DataError(
        "The loss or the weights are not finite numbers any more. Look for values in train.csv "
        "that are far too large, such as another unit; or take a smaller step, eta0."
    )
