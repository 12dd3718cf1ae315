"""Putting values one after another that were kept until the round ended."""

from __future__ import annotations

from typing import Any

import numpy as np

from flame_flwr.aggregation.accumulators import Where
from flame_flwr.text.shown_text import one_line, one_line_each

__all__ = ["check_follows", "concatenated", "without_rows"]

_LONGEST = 60


def concatenated(values: dict[str, Any], columns: str) -> Any:
    """Return arrays, lists or tables one after another; they fit each other."""
    parts = list(values.values())
    first = parts[0]
    if isinstance(first, list | tuple):
        rows = [row for part in parts for row in part]
        return rows if isinstance(first, list) else tuple(rows)
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    import pandas as pd

    join: Any = "inner" if columns == "common" else "outer"
    return pd.concat(parts, ignore_index=True, join=join)


def without_rows(value: Any) -> Any:
    """Return a value without its rows, by which it is seen whether others can follow it."""
    if isinstance(value, np.ndarray):
        return value[:0] if value.ndim else value  # of no dimension: refused by `check_follows`
    if isinstance(value, list | tuple):
        return type(value)()
    return value.iloc[:0] if hasattr(value, "iloc") else value


def check_follows(values: dict[str, Any], place: Where, columns: str) -> None:
    """See that values can be put one after another.

    Raises
    ------
    DataError
        They do not fit each other; it names a node.
    """
    (first_node, first), *_ = values.items()
    for node, part in values.items():
        if type(part) is not type(first):
            raise place.error(
                f"it sent a {type(part).__name__}, and {first_node} a {type(first).__name__}", node
            )
        if isinstance(first, np.ndarray):
            _check_array(node, part, first, place)
    if hasattr(first, "columns"):
        _check_tables(values, place, columns)
    elif not isinstance(first, list | tuple | np.ndarray) and not hasattr(first, "to_numpy"):
        raise place.error(
            f"values of type {type(first).__name__} cannot be put one after another: use PerNode()",
            first_node,
        )


def _check_array(node: str, part: Any, first: Any, place: Where) -> None:
    """See that an array can stand below the first node's."""
    if part.ndim == 0:
        raise place.error("an array of no dimension has no rows to follow others", node)
    if part.shape[1:] != first.shape[1:]:
        raise place.error(
            f"an array with rows of shape {part.shape[1:]} cannot follow one with rows of "
            f"{first.shape[1:]}",
            node,
        )
    try:
        np.result_type(first, part)
    except TypeError:  # as of dates and numbers
        raise place.error(
            f"an array of {one_line(part.dtype, _LONGEST)} cannot follow one of "
            f"{one_line(first.dtype, _LONGEST)}: send one type from all nodes",
            node,
        ) from None


def _check_tables(values: dict[str, Any], place: Where, columns: str) -> None:
    (first_node, first), *_ = values.items()
    alike = all(list(table.columns) == list(first.columns) for table in values.values())
    for node, table in values.items():
        if not alike and not table.columns.is_unique:
            raise place.error(
                "two of its columns have one name, so they cannot be told apart: rename one", node
            )
        odd = set(table.columns) ^ set(first.columns)
        if odd and columns == "error":
            names = one_line_each(sorted(one_line(name, _LONGEST) for name in odd))
            raise place.error(
                f"its columns are not those of {first_node}: only one of them has {names}. "
                'Declare columns="common" or columns="all" to go on',
                node,
            )
