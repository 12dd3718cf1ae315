"""A linear support vector machine, trained a little at each hospital and averaged.

Plain functions on arrays. scikit-learn is imported where it trains, so that the server, which
only averages, does without it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["federated_average", "predict", "score", "train"]

Values = npt.NDArray[np.float64]


def train(
    x: Values,
    y: Values,
    coef: Values,
    intercept: float,
    *,
    passes: int,
    alpha: float,
    earlier_rounds: int,
) -> tuple[Values, float]:
    """Go over the rows ``passes`` times, starting from the given weights.

    Stochastic gradient descent on the hinge loss with an L2 penalty (scikit-learn's
    ``SGDClassifier``). Its step shrinks with the number of rows seen, ``1 / (alpha * (t0 + t))``
    (Bottou, "Stochastic Gradient Descent Tricks", 2012); ``t`` goes on from round to round as if
    training had never been interrupted, or the steps would never become small.

    Parameters
    ----------
    x : ndarray of float64, shape (n_rows, n_features)
        Standardized.
    y : ndarray, shape (n_rows,)
        0 or 1.
    coef : ndarray of float64, shape (n_features,)
    intercept : float
    passes : int
        Over all rows, each in another order.
    alpha : float
        Strength of the L2 penalty.
    earlier_rounds : int
        Training rounds before this one; also the seed of the rows' order.

    Returns
    -------
    coef : ndarray of float64, shape (n_features,)
    intercept : float
    """
    from sklearn.linear_model import SGDClassifier  # 1 s to import, and only nodes train

    model = SGDClassifier(loss="hinge", penalty="l2", alpha=alpha)
    model.partial_fit(x[:1], y[:1], classes=[0.0, 1.0])  # makes room for the weights
    model.coef_ = coef.reshape(1, -1).copy()
    model.intercept_ = np.array([intercept])
    model.t_ = 1.0 + earlier_rounds * passes * len(y)
    model.set_params(random_state=np.random.RandomState(earlier_rounds))
    for _ in range(passes):
        model.partial_fit(x, y)
    return model.coef_.ravel().copy(), float(model.intercept_[0])


def predict(x: Values, coef: Values, intercept: float) -> npt.NDArray[np.bool_]:
    """Say for each row whether the model expects Long COVID; shape (n_rows,)."""
    return np.asarray(x @ coef + intercept > 0)


def score(x: Values, y: Values, coef: Values, intercept: float) -> dict[str, int]:
    """Count the model's hits and errors.

    Returns
    -------
    dict of str to int
        ``true_positive``, ``false_negative``, ``true_negative``, ``false_positive``.
    """
    ill = y == 1
    called = predict(x, coef, intercept)
    return {
        "true_positive": int(np.sum(ill & called)),
        "false_negative": int(np.sum(ill & ~called)),
        "true_negative": int(np.sum(~ill & ~called)),
        "false_positive": int(np.sum(~ill & called)),
    }


def federated_average(
    coefs: Sequence[Values], intercepts: Sequence[float], weights: Sequence[int]
) -> tuple[Values, float]:
    """Average the hospitals' models, each weighted by its number of training rows.

    Federated averaging: ``sum(n_k * w_k) / sum(n_k)`` (McMahan et al., "Communication-Efficient
    Learning of Deep Networks from Decentralized Data", AISTATS 2017, algorithm 1).

    Parameters
    ----------
    coefs : sequence of ndarray of float64, each of shape (n_features,)
    intercepts : sequence of float
    weights : sequence of int
        Training rows.
    """
    coef = np.average(np.stack(list(coefs)), axis=0, weights=weights)
    return coef, float(np.average(intercepts, weights=weights))
