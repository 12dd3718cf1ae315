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
        There are no rows, not as many labels, cells that are no finite number, or labels that are
        neither texts nor numbers.
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
    _check_labels(y, method)
    return x, y


def _check_labels(y: npt.NDArray[Any], method: str) -> None:
    """Refuse labels, or targets, that are neither texts nor numbers.

    Raises
    ------
    DataError
        One is missing or of another type, or texts and numbers are mixed.
    """
    if y.dtype.kind in "biufU":
        return
    kinds: set[type] = {type(each) for each in y}
    if y.dtype.kind == "O":
        from pandas import isna

        if isna(y).any():
            raise DataError(f"{method}: a label is missing: leave such rows out")
    odd = sorted(kind.__name__ for kind in kinds if not _is_label(kind))
    if odd:
        raise DataError(
            f"{method}: the labels are of the type {odd[0]}, neither texts nor numbers: say each "
            "as one of these"
        )
    if len({issubclass(kind, str) for kind in kinds}) > 1:
        raise DataError(
            f"{method}: some labels are texts and others numbers: say all of them as texts"
        )


def _is_label(kind: type) -> bool:
    known = issubclass(kind, str | bool | int | float | np.bool_ | np.integer | np.floating)
    return known and not issubclass(kind, np.timedelta64)  # to NumPy a whole number


def named_columns(x: Any) -> list[str]:
    """Return what a table's columns are called; an array's are not."""
    return [str(name) for name in getattr(x, "columns", ())]
