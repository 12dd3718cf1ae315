"""Merging values that were kept until the round ended: one after another, or as statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flame_flwr.aggregation.accumulators import Where
from flame_flwr.errors import FlameError

__all__ = ["concatenated", "merged_statistics"]


def concatenated(values: dict[str, Any], place: Where, columns: str) -> Any:
    """Return arrays, lists or tables one after another.

    Raises
    ------
    DataError
        They do not fit each other; it names a node.
    """
    parts = list(values.values())
    first = parts[0]
    for node, part in values.items():
        if type(part) is not type(first):
            raise place.error(
                f"it sent a {type(part).__name__}, and {next(iter(values))} a "
                f"{type(first).__name__}",
                node,
            )
    if isinstance(first, list | tuple):
        rows = [row for part in parts for row in part]
        return rows if isinstance(first, list) else tuple(rows)
    if isinstance(first, np.ndarray):
        for node, part in values.items():
            _check_follows(node, part, first, place)
        return np.concatenate(parts)
    if hasattr(first, "columns"):
        return _bound_tables(values, place, columns)
    if hasattr(first, "index") and hasattr(first, "to_numpy"):
        import pandas as pd

        return pd.concat(parts, ignore_index=True)
    raise place.error(
        f"values of type {type(first).__name__} cannot be put one after another: use PerNode()",
        next(iter(values)),
    )


def _check_follows(node: str, part: Any, first: Any, place: Where) -> None:
    """See that an array can stand below the first node's."""
    if part.ndim == 0 or part.shape[1:] != first.shape[1:]:
        raise place.error(
            f"an array of shape {part.shape} cannot follow one of {first.shape}", node
        )
    try:
        np.result_type(first, part)
    except TypeError:  # as of dates and numbers
        raise place.error(
            f"an array of {part.dtype} cannot follow one of {first.dtype}: send one type "
            "from all nodes",
            node,
        ) from None


def _bound_tables(values: dict[str, Any], place: Where, columns: str) -> Any:
    import pandas as pd

    first = next(iter(values.values()))
    alike = all(list(table.columns) == list(first.columns) for table in values.values())
    for node, table in values.items():
        if not alike and not table.columns.is_unique:
            raise place.error(
                "two of its columns have one name, so they cannot be told apart: rename one", node
            )
        odd = set(table.columns) ^ set(first.columns)
        if odd and columns == "error":
            names = ", ".join(sorted(map(str, odd)))
            raise place.error(
                f"its columns are not those of {next(iter(values))}: only one of them has {names}. "
                'Declare columns="common" or columns="all" to go on',
                node,
            )
    join: Any = "inner" if columns == "common" else "outer"
    return pd.concat(list(values.values()), ignore_index=True, join=join)


def merged_statistics(values: dict[str, Any], place: Where, wanted: Any, skip: bool) -> Any:
    """Return statistics merged in participant order, within dicts and lists too.

    Raises
    ------
    DataError
        A value is no such statistic, is of another kind than the others, or is missing.
    """
    first_node, first = next(iter(values.items()))
    if isinstance(first, Mapping):
        return _merged_dict(values, place, wanted, skip)
    if isinstance(first, list | tuple):
        for node, value in values.items():
            if type(value) is not type(first) or len(value) != len(first):
                raise place.error(f"its list is not as long as that of {first_node}", node)
        rows = [
            merged_statistics(
                {node: value[i] for node, value in values.items()}, place, wanted, skip
            )
            for i in range(len(first))
        ]
        return rows if isinstance(first, list) else tuple(rows)
    return _merged_each(values, place, wanted)


def _merged_each(values: dict[str, Any], place: Where, wanted: Any) -> Any:
    first, total = next(iter(values.values())), None
    for node, value in values.items():
        if not isinstance(value, wanted) or type(value) is not type(first):
            name = wanted.__name__ if type(first) is type(value) else type(first).__name__
            raise place.error(
                f"it sent a {type(value).__name__} where a {name} is expected: statistics have "
                "merge() and result()",
                node,
            )
        try:
            total = value if total is None else total.merge(value)
        except Exception as error:  # of a class of a user's own, it may be any
            why = error.message if isinstance(error, FlameError) else type(error).__name__
            raise place.error(
                f"its {type(value).__name__} does not merge with those before it ({why})",
                node,
                detail=error.detail if isinstance(error, FlameError) else None,
            ) from error
    return total


def _merged_dict(values: dict[str, Any], place: Where, wanted: Any, skip: bool) -> dict[Any, Any]:
    for node, value in values.items():
        if not isinstance(value, Mapping):
            raise place.error(f"it sent a {type(value).__name__} where others sent a dict", node)
    names = list(dict.fromkeys(name for value in values.values() for name in value))
    result = {}
    for name in names:
        inner = Where(place.round, f"{place.key}.{name}".lstrip("."), place.nodes)
        absent = [node for node, value in values.items() if name not in value]
        if absent and not skip:
            raise inner.error(
                'it is missing there. Mend it on the node, or declare missing="skip"', *absent
            )
        if absent:
            inner.leave_out("it is missing there", absent)
        having = {node: value[name] for node, value in values.items() if name in value}
        result[name] = merged_statistics(having, inner, wanted, skip)
    return result
