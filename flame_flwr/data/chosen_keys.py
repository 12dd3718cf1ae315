"""Choosing what a query names, from whatever a source has by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from flame_flwr.errors import DataError
from flame_flwr.text.suggestions import what_there_is

__all__ = ["select"]

_T = TypeVar("_T")


def select(files: Mapping[str, _T], keys: list[str], name: str) -> dict[str, _T]:
    """Return the files of these keys, in this order; no keys means all.

    Parameters
    ----------
    files : dict
        Anything by key.
    keys : list of str
        What a query names.
    name : str
        How messages call the source.

    Raises
    ------
    DataError
        A key is missing; the message names it and the source.

    Examples
    --------
    >>> select({"a.csv": b"1", "b.csv": b"2"}, ["b.csv"], "data source 1")
    {'b.csv': b'2'}
    """
    missing = [key for key in keys if key not in files]
    if missing:
        raise DataError(
            f"{name} has no {', '.join(map(repr, missing))}, which the query names",
            detail=what_there_is(missing, files),
        )
    return {key: files[key] for key in keys} if keys else dict(files)
