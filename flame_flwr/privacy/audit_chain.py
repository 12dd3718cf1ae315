"""The chain of an audit log's lines: where each says that it belongs, and where the chain ends.

Each line holds the hash of the one before it, and ``audit.jsonl.chain`` beside the log says where
the chain has come to. Lines are added by :mod:`flame_flwr.privacy.audit_log`; the whole chain is
followed by :mod:`flame_flwr.privacy.audit_verify`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "NO_LINK",
    "ChainedLine",
    "Link",
    "chain_path",
    "last_link",
    "moved_files",
    "parse_line",
    "read_chain",
    "was_moved",
]

_BLOCK = 1 << 16
_CHAIN = re.compile(rb"([0-9]{20}) ([0-9a-f]{64})\n")
_MOVED = r"[.-][0-9][0-9.-]*(\.gz)?"
"""What ``logrotate`` puts behind a file's name."""


class Link(NamedTuple):
    """A line of the chain: its number, from 1 on, and the SHA-256 of its bytes."""

    number: int
    sha256: str


NO_LINK = Link(-1, "")
"""What a damaged ``.chain`` file says."""


class ChainedLine(NamedTuple):
    """The place in the chain that a line gives itself.

    Attributes
    ----------
    number : int
        Its own, from 1 on.
    previous : str
        The SHA-256 of the line before it; empty in the first.
    unchained : str
        The SHA-256 of the text that stood between the two when it was written, and is not of the
        chain: an older log, or a line that was cut off by a crash. Empty where there was none.
    begins : bool
        Whether the lines before it were in a file that had been moved away: it is the first of a
        new one.
    """

    number: int
    previous: str
    unchained: str
    begins: bool


def chain_path(path: str) -> str:
    """Return the file that says where a log's chain has come to."""
    return f"{path}.chain"


def read_chain(chain: int) -> Link:
    """Return the last line of a log, as the open file of its chain has it.

    That is line 0 where the file is empty, as before the first line, and ``NO_LINK`` where it holds
    what no node writes.
    """
    content = os.pread(chain, 256, 0)  # more than is ever written: what is longer is odd, too
    if found := _CHAIN.fullmatch(content):
        return Link(int(found[1]), found[2].decode())
    return NO_LINK if content else Link(0, "")


def moved_files(path: str) -> list[str]:
    """Return the files beside a log that it was moved to, in the order of their names."""
    folder, own = os.path.split(path)
    name = re.compile(re.escape(own) + _MOVED)
    return [
        os.path.join(folder, each)
        for each in sorted(os.listdir(folder or "."))
        if name.fullmatch(each)
    ]


def parse_line(line: bytes) -> ChainedLine | None:
    """Return the place in the chain that a line says it has; ``None`` where it says none.

    Parameters
    ----------
    line : bytes
        Without the end of the line.
    """
    try:
        entry = json.loads(line)
        place = ChainedLine(
            entry["number"],
            entry["previous"],
            entry.get("unchained", ""),
            entry.get("begins", False) is True,
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    # True is an int, too; and the number must fit into the 20 digits of the chain's file
    is_place = type(place.number) is int and 0 < place.number < 10**18
    return place if is_place and all(isinstance(part, str) for part in place[1:3]) else None


class _Unchained(NamedTuple):
    sha256: str
    ended: bool


def last_link(chain: int, log: int) -> tuple[Link, _Unchained | None, bool]:
    """Return the line that the next one follows, the text behind it, and whether the file is new.

    A file is new where it has no line of the chain yet.
    """
    size = os.fstat(log).st_size
    known, last, end = read_chain(chain), None, 0
    for start, line in _lines_from_the_end(log, size):
        if (place := parse_line(line)) is not None:
            last, end = Link(place.number, hashlib.sha256(line).hexdigest()), start + len(line) + 1
            break
    unchained = _hash_from(log, end, size) if end < size else None
    # A crash between the two writes leaves the chain's file behind. Where the log is behind, it was
    # moved away or cut: the chain goes on, so that what is missing can be seen for ever.
    links = [Link(0, ""), known, *([] if last is None else [last])]
    return max(links, key=lambda link: link.number), unchained, last is None


def was_moved(path: str, last: Link) -> bool:
    """Tell whether a log was moved away, and not emptied: the line is in a file beside it."""
    return last.number > 0 and any(_holds(each, last) for each in reversed(moved_files(path)))


def _holds(path: str, wanted: Link) -> bool:
    try:
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
            return any(
                hashlib.sha256(line.rstrip(b"\n")).hexdigest() == wanted.sha256 for line in file
            )
    except (OSError, EOFError, zlib.error):  # its lines will be missed, in words
        return False


def _lines_from_the_end(log: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield every whole line with the place where it begins, the last one first."""
    rest, at, is_whole = b"", size, False
    while at > 0:
        length = min(_BLOCK, at)
        at -= length
        rest = os.pread(log, length, at) + rest
        *lines, after = rest.split(b"\n")
        if not lines:  # a line longer than the block: read on
            continue
        # What is before the first end of a line may go on in the block before it.
        begins = at + len(rest)
        for line in reversed([*lines[1:], after]):
            begins -= len(line)
            # the very last has no end yet: it is empty, or was cut off by a crash
            if is_whole:
                yield begins, line
            is_whole = True
            begins -= 1
        rest = lines[0]
    if is_whole:
        yield 0, rest


def _hash_from(log: int, start: int, end: int) -> _Unchained:
    digest, block = hashlib.sha256(), b""
    while start < end:
        block = os.pread(log, min(_BLOCK, end - start), start)
        if not block:
            break
        digest.update(block)
        start += len(block)
    ended = block.endswith(b"\n")
    if not ended:
        digest.update(b"\n")  # as it stands in the file once the next line is there
    return _Unchained(digest.hexdigest(), ended)
