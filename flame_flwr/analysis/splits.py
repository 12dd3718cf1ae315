"""The splits of a local test: one entry per node, of whatever kind."""

from __future__ import annotations

from typing import Any

from flame_flwr.errors import ModelError
from flame_flwr.log import logger

__all__ = ["check_splits", "warn_of_shapes"]


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


def warn_of_shapes(splits: list[Any]) -> None:
    """Say, as the reference does, that a split has not the shape of a node's data."""
    for i, split in enumerate(splits):
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
