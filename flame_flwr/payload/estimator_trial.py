"""Letting an estimator that arrived compute, on two rows, before anyone relies on it.

What its methods would raise at, its sender is to hear of, and not who calls them.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

__all__ = ["try_out"]

_METHODS = ("predict", "decision_function", "predict_proba", "predict_log_proba", "transform")
_ROWS = 2


def try_out(estimator: Any, first: Any) -> None:
    """Call the methods of an estimator whose shapes have been checked.

    Parameters
    ----------
    estimator : estimator
        A single one, or a pipeline.
    first : estimator
        The one that gets the data: the first step of a pipeline, or the same.

    Raises
    ------
    ValueError
        A method raises, or gives not one entry per row, or there is none.
    """
    name = type(estimator).__name__
    # Zeros may give infinities and NaN in one that is sound: only errors and shapes count here.
    with np.errstate(all="ignore"):
        try:
            if hasattr(estimator, "_parameter_constraints"):
                estimator._validate_params()
            given = _data(first)
            results = [result for method in _METHODS for result in _call(estimator, method, given)]
            if "transform" in dir(estimator) and name not in _ONE_WAY and results:
                results.append(estimator.inverse_transform(results[-1]))
        except Exception as error:
            raise ValueError(f"{name} does not compute ({type(error).__name__})") from error
    if not results or any(np.shape(result)[:1] != (_ROWS,) for result in results):
        raise ValueError(f"{name} does not give one result per row")


_ONE_WAY = ("Pipeline", "SimpleImputer")


def _call(estimator: Any, name: str, given: Any) -> list[Any]:
    method = getattr(estimator, name, None)
    if method is None:
        return []
    if "return_std" in inspect.signature(method).parameters:
        return [*method(given, return_std=True)]
    return [method(given)]


def _data(estimator: Any) -> Any:
    """Return two rows that an estimator knows: zeros, or its own categories."""
    fitted = vars(estimator)
    features = fitted.get("n_features_in_")
    if features is None:
        return np.repeat(fitted["classes_"][:1], _ROWS)
    row: Any = np.zeros(features)
    if "categories_" in fitted:
        known = [each[0] for each in fitted["categories_"]]
        text = any(each.dtype.kind in "OUS" for each in fitted["categories_"])
        row = np.array(known, dtype=object if text else None)
    elif "statistics_" in fitted and fitted["statistics_"].dtype == object:
        row = np.array(["" if type(each) is not str else each for each in fitted["statistics_"]])
        row = row.astype(object)
    rows = np.repeat(row[np.newaxis], _ROWS, axis=0)
    names = fitted.get("feature_names_in_")
    return rows if names is None else _table(rows, names)


def _table(rows: Any, names: Any) -> Any:
    import pandas as pd

    return pd.DataFrame(rows, columns=names)
