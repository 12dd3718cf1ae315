"""Hospitals and patients in numbers, as far as they may be known, and what nodes said of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flame_flwr.results.report_words import failed_nodes, listed
from flame_flwr.text.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["sent_beside", "sites"]

_MOST_NAMED = 50
_NUMBER = r"(\d{1,3}(?:,\d{3})*|\d{1,15})"
_AMOUNT = re.compile(rf"{_NUMBER} (resource|row|file)s?(?:[,;] .*)?")
_PEOPLE = re.compile(rf"(?:.*; )?{_NUMBER} (?:person|people)")


def sites(about: dict[str, Any]) -> str:
    """Return who took part, and how much data they have together, in sentences.

    Parameters
    ----------
    about : dict
        What ``run.json`` says.
    """
    return " ".join(_sentences(about))


def sent_beside(about: dict[str, Any]) -> str:
    """Return what every node sent beside its results, in words; of some, where not all did.

    Parameters
    ----------
    about : dict
        What ``run.json`` says.
    """
    sent = ["its name", "the versions of its software"]
    if not (about["secure"] and about["secure"]["masked"]):
        sent += ["seconds of analysis", "what its filters did"]
    for key, what in (("sizes", "how much data it has"), ("hospitals", "its hospital's name")):
        if said := len(about[key]):
            nodes = len(about["nodes"])
            sent.append(what if said >= nodes else f"{what} ({said:,} of {nodes:,} did)")
    return f"{', '.join(sent[:-1])} and {sent[-1]}"


def _sentences(about: dict[str, Any]) -> Iterator[str]:
    nodes, history = about["nodes"], about["history"]
    if not nodes:
        yield "No node took part."
    elif history:
        always = [n for n in nodes if all(n in entry["node_seconds"] for entry in history)]
        each = "every one of them" if len(nodes) > 1 else "it"
        many = each if len(always) == len(nodes) else f"{len(always):,} of them"
        rounds = f"all of {len(history):,} rounds" if len(history) > 1 else "the one round"
        yield f"{counted(len(nodes), 'node')} took part, and {many} answered in {rounds}."
    else:
        yield f"{counted(len(nodes), 'node')} took part, and no round was finished."
    named = [about["hospitals"][node] for node in nodes if node in about["hospitals"]]
    if named:
        more = (
            f" and {counted(len(nodes) - len(named), 'other')}" if len(named) < len(nodes) else ""
        )
        yield f"The hospitals are {', '.join(named[:_MOST_NAMED])}{more}."
    failed = failed_nodes(about)
    if failed:
        yield f"There were failures at {listed(failed)}."
    yield from _together(about)


def _together(about: dict[str, Any]) -> Iterator[str]:
    """Say how much data there is at all nodes, where every one of them says it in one unit."""
    sizes = [about["sizes"].get(node, "") for node in about["nodes"]]
    found = [_AMOUNT.fullmatch(size) for size in sizes]
    known = [(_number(each), each[2]) for each in found if each]
    people = [each for each in map(_PEOPLE.fullmatch, sizes) if each]
    if people and len(people) == len(sizes):
        total = sum(map(_number, people))
        twice = ", and who is at two of them counts twice" if len(sizes) > 1 else ""
        yield f"Together they have data of {total:,} {'person' if total == 1 else 'people'}{twice}."
    if known and len(known) == len(sizes) and len({unit for _, unit in known}) == 1:
        yield f"Together they have {counted(sum(n for n, _ in known), known[0][1])}."
    elif len(known) < len(sizes) and not all(sizes):
        silent = sizes.count("")
        does = "does" if silent == 1 else "do"
        yield f"{counted(silent, 'node')} {does} not say how much data there is."


def _number(found: re.Match[str]) -> int:
    return int(found[1].replace(",", ""))
