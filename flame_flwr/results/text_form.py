"""A result as text, whole: pandas, NumPy and SciPy leave out the middle of what is long.

For files of the type ``'str'`` and for what is printed at the end of a run.
"""

from __future__ import annotations

import copy
import sys
from contextlib import ExitStack
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from flame_flwr.text.python_words import NO_VALUE, without_python
from flame_flwr.text.words import value_in_words

__all__ = ["as_text", "file_text", "final_line", "printed"]

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_ALL = sys.maxsize
_PRINTED, _PRINTED_ROWS = 100_000, 10_000
"""Characters of a result, and rows of its tables, that are printed."""
_BLOCK = 5000
"""Numbers of an array that are written at a time."""


def file_text(value: Any, name: str) -> str:
    r"""Return what a file of the type ``'str'`` holds.

    Parameters
    ----------
    value : Any
        The result.
    name : str
        The file's. A pandas object becomes CSV where it ends in ``.csv`` (in ``.tsv``: with tabs),
        without its index where that is 0, 1, 2, ...; else the text is as for :func:`as_text`.

    Examples
    --------
    >>> import pandas as pd
    >>> file_text(pd.DataFrame({"age": [54, 61]}), "ages.csv")
    'age\n54\n61\n'
    """
    pandas = sys.modules.get("pandas")
    separator = _SEPARATORS.get(PurePath(name).suffix.lower())
    if pandas is None or separator is None:
        return as_text(value)
    if isinstance(value, pandas.Index):
        value = value.to_frame(index=False)
    if not isinstance(value, pandas.DataFrame | pandas.Series):
        return as_text(value)
    # An index of 0, 1, 2, ... is only the row's number.
    plain = value.index.name is None and value.index.equals(pandas.RangeIndex(len(value)))
    return str(value.to_csv(sep=separator, index=not plain, lineterminator="\n"))


def as_text(value: Any, most: int | None = None) -> str:
    """Return ``str(value)`` with nothing left out of tables and arrays, also within containers.

    Parameters
    ----------
    value : Any
        What is to be shown.
    most : int, optional
        The most rows of a table and numbers of an array that are shown; ``None``: all.
    """
    with ExitStack() as options:
        threshold = _ALL if most is None else most
        options.enter_context(np.printoptions(threshold=threshold))
        pandas = sys.modules.get("pandas")
        if pandas is not None:
            options.enter_context(pandas.option_context(*_pandas_options(most)))
            if isinstance(value, pandas.Categorical):  # ten of its values, whatever the options
                value = pandas.Series(value)
        if hasattr(value, "maxprint") and hasattr(value, "nnz"):  # a sparse array of SciPy's
            value = copy.copy(value)  # the limit is an attribute, and the value is the user's
            value.maxprint = threshold
        return str(value if most is not None else _quick(value))


def printed(value: Any) -> str:
    """Return a value as text that a terminal can bear, with a word on what is left out.

    A file has it as Python writes it; people get words for an enum, for an object without a text of
    its own, and for nothing, and a Series is a table.
    """
    if value is None:
        return NO_VALUE
    if isinstance(value, Enum):
        return value_in_words(value)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.Series):
        value = value.to_frame("value" if value.name is None else value.name)
    text = as_text(value, _PRINTED_ROWS)
    if not isinstance(value, str):
        text = without_python(text)
    if len(text) <= _PRINTED:
        return text
    return f"{text[:_PRINTED]} ... ({len(text)} characters)"


def final_line(value: Any, name: str = "Final result") -> str:
    """Return the line of the log that ends a run in this process.

    Examples
    --------
    >>> final_line(41.5)
    'Final result: 41.5'
    """
    text = printed(value)
    # The columns of a table are below each other only if all of its lines begin alike.
    return f"{name}:\n{text}" if "\n" in text else f"{name}: {text}"


class _Text:
    """Stands for an array within a container, as its text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _quick(value: Any) -> Any:
    """Return a value with texts for the large arrays in it, which NumPy writes very slowly."""
    if type(value) is dict:
        return {key: _inside(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_inside, value))
    return _Text(_array(value)) if _is_large(value) else value


def _inside(value: Any) -> Any:
    return _Text(f"array({_array(value)})") if _is_large(value) else _quick(value)


def _is_large(value: Any) -> bool:
    return type(value) is np.ndarray and value.size > _BLOCK


def _array(array: npt.NDArray[Any]) -> str:
    """Return an array's text, written in blocks; the width of its numbers may differ by block."""
    if not _is_large(array):
        return str(array)
    if array.ndim == 1:
        blocks = (str(array[i : i + _BLOCK])[1:-1] for i in range(0, len(array), _BLOCK))
        return "[" + "\n ".join(blocks) + "]"
    rows = (_array(row).replace("\n", "\n ") for row in array)
    return "[" + ("\n" * (array.ndim - 1) + " ").join(rows) + "]"


def _pandas_options(most: int | None) -> list[Any]:
    """Return pandas' options, each with its value."""
    wanted = {
        "display.max_rows": most,
        "display.min_rows": most,
        "display.max_columns": None,
        "display.max_colwidth": None,
        "display.max_seq_items": most,
        "display.max_categories": _ALL,
        "display.pprint_nest_depth": _ALL,
        "display.expand_frame_repr": False,
        "display.large_repr": "truncate",
    }
    return [part for option in wanted.items() for part in option]
