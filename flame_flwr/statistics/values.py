"""Reads numbers, missing values and labels from a column; for `from_data` only.

A missing value is ``None``, NaN, ``pandas.NA`` or ``NaT``, as in pandas.
"""

from __future__ import annotations

import datetime
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flame_flwr.errors import DataError, ModelError
from flame_flwr.labels import DeclaredLabels, Label, as_python, is_missing, label_key
from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Numbers",
    "check_labels",
    "coded_labels",
    "columns_of",
    "days",
    "declared_labels",
    "is_numeric",
    "label_places",
    "labels",
    "missing",
    "numbers",
]

Numbers = npt.NDArray[np.float64]

_LARGEST = 1e150
"""Squares of larger numbers are no floats."""


def numbers(values: Any) -> Numbers:
    """Return a column of numbers as floats, with NaN for each that is missing.

    Parameters
    ----------
    values : sequence, array or Series of numbers, shape (n,)
        Booleans are 0 and 1.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    DataError
        One is no number, or is infinite or beyond 1e150.
    """
    array = _array(values)
    if array.dtype.kind == "O":
        array = np.array([_number(value) for value in array], dtype=np.float64)
    if array.dtype.kind not in "biuf":
        raise DataError(_NOT_NUMBERS)
    found = array.astype(np.float64)
    if np.any(np.abs(found) > _LARGEST):  # not of NaN, which compares as false
        raise DataError(
            "a column holds infinite values, or numbers beyond 1e150: make them missing (NaN), or "
            "leave their rows out"
        )
    return found


def is_numeric(values: Any) -> bool:
    """Tell whether a column holds numbers, and not only missing values of no type."""
    array = _array(values)
    if array.dtype.kind != "O":
        return array.dtype.kind in "iuf"
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "iuf":
        return True
    present = array[~missing(values)]
    return len(present) > 0 and all(
        isinstance(value, int | float | np.integer | np.floating) and type(value) is not bool
        for value in present
    )


def days(values: Any) -> Numbers | None:
    """Return a column of dates as days since 1970, with NaN for each that is missing.

    ``None`` where it is no such column: NumPy's or pandas' dates, or Python's, of any time zone.
    """
    array = _array(values)
    if array.dtype.kind == "O":
        present = array[~missing(values)]
        if not len(present) or not all(isinstance(value, datetime.date) for value in present):
            return None
    elif array.dtype.kind != "M":
        return None
    import pandas as pd

    # one column may have dates of several zones, as where the clocks change
    column = pd.to_datetime(pd.Series(array), utc=True)
    epoch = pd.Timestamp("1970-01-01", tz="UTC")
    return np.asarray((column - epoch) / pd.Timedelta(days=1), dtype=np.float64)


