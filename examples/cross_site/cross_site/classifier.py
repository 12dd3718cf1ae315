"""The classifier at one hospital: its settings, and its scores as plain functions on arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

__all__ = ["SGD", "Model", "decisions", "score"]

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


Model = Mapping[str, Values]
"""What travels: ``coef``, shape (1, n_measurements), and ``intercept``, shape (1,)."""


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
