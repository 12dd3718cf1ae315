"""Limits how many different expectations of its data a node answers: each answer tells something.

An analysis that expects no age above 102, and then none above 101, asks for the oldest patient. So
the gate counts, for each project and day, in its own memory and in the node's ``state-dir``.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.data.expect import Table
from flame_flwr.data.kept_files import FolderFiles
from flame_flwr.errors import ConfigError, NodeFailedError

if TYPE_CHECKING:
    from flame_flwr.data.expect import Column, Expectation

__all__ = ["EXPECTED", "MOST_OF_ALL", "MOST_OF_ONE", "answer_expectations", "digests_of"]

EXPECTED = "expected"
"""The key in a hello under which the gate is told them."""

MOST_OF_ONE = 10
"""So many different expectations of one column, or of one type of resources, in a day."""
MOST_OF_ALL = 300
"""So many of all together."""

_KIND = "expectations"
_FILE = "asked.json"
_LENGTH = 16

Asked = dict[str, str]
"""By the digest of an expectation: that of the column or type that it is about."""

_MEMORY: dict[tuple[str, str], tuple[str, Asked]] = {}
"""By project and node: the day, and what was asked on it."""


def digests_of(expects: Iterable[Expectation]) -> str:
    """Return the text by which the gate tells expectations apart, without what they say."""
    asked: Asked = {}
    for each in expects:
        if isinstance(each, Table):
            where = (each.file, each.separator, each.encoding, each.decimal)
            asked |= {
                _digest(where, name, column): _about(each, name, column)
                for name, column in each.columns.items()
            }
            # `min_rows` is a search for how many there are, whichever file is named.
            rows = _digest(each.file) if each.min_rows <= 1 else _digest("rows")
            asked[_digest(where, each.min_rows, each.subject)] = rows
        else:
            asked[_digest(each)] = _digest(each.type, each.code)
    return json.dumps(asked)


def _about(table: Table, name: str, column: Column) -> str:
    """Return what an expectation of a column is about.

    One that its values answer is about every column of the name: a file has many patterns, and ten
    answers to each would be as many as somebody likes. Whether it is there is asked of each file.
    """
    bounded = (column.low, column.high, column.values) != (None, None, None)
    return _digest(name) if bounded or column.most_missing < 1 else _digest(table.file, name)


def answer_expectations(text: object, project: str, node: str, state_dir: str) -> None:
    """Count what an analysis expects of the node's data today.

    Parameters
    ----------
    text : object
        What :func:`digests_of` gave in the analysis's process.
    project, node : str
        What the app is approved for, and the node's name.
    state_dir : str
        The node's; without one the count ends with the node's program.

    Raises
    ------
    ConfigError
        They are too many, or what was asked today cannot be read.
    NodeFailedError
        The text is of another form.
    """
    today = time.strftime("%Y-%m-%d", time.gmtime())
    files = FolderFiles(Path(state_dir), _KIND, project, node) if state_dir else None
    before = _asked_before(files, (project, node), today)
    asked = before | _read(text)
    if len(asked) > MOST_OF_ALL or max(Counter(asked.values()).values()) > MOST_OF_ONE:
        raise ConfigError(
            f"this node answers {MOST_OF_ONE} different expectations of one column, or of one type "
            f"of resources, and {MOST_OF_ALL} of all, for a project in a day: run the analysis "
            "tomorrow, or with what it has expected before"
        )
    if asked != before:  # before the answer leaves: one that cannot be counted is not given
        _MEMORY[project, node] = today, asked
        if files is not None:
            files.make()
            files.write(_FILE, [json.dumps([today, asked]).encode()])


def _asked_before(files: FolderFiles | None, of: tuple[str, str], today: str) -> Asked:
    # The file is for a node that was restarted since: who restarts it must not begin anew.
    day, asked = _MEMORY.get(of, ("", {}))
    if day != today and files is not None and _FILE in files.names():
        day, asked = _kept(files.read(_FILE))
    return dict(asked) if day == today else {}


def _kept(content: bytes) -> tuple[str, Asked]:
    try:
        day, asked = json.loads(content)
        return str(day), {str(one): str(about) for one, about in asked.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            "what this node was asked today about its data cannot be read, so it answers no "
            f"expectation: the hospital removes the file {_FILE} below `{_KIND}` in its "
            "`state-dir`",
            detail=str(error),
        ) from error


def _read(text: object) -> Asked:
    try:
        said: Any = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not said or not all(map(_is_digest, (*said, *said.values()))):
        raise NodeFailedError("what the analysis says that it expects cannot be read at the gate")
    return said


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == _LENGTH


def _digest(*what: object) -> str:
    return hashlib.blake2b(repr(what).encode(), digest_size=_LENGTH // 2).hexdigest()
