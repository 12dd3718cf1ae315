"""``live.json``: its name, its limits, and whether a file is one that a run has written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.errors import StoreError
from flame_flwr.text.foreign_json import json_or_none

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LIVE", "LIVE_VERSION", "is_live", "json_object"]

LIVE = "live.json"
"""The file's name, beside the results."""

LIVE_VERSION = 1
"""Of the file's form; one that is read has the same."""

LARGEST = 8 * 2**20
"""Bytes; a thousand nodes and rounds have fewer."""

MOST_METRICS = 8
"""Metrics of a round and of a node, as many as the report plots."""

MOST_FAILURES = 50


def is_live(path: Path) -> bool:
    """Tell whether a file is a ``live.json`` that a run has written, of whatever version."""
    try:
        if path.is_symlink() or path.stat().st_size > LARGEST:
            return False
        return json_object(path.read_bytes()).keys() >= {"live", "written", "beat", "doing"}
    except (OSError, StoreError):
        return False


def json_object(content: bytes) -> dict[str, Any]:
    """Return the object that a ``live.json`` holds, not yet checked.

    Raises
    ------
    StoreError
        It holds none.
    """
    if len(content) > LARGEST:
        raise StoreError(f"live.json has more than {LARGEST} bytes: it is not what a run writes")
    about = json_or_none(content)
    if not isinstance(about, dict):
        raise StoreError("live.json is torn: it is not what a run writes")
    return about
