"""A round's passes over the rows from given coefficients, and the step between passes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flame_flwr.errors import DataError, ModelError
from flame_flwr.sklearn.checks import check_estimator, length_above_0
from flame_flwr.sklearn.fit_errors import one_pass, refusal

if TYPE_CHECKING:
    from flame_flwr.sklearn.analyzer import SklearnAnalyzer
    from flame_flwr.sklearn.checks import CheckedEstimator
    from flame_flwr.sklearn.rows import Rows

__all__ = ["Weights", "coefficients_of", "fitted_with", "proximal_step", "set_coefficients"]
__all__ += ["train", "zero_weights"]

Weights = dict[str, npt.NDArray[np.float64]]
"""``coef``, and ``intercept`` where the estimator has one, in scikit-learn's shapes."""


def train(
    analyzer: SklearnAnalyzer,
    estimator: Any,
    weights: Weights,
    rows: Rows,
    *,
    toward: Weights | None = None,
    strength: float = 0.0,
    number: int | None = None,
) -> Weights:
    """Return coefficients after the analyzer's passes from the given ones, which stay as they are.

    Parameters
    ----------
    analyzer : SklearnAnalyzer
        Whose ``passes``, ``seed`` and ``pass_length`` count.
    estimator : Any
        Such as its ``estimator`` returns; it is trained.
    weights : dict
        Where to begin.
    rows : Rows
        To train with, from :func:`~flame_flwr.sklearn.rows_for`.
    toward, strength
        After every pass coefficients are drawn to these, see :func:`proximal_step`.
    number : int, optional
        The round, from 1, for the seed; without it the one under way.

    Raises
    ------
    DataError
        Training went out of bounds, or a class is missing here that `fit` must see.
    """
    about = check_estimator(estimator, type(analyzer), rows.classes)
    if not about.partial and about.classifies:
        _check_classes(rows)
    seeded = estimator.get_params(deep=False).get("random_state", 0) is None
    length = _length(analyzer, about, len(rows.y)) if strength else 0.0
    try:
        for each in range(analyzer.passes):
            if seeded:
                # no two passes of a run have one seed, and with it the same order of rows
                start = analyzer.seed + (number or analyzer.num_iterations + 1) * analyzer.passes
                estimator.set_params(random_state=start + each)
            if hasattr(estimator, "coef_") or any(part.any() for part in weights.values()):
                set_coefficients(estimator, weights, rows)  # a new one begins with zeros by itself
            _one_pass(estimator, rows, about.owner)
            weights = coefficients_of(estimator)
            if strength and toward is not None:
                weights = proximal_step(weights, toward, strength * length)
    finally:
        if seeded:  # so that the next round finds that there is none
            estimator.set_params(random_state=None)
    with np.errstate(over="ignore", invalid="ignore"):
        found = rows.x @ weights["coef"].T + weights.get("intercept", 0.0)
        if not np.isfinite(np.abs(found).sum()):  # nor is any loss then
            raise _diverged()
    return weights


def proximal_step(weights: Weights, toward: Weights, strength: float) -> Weights:
    """Return coefficients drawn to others: the proximal operator of ``strength / 2 * distance**2``.

    Examples
    --------
    >>> proximal_step({"coef": np.array([[5.0]])}, {"coef": np.array([[1.0]])}, 3.0)
    {'coef': array([[2.]])}
    """
    return {
        name: toward[name] + (part - toward[name]) / (1.0 + strength)
        for name, part in weights.items()
    }


def zero_weights(estimator: Any, rows: Rows) -> Weights:
    """Return the coefficients that every node begins with: zeros, in scikit-learn's shapes."""
    n_features = rows.x.shape[1]
    if rows.classes is None:
        shape: tuple[int, ...] = (n_features,)
        outputs = 1
    else:
        outputs = 1 if len(rows.classes) == 2 else len(rows.classes)
        shape = (outputs, n_features)
    weights = {"coef": np.zeros(shape)}
    if estimator.get_params(deep=False).get("fit_intercept", True):
        weights["intercept"] = np.zeros(outputs)
    return weights


