"""The splits of a local test: one entry per node, of whatever kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flame_flwr.errors import ModelError
from flame_flwr.log import logger

__all__ = ["check_splits", "in_own_order", "warn_of_shapes"]

_ROLES = frozenset({"default", "aggregator", "proxy"})
"""Those of FLAME's nodes."""


def in_own_order(
    node_roles: Any, query: Any, simple_analysis: Any, output_type: Any
) -> tuple[Any, Any, Any, Any]:
    """Return a tester's arguments behind `data_type` in the order of its signature.

    FLAME's guide prints ``StarModelTester`` without `node_roles`, so code that follows it gives
    `query`, `simple_analysis` and `output_type` one place earlier.

    Examples
    --------
    >>> in_own_order("Patient?_count=9", False, "pickle", "str")
    (None, 'Patient?_count=9', False, 'pickle')
    >>> in_own_order(["default"], None, True, "str")
    (['default'], None, True, 'str')
    """
    if not (isinstance(query, bool) or _is_query(node_roles)):
        return node_roles, query, simple_analysis, output_type
    if not isinstance(query, bool):
        return None, node_roles, simple_analysis, output_type
    given = simple_analysis if isinstance(simple_analysis, str) else output_type
    return None, node_roles, query, given


def _is_query(node_roles: Any) -> bool:
    if isinstance(node_roles, str | Mapping):
        return True
    listed = isinstance(node_roles, list | tuple) and len(node_roles) > 0
    return listed and not any(each in _ROLES for each in node_roles)


def check_splits(data_splits: Any, node_roles: Any) -> list[Any]:
    """Return the splits as a list, one per node.

    Raises
    ------
    ModelError
        They are no list with an entry per node, or `node_roles` names roles that there are not.
    """
    if isinstance(data_splits, str | bytes | dict | set) or not hasattr(data_splits, "__len__"):
        raise ModelError(
            f"data_splits must be a list with one entry per node, not {type(data_splits).__name__}"
        )
    if hasattr(data_splits, "columns"):
        raise ModelError(
            "data_splits is a table, and would be one node per column: pass a list of DataFrames, "
            "one per node"
        )
    splits = list(data_splits)
    if not splits:
        raise ModelError("data_splits is empty: give at least one entry, one per node")
    expected = [["default"] * len(splits), ["default"] * len(splits) + ["aggregator"]]
    if node_roles is not None and list(node_roles) not in expected:
        raise ModelError(
            f"node_roles must be 'default' for every one of the {len(splits)} splits, "
            f"not {list(node_roles)!r}"
        )
    return splits


_WARNED_OF: set[str] = set()
"""Types of splits that this process has warned of: one warning for each is enough."""


def warn_of_shapes(splits: list[Any], data_type: str) -> None:
    """Say, as the reference does, that a split has not the shape of a node's data."""
    for i, split in enumerate(splits):
        if data_type == "fhir" and (key := _key_of_bytes(split)) is not None:
            logger.warning(
                "data_splits[%d] has bytes under %r, as a file of data_type 's3' is. That works "
                "here; on a deployment data_type 'fhir' gives a bundle, a dict, for each query.",
                i,
                key,
            )
            return
        usual = isinstance(split, list) and all(isinstance(files, dict) for files in split)
        if not usual and type(split).__name__ not in _WARNED_OF:
            _WARNED_OF.add(type(split).__name__)
            logger.warning(
                "data_splits[%d] is of type %s. That works here; on a deployment an analyzer gets "
                "[{key: bytes, ...}, ...], one dict per data source.",
                i,
                type(split).__name__,
            )
            return


def _key_of_bytes(split: Any) -> str | None:
    """Return the key of the first content that is a file's, and no bundle."""
    sources = split if isinstance(split, list) else [split]
    contents = [item for each in sources if isinstance(each, Mapping) for item in each.items()]
    found = (key for key, content in contents if isinstance(content, bytes | bytearray))
    return next(map(str, found), None)
