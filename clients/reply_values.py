"""What stands in a node's reply beside a result, read as a stranger's: typed, and of limited size.

The process that made the reply runs the analyst's code. What is not of these forms is dropped.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flwr.app import ConfigRecord, MetricRecord

from flame_flwr.clients.known_words import MARK
from flame_flwr.data.expect import Mismatch
from flame_flwr.errors import NodeFailedError
from flame_flwr.failure.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flwr.app import RecordDict

    from flame_flwr.clients.known_words import KnownWords
    from flame_flwr.privacy.study_declaration import Study

__all__ = [
    "FOREIGN",
    "NOT_AS_EXPECTED",
    "config_of",
    "count_of",
    "failure_of_reason",
    "in_known_words",
    "limited",
    "limited_findings",
    "read_count",
    "read_number",
    "read_rounds",
]

FOREIGN = (
    "this node runs flame-flwr's analyses only, and this app's ClientApp is another: make it with "
    "StarModel(...).client_app or make_client_app(...)"
)

_TYPE = r"[\w.]{1,100}"
_PLACE = r"[^/:\n]{1,100}:\d{1,7} in [\w<>.]{1,100}"
_IS_TYPE, _IS_PLACE = re.compile(_TYPE), re.compile(_PLACE)
_REASON = re.compile(
    rf"(?:node [^:]{{1,200}}: )?({_TYPE})(?: at ({_PLACE}))?(?:: (.*))?", re.DOTALL
)
_LONGEST_TEXT = 2000
_LONGEST_SHARED = 100_000
_MOST_FOUND = 40
"""Pieces of known text in all findings; each is of four or so."""

_MOST_STATES, _LATEST_ROUND = 4, 1_000_000
"""A node keeps two states of an analysis, and others of one that has been broken off."""

_TYPED = ("by", "applied", "mechanism")
"""What is said of every filter, and is no text of its own."""

_SHORTEST_WAIT, _LONGEST_WAIT = 1e-6, 1e8
"""Seconds that a round can take."""

NOT_AS_EXPECTED = (
    "its data is not as the analysis expects; what differs stays in this node's log, as its config "
    "says"
)

_MORE = "what else differs is in this node's log"

_KEPT_BACK = "its text stays in this node's log, as the node is strict"


def config_of(content: RecordDict, name: str) -> dict[str, Any]:
    """Return what a record of an answer says.

    Raises
    ------
    NodeFailedError
        There is none: it is not an answer of flame-flwr's.
    """
    record = content.get(name)
    if not isinstance(record, ConfigRecord):
        raise NodeFailedError(FOREIGN)
    return dict(record.items())


def limited(
    failure: Failure, *, share: bool, strict: bool, known: KnownWords | None = None
) -> Failure:
    """Return a failure as it may leave.

    Parameters
    ----------
    failure : Failure
        As the analysis's process told it.
    share : bool
        Whether the node shares the texts of errors.
    strict : bool
        Whether only statistics leave it, which goes before `share`.
    known : KnownWords, optional
        What another process may say of it; ``None`` where it is this process that has raised it.
    """
    kind = failure.type if _IS_TYPE.fullmatch(failure.type) else "Exception"
    place = failure.place if _IS_PLACE.fullmatch(failure.place) else ""
    if share and not strict:
        text, traceback = failure.text[:_LONGEST_SHARED], failure.traceback[:_LONGEST_SHARED]
        return Failure(kind, place, text, traceback)
    # Shared texts are as they were raised. Others go to a server that shows them in a terminal.
    text = "".join(c if c.isprintable() or c in "\n\t" else "?" for c in failure.text)
    text = text[:_LONGEST_TEXT]
    if known is not None:
        kind, place = known.type(kind), known.place(place)
    if strict:
        text = _KEPT_BACK if text else ""
    elif known is not None:
        text = known.text(text)
    return Failure(kind, place, text)


def limited_findings(
    found: Iterable[Mismatch], *, share: bool, strict: bool, known: KnownWords | None = None
) -> tuple[Mismatch, ...]:
    """Return what hello says of a node's data as it may leave: together as much as one failure.

    Parameters
    ----------
    found : iterable of Mismatch
        As the analysis's process told them, each of limited length.
    share, strict, known
        As for :func:`limited`.
    """
    left, allowed = _LONGEST_TEXT, []
    for finding in found:
        left -= len(finding.text)
        text = finding.text if share or left >= 0 else _MORE
        allowed.append(Mismatch(NOT_AS_EXPECTED if strict else text, finding.stops))
    if known is None or share or strict:
        return tuple(allowed)
    texts = known.texts([finding.text for finding in allowed], _MOST_FOUND)
    return tuple(
        Mismatch(_MORE if text in ("", MARK) else text, finding.stops)
        for text, finding in zip(texts, allowed, strict=True)
    )


def failure_of_reason(reason: str) -> Failure:
    """Return the failure that the reason of an error of Flower's tells of."""
    found = _REASON.fullmatch(reason[: 2 * _LONGEST_TEXT])
    if found is None:
        return Failure("Exception", text="the app raised an exception, see this node's log")
    kind, place, text = found.groups(default="")
    return Failure(kind, place, text)


def in_known_words(study: Study, known: KnownWords) -> Study:
    """Return what an analysis says of its own rules and filters, in known words.

    A class of which the name is not known is called as its base.
    """
    if not study.own_rules and not study.acted:
        return study
    said = [{key: each[key] for key in each if key not in _TYPED} for each in study.acted]
    rules, filters = known.said([study.own_rules, said])
    names = [each.get("filter", MARK) for each in filters]
    typed = [{key: each[key] for key in _TYPED if key in each} for each in study.acted]
    return replace(
        study,
        own_rules=tuple("DisclosureRule" if MARK in name else name for name in rules),
        acted=tuple(
            {**words, "filter": "UpdateFilter" if MARK in name else name, **rest}
            for words, name, rest in zip(filters, names, typed, strict=True)
        ),
    )


def read_number(value: object) -> float:
    """Return a number of seconds in three digits, 0.0 where it is none.

    More digits say nothing of a duration, and could carry something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    number = float(min(value, _LONGEST_WAIT))
    return float(f"{number:.3g}") if number > _SHORTEST_WAIT else 0.0


def read_count(content: RecordDict, name: str, key: str) -> int:
    """Return a count of a record of numbers, 0 where it is none."""
    record = content.get(name)
    return count_of(record.get(key) if isinstance(record, MetricRecord) else None)


def count_of(value: object) -> int:
    """Return a count, 0 where it is none."""
    return value if type(value) is int and 0 <= value < 2**63 else 0  # what Flower's records hold


def read_rounds(text: object) -> list[int]:
    """Return the numbers of rounds that hello lists, the last few of them in order."""
    try:
        listed = json.loads(text) if isinstance(text, str) else []
    except (ValueError, RecursionError):
        return []
    rounds = listed if isinstance(listed, list) else []
    known = {each for each in rounds if type(each) is int and 0 < each <= _LATEST_ROUND}
    return sorted(known)[-_MOST_STATES:]
