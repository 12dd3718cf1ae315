"""The splits of a local test: one entry per node, of whatever kind."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from flame_flwr.errors import ModelError
from flame_flwr.log import logger

__all__ = ["check_splits", "in_declared_order", "warn_of_shapes"]

_ROLES = frozenset({"default", "aggregator", "proxy"})
"""Those of FLAME's nodes."""


def in_declared_order(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tester's arguments under the names that they were meant for.

    FLAME's guide prints ``StarModelTester`` without `node_roles` and `multiple_results`. Code that
    follows it gives `query`, and what comes after it, in the places of other parameters. The types
    tell which argument stands in whose place.

    Examples
    --------
    >>> begun = {"node_roles": ["default"], "query": None, "simple_analysis": True}
    >>> in_declared_order(begun)["node_roles"]
    ['default']
    >>> guides = {"node_roles": "Patient?_count=9", "query": False, "simple_analysis": "pickle"}
    >>> moved = in_declared_order(guides)
    >>> moved["query"], moved["simple_analysis"], moved["output_type"]
    ('Patient?_count=9', False, 'pickle')
    """
    if not (isinstance(given["query"], bool) or _is_query(given["node_roles"])):
        return dict(given)
    query = {"node_roles": None, "query": given["node_roles"]}
    if not isinstance(given["query"], bool):  # what comes after it was given by name
        return {**given, **query}
    moved = [
        (place, name)
        for place, (name, kind) in _OF_THE_GUIDE.items()
        if place in given and isinstance(given[place], kind)
    ]
    left = {place: _DEFAULTS.get(place) for place, _ in moved}
    return {**given, **left, **query, **{name: given[place] for place, name in moved}}


_OF_THE_GUIDE: dict[str, tuple[str, Any]] = {
    "query": ("simple_analysis", bool),
    "simple_analysis": ("output_type", str | list | tuple),
    "output_type": ("analyzer_kwargs", Mapping | None),
    "multiple_results": ("aggregator_kwargs", Mapping | None),
    "analyzer_kwargs": ("epsilon", Real),
    "aggregator_kwargs": ("sensitivity", Real),
    "epsilon": ("result_filepath", str | Path | list | tuple),
}
"""By the parameter here, the one that the guide has in its place, with the type of its values."""

_DEFAULTS = {"simple_analysis": True, "output_type": "str", "multiple_results": False}


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
    # The first odd one stands for all: they are mostly made by the same line of a script.
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