def missing(values: Any) -> npt.NDArray[np.bool_]:
    """Tell which values of a column are missing.

    Parameters
    ----------
    values : sequence, array or Series, shape (n,)
        Values of any type.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    if hasattr(values, "isna"):
        return np.asarray(values.isna(), dtype=bool)
    array = _array(values)
    if array.dtype.kind == "O":
        return np.array([is_missing(value) for value in array], dtype=bool)
    return np.asarray(array != array, dtype=bool)


def labels(values: Any) -> list[Label | None]:
    """Return a column of labels as Python's own values, ``None`` for each that is missing.

    A float without a fraction becomes an int: pandas makes floats of integers where some are
    missing, so they would differ from node to node.

    Raises
    ------
    DataError
        One is no string, integer, float or bool.
    """
    if hasattr(values, "to_list"):  # Python's own values, also of pandas' extension types
        return [_label(value) for value in values.to_list()]
    return [_label(value) for value in _array(values).tolist()]


def coded_labels(values: Any) -> tuple[npt.NDArray[np.int64], list[Label | None]]:
    """Return which of some labels each value is, and these labels, as :func:`labels` reads them.

    Raises
    ------
    DataError
        One is no string, integer, float or bool.
    """
    if _is_of_one_type(values):  # pandas finds equal ones quickly, but takes True for 1
        codes, found = values.factorize()
        read = [*map(_label, found.tolist()), None]
        return np.where(codes < 0, len(found), codes), read  # -1 is what is missing
    places: dict[tuple[type, Label | None], int] = {}
    kinds = [(type(label), label) for label in labels(values)]
    codes = np.array([places.setdefault(kind, len(places)) for kind in kinds], dtype=np.int64)
    return codes, [label for _, label in places]


def _is_of_one_type(values: Any) -> bool:
    if not hasattr(values, "factorize"):
        return False
    import pandas as pd

    return values.dtype != object or pd.api.types.infer_dtype(values, skipna=True) == "string"


def declared_labels(owner: str, found: Any) -> tuple[Label, ...]:
    """Return the labels that were declared, read as those of a column are: 1.0 is 1.

    Raises
    ------
    ModelError
        They are no list, or one is a missing value.
    """
    if isinstance(found, str) or not np.iterable(found):
        raise ModelError(f"{owner}: labels must be a list of labels, such as ['f', 'm']")
    # With one more, NumPy makes no second axis of labels that are lists: `labels` refuses these.
    read = labels(np.array([*found, None], dtype=object)[:-1])
    if None in read:
        raise ModelError(f"{owner}: a missing value is no label: missing values are counted anyway")
    return tuple(label for label in read if label is not None)


def label_places(owner: str, values: Any, declared: Sequence[Label]) -> npt.NDArray[np.int64]:
    """Return which of the declared labels each value is, by the rule of :mod:`flame_flwr.labels`.

    Where some fit none, the node's log says how many.

    Parameters
    ----------
    owner : str
        What counts them, for the log.
    values : sequence, array or Series, shape (n,)
        The column.
    declared : sequence of labels
        Those that are counted.

    Returns
    -------
    ndarray of int, shape (n,)
        The place of each one's label; ``len(declared)`` where it fits none, and one more where
        it is missing.
    """
    known, other = DeclaredLabels(declared), len(declared)
    codes, found = coded_labels(values)
    places = [other + 1 if label is None else known.find(label) for label in found]
    places = [other if place is None else place for place in places]
    result = np.array(places, dtype=np.int64)[codes]
    outside = int((result == other).sum())
    if outside:
        logger.warning(
            "%s: %s of %d fit none of the labels: counted as `other`",
            owner,
            "1 value" if outside == 1 else f"{outside} values",
            len(result),
        )
    return result


def check_labels(owner: str, found: object) -> None:
    """Refuse what is no tuple of labels that all differ.

    Raises
    ------
    ModelError
        It is not.
    """
    plain = type(found) is tuple and all(type(label) in (str, int, float, bool) for label in found)
    if not plain or not isinstance(found, tuple) or any(map(_is_unread, found)):
        raise ModelError(f"{owner}: labels must be a tuple of strings, numbers or bools")
    if len({label_key(label) for label in found}) < len(found):
        raise ModelError(f"{owner}: two labels are alike")


def columns_of(frame: Any) -> dict[str, Any]:
    """Return the columns of a table by name; a name that is a whole number becomes its digits.

    Parameters
    ----------
    frame : DataFrame, or dict of columns
        The table.

    Raises
    ------
    ModelError
        It is no table, a name is neither string nor whole number, or two are alike.
    """
    if not hasattr(frame, "keys"):
        raise ModelError(f"a table is a DataFrame or a dict of columns, not {type(frame).__name__}")
    keys = list(frame.keys())
    plain = all(isinstance(key, str | int | np.integer) and type(key) is not bool for key in keys)
    if not plain or len(set(map(str, keys))) < len(keys):
        raise ModelError(
            "the columns of a table must have names, strings or whole numbers, no two of them alike"
        )
    return {str(key): frame[key] for key in keys}


_NOT_NUMBERS = (
    "a column that must hold numbers holds something else: convert it, for example with "
    "pandas.to_numeric(column, errors='coerce')"
)


def _array(values: Any) -> npt.NDArray[Any]:
    if isinstance(values, np.ma.MaskedArray):  # what is masked is missing
        array = np.array(values.data, dtype=object)
        array[np.ma.getmaskarray(values)] = None
    else:
        array = np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"a column has one axis, not {array.ndim}")
    if array.dtype.kind in "US":  # numpy makes text of NaN and numbers that stand beside text
        return np.array([*values, None], dtype=object)[:-1]
    return array


def _is_unread(label: Label) -> bool:
    return isinstance(label, float) and (not math.isfinite(label) or label.is_integer())


def _number(value: Any) -> float:
    if is_missing(value):
        return np.nan
    if isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        return float(value)
    raise DataError(_NOT_NUMBERS)


def _label(value: Any) -> Label | None:
    label = as_python(value)
    if type(label) is float and math.isinf(label):
        raise DataError("a column of labels holds infinite numbers: make them missing (NaN)")
    if label is None or type(label) in (str, int, float, bool):
        return label  # type: ignore[return-value]
    raise DataError(
        "a label must be a string, a number or a bool: convert the column, for example with "
        ".astype(str)"
    )
