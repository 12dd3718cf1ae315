"""Words that several parts of a report use: counts, lists of nodes, settings as they are said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.base import CONVERGED, FINISHED
from flame_flwr.text.words import counted, name_in_words, value_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DATA", "failed_nodes", "heading_of", "listed", "plain_value", "setting"]
__all__ += ["why_stopped"]

DATA = {
    "s3": "files",
    "fhir": "FHIR resources",
    "sql": "tables of a database",
    "none": "no data of a source",
}
"""What a study calls the type of its data, in words."""

_MOST_NAMED = 5
_PYTHON = frozenset(
    {"analyzer arguments", "aggregator arguments", "query", "filters", "disclosure", "expects"}
    | {"convergence"}
)
"""What runs before 1.0 have as Python only."""


def listed(nodes: Sequence[str]) -> str:
    """Return nodes by name, and of many their number.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(list("abcdefg"))
    ('a, b and c', '7 nodes')
    """
    if len(nodes) > _MOST_NAMED:
        return counted(len(nodes), "node")
    return " and ".join(filter(None, (", ".join(nodes[:-1]), *nodes[-1:])))


def failed_nodes(about: dict[str, Any]) -> list[str]:
    """Return the nodes that gave no result in some round, each once."""
    return list(dict.fromkeys(str(each["node"]) for each in about["failures"]))


def setting(about: dict[str, Any], name: str) -> str:
    """Return a setting of the study in words; '' where there is none.

    A run of an earlier version has no words for some, and ``run.json`` has these as Python.
    """
    if name in about["in_words"]:
        return str(about["in_words"][name])
    if name in about["study"] and name in _PYTHON:
        return "as run.json has it"
    return str(about["study"].get(name, ""))


_REASONS = {
    CONVERGED: "a check that the study has of its own said so",
    FINISHED: "the study itself said that it is done",
}
_SAID_SO = re.compile(r"([\w.<>]+) (?:returned True|said so)")


def why_stopped(reason: str) -> str:
    """Return in words why a run stopped; a study's own words stay.

    Examples
    --------
    >>> why_stopped("has_converged returned True; <lambda> returned True")
    'a check that the study has of its own said so; a function said so'
    """
    return "; ".join(_REASONS.get(part) or _said_so(part) for part in reason.split("; "))


def _said_so(reason: str) -> str:
    named = _SAID_SO.fullmatch(reason)
    return f"{_called(named[1])} said so" if named else reason


def _called(name: str) -> str:
    return "a function" if "<" in name else name_in_words(name)


def heading_of(about: dict[str, Any]) -> str:
    """Return what a run is called at the top of its report."""
    named = name_in_words(str(about["study"].get("analyzer", "")))
    words = named if named != "analyzer" else ""
    title = about["heading"]["title"] or about["app"]
    return str(title or f"{words[:1].upper()}{words[1:]}" or "A run")


def plain_value(value: Any) -> str:
    """Return what a run was asked for; '' where that is nothing."""
    return "" if value is None or value == "" else value_in_words(value)
