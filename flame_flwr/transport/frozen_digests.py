"""The digests of frozen data in a node's answers: written there, and read as a stranger's."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["read_digests", "write_digests"]

_MOST = 100
"""How many digests an answer may have; its reader refuses longer texts before it splits them."""

_DIGEST = re.compile("[0-9a-f]{64}")


def write_digests(digests: Iterable[str]) -> dict[str, str]:
    """Return what an answer says of them: nothing where there is none.

    Examples
    --------
    >>> read_digests(write_digests(["0f" * 32])["frozen"]) == ["0f" * 32]
    True
    """
    text = " ".join(sorted(digests)[:_MOST])
    return {"frozen": text} if text else {}


def read_digests(text: object) -> list[str]:
    """Return what a node says of frozen data; nothing of what is no list of digests."""
    if not isinstance(text, str) or len(text) > 65 * _MOST:
        return []
    return [each for each in text.split() if _DIGEST.fullmatch(each)]
