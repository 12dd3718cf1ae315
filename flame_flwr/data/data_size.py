"""How much data a node has, in a few words and without a value: for the report of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from flame_flwr.privacy.evidence import SIZED, Evidence

__all__ = ["evidence_of"]


def evidence_of(data: Any, data_type: str) -> Evidence:
    r"""Return how much data a node has; its gate decides whether that may leave.

    Parameters
    ----------
    data : Any
        As the analyzer gets it: a dict of files or bundles per source, or any other object.
    data_type : {'s3', 'fhir', 'sql', 'none'}
        The type of data that the analysis asks for.

    Returns
    -------
    Evidence
        Files and bytes, resources, or the type and shape of anything else.

    Examples
    --------
    >>> evidence_of([{"a.csv": b"age\n54\n", "b.csv": b"age\n61\n"}], "s3").words()
    '2 files, 14 B'
    """
    if data_type == "none" or data is None:
        return Evidence()
    sources = data if isinstance(data, list) else [None]
    values = [value for source in sources if isinstance(source, dict) for value in source.values()]
    if not values or not all(isinstance(source, dict) for source in sources):
        return _of_object(data)
    if all(isinstance(value, bytes | bytearray) for value in values):
        return Evidence(files=len(values), nbytes=sum(map(len, values)))
    if all(isinstance(value, dict) and value.get("resourceType") == "Bundle" for value in values):
        entries = [bundle.get("entry") for bundle in values]
        return Evidence(resources=sum(len(each) for each in entries if isinstance(each, list)))
    if data_type == "sql" and all(map(_is_frame, values)):
        return Evidence(kind="rows", shape=(sum(map(len, values)),))
    return _of_object(data)


def _is_frame(value: Any) -> bool:
    return type(value).__name__ == "DataFrame"


def _of_object(data: Any) -> Evidence:
    """Return what :func:`flame_flwr.payload.describe` says of an object, as numbers."""
    kind = type(data).__name__
    if isinstance(data, np.ndarray):
        return Evidence(kind=kind, dtype=data.dtype.name, shape=data.shape)
    if kind in SIZED:
        return Evidence(kind=kind, shape=(len(data),))
    shape = getattr(data, "shape", None)
    if type(data).__module__.partition(".")[0] not in ("pandas", "scipy") or shape is None:
        return Evidence(kind=kind)
    return Evidence(kind=kind, shape=tuple(map(int, shape)))
