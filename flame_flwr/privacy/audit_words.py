"""A line of an audit log in words: what was asked, and what of it left the node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.flower import HELLO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["answer_words", "what_left", "withheld_words"]

_ANSWERS = {HELLO: "hello"}
_KEPT_BACK = {"whole": "figure", "cells": "cell of others", "findings": "finding"}
_ALTERED = "altered"


def answer_words(entry: Mapping[str, Any]) -> str:
    """Say what a line's answer was an answer to, with the round.

    Examples
    --------
    >>> answer_words({"answer_to": "train", "round": 3})
    'train 3'
    """
    kind, number = str(entry.get("answer_to", "")), entry.get("round")
    return _ANSWERS.get(kind, kind) + (f" {number}" if number else "")


def what_left(entry: Mapping[str, Any]) -> str:
    """Say what left: a failure as it was told, or the structure of the answer.

    Examples
    --------
    >>> what_left({"failure": "DataError: no rows"})
    'failed: DataError: no rows'
    """
    if entry.get("failure"):
        return f"failed: {entry['failure']}"
    if isinstance(started := entry.get("started"), dict):
        how = ", ".join(f"{key}: {value}" for key, value in started.items())
        return f"nothing: the node was started; {how}"
    if entry.get("answer_to") == HELLO:
        return _what_of_hello(entry)
    if entry.get("result") not in (None, "nothing"):
        return str(entry["result"])
    return ", ".join(_described(entry))


def withheld_words(entry: Mapping[str, Any]) -> str:
    """Say how much of an answer that left was withheld in it, and by which rules.

    Examples
    --------
    >>> withheld_words({"withheld": {"MinCount": {"whole": 1, "cells": 3, "altered": 2}}})
    'MinCount withheld 1 figure, 3 cells of others; altered 2 figures'
    """
    withheld = entry.get("withheld")
    rules = withheld.items() if isinstance(withheld, dict) else ()
    return "; ".join(
        f"{rule} {'; '.join(_kept_back(counts))}"
        for rule, counts in rules
        if isinstance(counts, dict)
    )


def _kept_back(counts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a rule withheld, and what it altered: a log may have been written to by others."""
    known = {key: n for key, n in counts.items() if isinstance(n, int)}
    parts = [_counted(known[key], what) for key, what in _KEPT_BACK.items() if key in known]
    if parts:
        yield f"withheld {', '.join(parts)}"
    if _ALTERED in known:
        yield f"altered {_counted(known[_ALTERED], 'figure')}"


def _counted(number: int, what: str) -> str:
    first, _, rest = what.partition(" ")
    return f"{number} {first}{'s'[number == 1 :]}{' ' if rest else ''}{rest}"


def _what_of_hello(entry: Mapping[str, Any]) -> str:
    """Say what the node has found in its data, and name the rest."""
    findings = entry.get("findings")
    found = [*(map(str, findings) if isinstance(findings, list) else ())] or ["no findings"]
    told = [part.partition(":")[0] for part in _described(entry)]
    return f"{'; '.join(found)}. Told: {', '.join(told)}"


def _described(entry: Mapping[str, Any]) -> list[str]:
    records = entry.get("records")
    described = records.values() if isinstance(records, dict) else ()
    # of another form where others have written to the log
    return [str(part) for parts in described if isinstance(parts, list) for part in parts]
