"""What a node says where scikit-learn refuses to fit: all of the settings, nothing of the rows."""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import DataError, FlameError, ModelError

if TYPE_CHECKING:
    from flame_flwr.sklearn.rows import Rows

__all__ = ["one_pass", "refusal"]

_SETTING = re.compile(r"The '(\w+)' parameter of \w+ must be (.+?)\. Got ", re.DOTALL)
"""scikit-learn's words for a setting; behind them stands the value, which stays at the node."""

_NUMBER = re.compile(r"\d[.\d]*\d")
_ROWS_PER_CLASS, _FEATURES = 4, 3


def one_pass(estimator: Any, x: Any, y: Any, classes: Any) -> None:
    """Have an estimator go through rows once: `classes` are all there are, None for a regressor."""
    if not hasattr(estimator, "partial_fit"):
        estimator.fit(x, y)
    elif classes is None:
        estimator.partial_fit(x, y)
    else:
        estimator.partial_fit(x, y, classes=classes)


def refusal(estimator: Any, rows: Rows, error: ValueError, owner: str) -> FlameError:
    """Return the error of a node whose estimator has refused its rows.

    Parameters
    ----------
    estimator : Any
        It.
    rows : Rows
        What it was given.
    error : ValueError
        What it said.
    owner : str
        The name of the analyzer's class.
    """
    kind, detail = type(estimator).__name__, str(error)
    # a class of the user's could say the rows that it has seen
    if type(estimator).__module__.startswith("sklearn."):
        setting = _SETTING.match(detail)
        if setting is not None:
            name, rule = setting.groups()
            return ModelError(
                f"{owner}.estimator: {name!r} of {kind} must be {rule}", detail=detail
            )
        said = _said_of_other_rows(estimator, rows.classes)
        if said:
            return ModelError(
                f"{owner}.estimator: the settings of {kind} do not go together, whatever the rows "
                f"are: {said}",
                detail=detail,
            )
    return DataError(
        f"{kind} of scikit-learn refuses these rows, or how it is set up: what it says is in this "
        "node's log",
        detail=detail,
    )


def _said_of_other_rows(estimator: Any, classes: Any) -> str:
    """Return why an estimator refuses rows that are made up, too; '' where it takes them.

    Then nothing in the text comes from the node's rows. A setting may have been computed of them,
    so a text with a number of more than one digit is not returned.
    """
    from sklearn.base import clone

    random = np.random.default_rng(0)
    n_rows = _ROWS_PER_CLASS * (1 if classes is None else len(classes))
    x = random.normal(size=(n_rows, _FEATURES))
    y = random.normal(size=n_rows) if classes is None else np.resize(classes, n_rows)
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        try:
            one_pass(clone(estimator), x, y, classes)
        except ValueError as error:
            said = str(error).partition("\n")[0]
            return "" if _NUMBER.search(said) else said
    return ""
