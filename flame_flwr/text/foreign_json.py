"""JSON of another party's: read within limits, and of the shape that it must have."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["OddReportError", "fits", "json_or_none", "read_json"]

DEEPEST = 4
MOST_ENTRIES = 200
LONGEST_TEXT = 1000


class OddReportError(ValueError):
    """What a node says of itself is not what any node of flame-flwr says."""


def json_or_none(content: str | bytes) -> Any:
    """Return what a JSON text says; ``None`` where it cannot be read."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def read_json(text: object, what: str, most: int) -> Any:
    """Return what a text says: lists and dicts of few short entries, not deep in each other.

    Parameters
    ----------
    text : object
        As it came.
    what : str
        What it is, for the message.
    most : int
        How many characters it may have.

    Raises
    ------
    OddReportError
        It is no such text.

    Examples
    --------
    >>> read_json('{"pandas": "3.0"}', "`versions`", 100)
    {'pandas': '3.0'}
    >>> read_json("[" * 90, "`versions`", 100)
    Traceback (most recent call last):
    flame_flwr.text.foreign_json.OddReportError: `versions` cannot be read
    """
    if not isinstance(text, str):
        raise OddReportError(f"{what} is no text")
    if len(text) > most:
        raise OddReportError(f"{what} has more than {most} characters")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OddReportError(f"{what} cannot be read") from error
    if not fits(value):
        raise OddReportError(f"{what} holds what no node says there")
    return value


def fits(value: Any, deepest: int = DEEPEST) -> bool:
    """Tell whether a value of JSON is small in every direction."""
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    # Of 64 bits, as Flower's records have it: a number of a million digits takes long to print.
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return False
    if not isinstance(value, dict | list):
        return True
    if deepest == 0 or len(value) > MOST_ENTRIES:
        return False
    entries = [*value, *value.values()] if isinstance(value, dict) else value
    return all(fits(entry, deepest - 1) for entry in entries)
