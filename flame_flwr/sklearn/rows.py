"""A node's rows, checked once: what the other modules of this room compute with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flame_flwr.errors import DataError, ModelError

__all__ = ["Rows", "named_columns", "rows_of"]


@dataclass(frozen=True)
class Rows:
    """Features and labels or targets.

    Attributes
    ----------
    x : ndarray of float64 or sparse, shape (n_rows, n_features)
        As the model sees them.
    y : ndarray, shape (n_rows,)
    classes : ndarray or None
        All labels that there are at any node, sorted; ``None`` for a regressor.
    """

    x: Any
    y: npt.NDArray[Any]
    classes: npt.NDArray[Any] | None = None


def rows_of(given: Any, method: str) -> tuple[Any, npt.NDArray[Any]]:
    """Return features as float64, and labels, of what a method of an analyzer returned.

    Raises
    ------
    ModelError
        It is no pair of a table and a column.
    DataError
        There are no rows, not as many labels, or cells that are no finite number.
    """
    if not isinstance(given, tuple) or len(given) != 2:
        raise ModelError(f"{method} must return features and labels: a tuple of two")
    x, y = given
    if hasattr(x, "tocsr"):
        x = x.tocsr().astype(np.float64)
        cells = x.data
    else:
        try:
            x = cells = np.ascontiguousarray(x, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{method}: the features must be numbers, and one is text or missing: fill it in, "
                "encode it, or leave the column out",
                detail=str(error),
            ) from None
    y = np.asarray(y)
    if x.ndim != 2 or y.ndim != 1:
        raise ModelError(
            f"{method} must return features with two dimensions and labels with one, not "
            f"{x.ndim} and {y.ndim}"
        )
    if not x.shape[0]:
        raise DataError(f"{method}: there are no rows")
    if x.shape[0] != len(y):
        raise DataError(
            f"{method}: there must be as many labels as rows of features",
            detail=f"{x.shape[0]} rows and {len(y)} labels",
        )
    if not np.isfinite(cells).all() or (y.dtype.kind == "f" and not np.isfinite(y).all()):
        raise DataError(
            f"{method}: every cell must be a finite number, and there are empty or infinite ones. "
            "Nothing is guessed: fill them in, or leave these rows out"
        )
    if y.dtype.kind not in "biufU" and not all(map(_is_label, y)):
        raise DataError(
            f"{method}: a label is missing, or neither a text nor a number: leave such rows out, "
            "or say the label as a text"
        )
    return x, y


def _is_label(value: Any) -> bool:
    return isinstance(value, str | bool | int | float | np.number | np.bool_) and value == value


def named_columns(x: Any) -> list[str]:
    """Return what a table's columns are called; an array's are not."""
    return [str(name) for name in getattr(x, "columns", ())]
