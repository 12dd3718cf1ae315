"""Reading an audit log, and following its chain to find a line that was changed or is missing.

Who may write to the log may also write it anew from some line on, with hashes that fit. Against
that there is only what was noted elsewhere: the last line's hash, or systemd's journal.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from flame_flwr.privacy.audit_chain import NO_LINK, Link, parse_line
from flame_flwr.privacy.audit_files import opened_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flame_flwr.privacy.audit_files import LogFile

__all__ = ["Verified", "verify"]

_NO_LINE = Link(0, "")


@dataclass
class Verified:
    """What following the chain of an audit log has found.

    Attributes
    ----------
    lines : int
        How many lines of the chain there are.
    last : Link
        The last line, to be noted elsewhere: a log that still has it was not cut before it.
    wrong : str
        The first line that is not as it was written, and why; empty where all are.
    sound : int
        The last line before that one; 0 where there is none, or none that can be told to be sound.
    notes : list of str
        What else there is to know.
    """

    lines: int = 0
    last: Link = _NO_LINE
    wrong: str = ""
    sound: int = 0
    notes: list[str] = field(default_factory=list)


class _Line(NamedTuple):
    """A line of the chain in a file, and the text before it that is not of the chain."""

    where: str
    number: int
    previous: str
    sha256: str
    unchained: str
    """What the line says there was before it, and..."""
    found: str
    """... what is there."""
    begins: bool
    """Whether the lines before it were moved away with their file."""


class _WrongError(Exception):
    """The first line that is not as it was written, and the last line before it that is."""

    def __init__(self, text: str, sound: int) -> None:
        super().__init__(text)
        self.sound = sound


def verify(
    path: Path, expect: str = "", first: int | None = None, *, is_copy: bool = False
) -> Verified:
    """Follow the chain of an audit log from its first line to its last.

    Parameters
    ----------
    path : Path
        The log. Files beside it that it was moved to, ``audit.jsonl.1`` or
        ``audit.jsonl-20261129.gz``, are read before it.
    expect : str
        The SHA-256 of a line that must be there, as it was noted elsewhere.
    first : int, optional
        The first line that must be there. Where it is not given, that is line 1, or one of which
        the node has written that the lines before it were moved away.
    is_copy : bool
        Whether it is a copy, which may have no ``.chain`` file beside it.

    Returns
    -------
    Verified
        What was found.

    Raises
    ------
    ConfigError
        There is no log, or it cannot be read.
    """
    found = Verified()
    with opened_log(path) as (files, chain):
        try:
            seen = _follow(_lines(files, found), files, chain, found, expect, first)
            _check_end(chain, found, is_copy=is_copy)
        except _WrongError as error:
            found.wrong, found.sound = str(error), error.sound
            return found
    if expect and not seen:
        found.wrong = (
            f"no line has the expected hash {expect}: the log was cut before that line, or "
            "written anew"
        )
    return found


def _follow(
    lines: Iterator[_Line],
    files: list[LogFile],
    chain: Link | None,
    found: Verified,
    expect: str,
    first: int | None,
) -> bool:
    """Follow the chain to its end; return whether a line has the expected hash."""
    before: _Line | None = None
    seen = False
    for line in lines:
        # First: where a line was damaged the numbers behind it do not fit, either.
        if line.unchained != line.found:
            _raise_unchained(line, found)
        if before is None:
            _check_beginning(line, found, first)
        elif line.number != before.number + 1:
            _raise_misplaced(line, before, files)
        elif line.previous != before.sha256:
            _raise_changed(line, before, next(lines, None), chain)
        if line.unchained:
            found.notes.append(
                f"before line {line.number} ({line.where}) stands text that is not of the chain, "
                "as it did when that line was written: an older log, or a line that a crash or a "
                "full disk has cut off"
            )
        seen |= line.sha256 == expect
        before = line
        found.lines, found.last = found.lines + 1, Link(line.number, line.sha256)
    return seen


def _check_beginning(line: _Line, found: Verified, first: int | None) -> None:
    """See that no line is missing before the first, but for files that were moved away."""
    if line.number == 1:
        return
    gone = f"{_numbered(1, line.number - 1)} in files that are no longer here"
    if first is None and not line.begins:
        raise _WrongError(
            f"it begins with line {line.number} ({line.where}), and no node has noted that the log "
            f"was moved away before it. If {gone} with your knowledge, say `--from {line.number}`",
            0,
        )
    if first is not None and line.number > first:
        raise _WrongError(f"{_numbered(first, line.number - 1)} missing at the beginning", 0)
    found.notes.append(f"it begins with line {line.number}: {gone}")


def _check_end(chain: Link | None, found: Verified, *, is_copy: bool) -> None:
    """Compare the last line with what the file of the chain says."""
    last = found.last
    if chain is None:
        text = "its .chain file is not here: lines cut off at the end are not noticed"
        if not is_copy and (found.lines or not found.notes):  # an older log has none yet
            raise _WrongError(f"{text}. Beside a node's log there is always one", 0)
        found.notes.append(text)
    elif chain == NO_LINK:
        raise _WrongError("its .chain file holds what no node writes: it was changed", 0)
    elif chain.number > last.number:
        missing = _numbered(last.number + 1, chain.number)
        raise _WrongError(
            f"{missing} missing at the end: the log has been cut, or moved away", last.number
        )
    elif chain.number == last.number and chain.sha256 != last.sha256:
        raise _WrongError(f"line {last.number}, the last one, was changed", last.number - 1)
    elif chain.number < last.number - 1:  # one more may be a crash between the two writes
        raise _WrongError(
            f"line {chain.number + 1} and those after it were not added by a node: the .chain file "
            f"has come to line {chain.number} only",
            chain.number,
        )


def _raise_unchained(line: _Line, found: Verified) -> None:
    sound = found.last.number
    where = f"before line {line.number} ({line.where})"
    if line.unchained and line.found:
        raise _WrongError(f"text {where} that is not of the chain was changed", sound)
    if line.found:
        raise _WrongError(
            f"{where} stands a line that cannot be read: it was changed, or added later", sound
        )
    raise _WrongError(f"{where} text is missing that stood there when it was written", sound)


def _raise_misplaced(line: _Line, before: _Line, files: list[LogFile]) -> None:
    expected = before.number + 1
    if line.number <= before.number:
        raise _WrongError(
            f"line {line.number} stands behind line {before.number} ({line.where})", before.number
        )
    numbers = {each.number for each in _lines(files, Verified())}
    if expected in numbers:
        raise _WrongError(
            f"line {expected} is not in its place, where line {line.number} stands", before.number
        )
    raise _WrongError(
        f"{_numbered(expected, line.number - 1)} missing before line {line.number} ({line.where})",
        before.number,
    )


def _raise_changed(line: _Line, before: _Line, after: _Line | None, chain: Link | None) -> None:
    """Tell which of two lines was changed that do not fit: the one after them knows the second."""
    # With nothing behind it and no chain's file the line itself is believed: then it was the other.
    known = after.previous if after else chain.sha256 if chain else line.sha256
    changed = before if known == line.sha256 else line
    raise _WrongError(f"line {changed.number} ({changed.where}) was changed", changed.number - 1)


def _numbered(first: int, last: int) -> str:
    return f"line {first} is" if first == last else f"lines {first} to {last} are"


def _lines(files: list[LogFile], found: Verified) -> Iterator[_Line]:
    """Yield the lines of the chain, in the order of the files."""
    for file in files:
        digest, is_unchained, line = hashlib.sha256(), False, b""
        for at, line in enumerate(file.lines(), 1):
            whole = line.removesuffix(b"\n")
            place = parse_line(whole) if line.endswith(b"\n") else None
            # It is no line of the chain. The next one that is has the hash of all such before it.
            if place is None:
                digest.update(whole + b"\n")
                is_unchained = True
                continue
            there = digest.hexdigest() if is_unchained else ""
            sha256 = hashlib.sha256(whole).hexdigest()
            where = f"{file.name}:{at}"
            yield _Line(
                where, place.number, place.previous, sha256, place.unchained, there, place.begins
            )
            digest, is_unchained = hashlib.sha256(), False
        if is_unchained:  # and no line of the chain comes after it to vouch for it
            _judge_rest(file, line, found)


def _judge_rest(file: LogFile, line: bytes, found: Verified) -> None:
    """Judge the text at a file's end, behind its last line of the chain."""
    if line.endswith(b"\n") and found.lines:
        raise _WrongError(
            f"at the end of {file.name}, after line {found.last.number}, stands a line that "
            "cannot be read: it was changed, or added later",
            found.last.number,
        )
    found.notes.append(
        f"the end of {file.name} is not chained yet: "
        + ("an older log" if line.endswith(b"\n") else "a line that was cut off, as by a crash")
    )