def fitted_with(estimator: Any, weights: Weights, rows: Rows) -> Any:
    """Return an estimator that predicts with these coefficients, without training it.

    Raises
    ------
    ModelError
        It needs more than coefficients to predict.
    """
    set_coefficients(estimator, weights, rows)
    estimator.n_features_in_ = rows.x.shape[1]
    if rows.classes is not None:
        estimator.classes_ = rows.classes
    if not hasattr(estimator, "intercept_"):
        estimator.intercept_ = np.zeros(1)
    try:
        estimator.predict(rows.x[:1])
    except AttributeError as error:  # what fit leaves on it beside them
        raise ModelError(
            f"{type(estimator).__name__} predicts by more than its coefficients, which are all "
            "that is averaged: take an estimator that does not, such as SGDRegressor",
            detail=str(error),
        ) from error
    return estimator


def set_coefficients(estimator: Any, weights: Weights, rows: Rows) -> None:
    """Put coefficients into an estimator.

    Raises
    ------
    DataError
        They are of another shape than this node's.
    """
    own = zero_weights(estimator, rows)
    for name, part in own.items():
        given = weights.get(name)
        if given is None or np.shape(given) != part.shape:
            raise DataError(
                f"the model that was received has another `{name}` than this node's: do nodes have "
                "different features or classes, or another estimator?",
                detail=f"{None if given is None else np.shape(given)} and {part.shape}",
            )
        # a copy of its own: scikit-learn trains in the very array that it is given
        own_copy: Any = np.array(given, dtype=np.float64, order="C")
        if name == "intercept" and np.ndim(getattr(estimator, "intercept_", part)) == 0:
            own_copy = float(own_copy[0])  # as HuberRegressor has it, and goes on with it
        setattr(estimator, f"{name}_", own_copy)


def coefficients_of(estimator: Any) -> Weights:
    """Return copies of an estimator's coefficients.

    Raises
    ------
    ModelError
        It has none: it is no linear model.
    DataError
        They are not finite.
    """
    coef = getattr(estimator, "coef_", None)
    biased = estimator.get_params(deep=False).get("fit_intercept", True)
    if coef is None or (biased and not hasattr(estimator, "intercept_")):
        raise ModelError(
            f"{type(estimator).__name__} has no coefficients after training: SklearnAnalyzer "
            "trains linear models, whose coefficients can be averaged"
        )
    weights = {"coef": np.array(coef, dtype=np.float64)}
    if biased:
        weights["intercept"] = np.array(np.atleast_1d(estimator.intercept_), dtype=np.float64)
    if not all(np.isfinite(part).all() for part in weights.values()):
        raise _diverged()
    return weights


def _length(analyzer: SklearnAnalyzer, about: CheckedEstimator, n_rows: int) -> float:
    if analyzer.pass_length is None:
        return about.length(n_rows)
    said = analyzer.pass_length(about.estimator, n_rows)
    return length_above_0(said, f"{about.owner}.pass_length must return")


def _one_pass(estimator: Any, rows: Rows, owner: str) -> None:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # That one pass does not reach the optimum is the plan, and no news in every round.
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            one_pass(estimator, rows.x, rows.y, rows.classes)
        except ValueError as error:
            if "overflow occurred" in str(error):
                raise _diverged() from error
            raise refusal(estimator, rows, error, owner) from error


def _check_classes(rows: Rows) -> None:
    if rows.classes is not None and len(np.unique(rows.y)) < len(rows.classes):
        raise DataError(
            "this node has no row of one of the classes, and its estimator's fit must see all of "
            "them: take one with partial_fit, such as SGDClassifier, or leave this node out"
        )


def _diverged() -> DataError:
    return DataError(
        "the coefficients, or what the model makes of the rows, are no finite numbers any more. "
        "Look for values that are far too large, "
        "such as in another unit; scale the features; or take a smaller step, eta0. Nothing of "
        "this round has left the node"
    )
