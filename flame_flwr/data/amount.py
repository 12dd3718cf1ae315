"""How much data a node has, in a few words and without a value: for the report of a run."""

from __future__ import annotations

from typing import Any

from flame_flwr.payload.describe import describe
from flame_flwr.sizes import shown_size

__all__ = ["amount"]


def amount(data: Any, data_type: str) -> str:
    r"""Say how much data a node has.

    Parameters
    ----------
    data : Any
        As the analyzer gets it: a dict of files or bundles per source, or any other object.
    data_type : {'s3', 'fhir', 'none'}
        Of the analysis.

    Returns
    -------
    str
        Files and bytes, resources, or the type and shape of anything else; '' for no data.

    Examples
    --------
    >>> amount([{"a.csv": b"age\n54\n", "b.csv": b"age\n61\n"}], "s3")
    '2 files, 14 B'
    """
    if data_type == "none" or data is None:
        return ""
    sources = data if isinstance(data, list) else [None]
    values = [value for source in sources if isinstance(source, dict) for value in source.values()]
    if not values or not all(isinstance(source, dict) for source in sources):
        return describe(data)
    if all(isinstance(value, bytes | bytearray) for value in values):
        return f"{_counted(len(values), 'file')}, {shown_size(sum(map(len, values)))}"
    if all(isinstance(value, dict) and value.get("resourceType") == "Bundle" for value in values):
        entries = [bundle.get("entry") for bundle in values]
        count = sum(len(entry) for entry in entries if isinstance(entry, list))
        return _counted(count, "resource")
    return describe(data)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
