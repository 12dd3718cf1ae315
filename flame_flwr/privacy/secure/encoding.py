"""The one encoding of what is hashed or signed: every field with its length before it."""

from __future__ import annotations

from typing import Final

__all__ = ["CONTEXT", "HELLO", "MASK", "PEERS", "PROTOCOL", "ROSTER", "encode_fields"]

_NAME: Final = "flame-flwr"
PROTOCOL: Final = f"{_NAME} secure-sums 1"

HELLO: Final = f"{PROTOCOL} hello"
ROSTER: Final = f"{PROTOCOL} roster"
CONTEXT: Final = f"{PROTOCOL} context"
MASK: Final = f"{PROTOCOL} mask"
PEERS: Final = f"{PROTOCOL} peers"
"""What each sequence begins with, so that none can be taken for another."""


def encode_fields(*fields: bytes | str | int) -> bytes:
    """Return fields as one sequence of bytes, from which no others can come.

    Parameters
    ----------
    *fields : bytes, str or int
        Each is written as its length in bytes (8 bytes, big-endian) and its bytes: whole numbers
        as 8 bytes, big-endian, and text as UTF-8.

    Raises
    ------
    OverflowError
        A number is negative, or takes more than 8 bytes.

    Examples
    --------
    >>> encode_fields("ab", 1).hex()
    '0000000000000002616200000000000000080000000000000001'
    """
    parts = []
    # The length before each: without it "ab", "c" and "a", "bc" would be hashed and signed alike.
    for field in fields:
        if isinstance(field, str):
            field = field.encode()
        elif isinstance(field, int):
            field = field.to_bytes(8, "big")
        parts += [len(field).to_bytes(8, "big"), field]
    return b"".join(parts)
