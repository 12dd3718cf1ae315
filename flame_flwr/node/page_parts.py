"""What a hospital's page shows of its node: read from the node's own files, again and again.

Each function returns what JSON can hold. A file that cannot be read is said in its place, and the
others are shown all the same.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.clients.node_data import registered
from flame_flwr.config import NodeSettings
from flame_flwr.errors import ConfigError, FlameError
from flame_flwr.node.app_archive import AppArchive
from flame_flwr.node.app_history import (
    difference,
    history,
    last_approved,
    last_asked,
    last_project,
    projects_of,
    state_of,
)
from flame_flwr.node.app_review import Review
from flame_flwr.node.gate_folder import GateFolder
from flame_flwr.node.ledger_file import limits_of, read_ledger, today
from flame_flwr.node.node_status import read_status, why_nothing_runs
from flame_flwr.node.status_words import about_gate, about_node, troubles
from flame_flwr.text.shown_text import shown_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["app_part", "apps_part", "gate_part", "ledger_part", "now_part"]

_LONGEST = 2000
_MOST_TEXT = 400_000
"""Letters of an app's code and of its difference that a page shows; `node show` has all."""


def now_part(settings: NodeSettings) -> dict[str, Any]:
    """Return what the node does at the moment, and for whom."""
    status = read_status(settings)
    message = dict(status.message) if status is not None and status.runs else {}
    since = _number(message.pop("since", ""))
    return {
        "name": shown_text(settings.name or "a node without a name"),
        "runs": status is not None and status.runs,
        "lines": [shown_text(line.strip()) for line in about_node(settings, status)],
        "trouble": [shown_text(t) for t in troubles(settings, status, why_nothing_runs(settings))],
        "message": {key: shown_text(value) for key, value in message.items()},
        "since": since,
    }


def gate_part(settings: NodeSettings) -> list[list[str]]:
    """Return what the node's gate lets through: keys of its config, in words."""
    return [[key, shown_text(words, _LONGEST)] for key, words in about_gate(settings)]


def ledger_part(settings: NodeSettings) -> dict[str, Any]:
    """Return how much has left of each dataset for each project, with the limits."""
    if not settings.state_dir:
        return {"trouble": "this node keeps no ledger: its config has no `state-dir`"}
    try:
        ledger = read_ledger(settings)
        datasets = registered(settings)
    except FlameError as error:
        return {"trouble": str(error)}
    limits, day = limits_of(settings, datasets), today()
    # What was taken out of the registry is shown, too: what has left of it has left.
    names = dict.fromkeys((*limits, *sorted(each.dataset for each in ledger.accounts.values())))
    return {
        "datasets": [
            {
                "name": shown_text(name),
                "answers_per_day": limits[name].answers_per_day if name in limits else None,
                "epsilon_total": limits[name].epsilon_total if name in limits else None,
                "accounts": [
                    {
                        "project": shown_text(each.project),
                        "answers": each.answers,
                        "today": each.on(day),
                        "figures": each.cost.figures,
                        "exact": each.cost.exact,
                        "extremes": each.cost.extremes,
                        "epsilon": each.cost.epsilon,
                    }
                    for each in ledger.accounts.values()
                    if each.dataset == name
                ],
            }
            for name in names
        ]
    }


def apps_part(settings: NodeSettings) -> dict[str, Any]:
    """Return which apps wait, may run and may not."""
    if not settings.state_dir:
        return {"trouble": "this node keeps no approvals: its config has no `state-dir`"}
    try:
        folder = GateFolder(settings.state_dir)
        approvals, reviewers, waiting = folder.approvals(), folder.reviewers(), folder.requests()
        full = folder.full()
    except FlameError as error:
        return {"trouble": str(error)}
    return {
        "waiting": [
            _app(digest, each.app, last_project(each), when=last_asked(each, "when"))
            for digest, each in waiting.items()
        ],
        "decided": [
            *(
                _app(
                    *(each.hash, each.app, each.project),
                    state=f"{state_of(each, reviewers)} until {each.until}",
                    reviewer=each.reviewer,
                )
                for each in approvals.approved
            ),
            *(
                _app(each.hash, each.app, "", state="rejected", reviewer=each.reviewer)
                for each in approvals.rejected
            ),
        ],
        "full": [shown_text(why) for why in full],
    }


def _app(digest: str, title: str, project: str, **more: str) -> dict[str, str]:
    texts = {"app": title, "project": project, **more}
    return {"hash": digest, **{key: shown_text(text) for key, text in texts.items()}}


def app_part(settings: NodeSettings, digest: str, node: Path) -> dict[str, Any]:
    """Return what there is to see of an app before it may run, and how to let it run.

    Parameters
    ----------
    settings : NodeSettings
        Of the node.
    digest : str
        The app's SHA-256, whole.
    node : Path
        The node's folder, for the command.

    Raises
    ------
    ConfigError
        No such app has come to this node, or it cannot be read.
    """
    folder = GateFolder(settings.state_dir) if settings.state_dir else None
    if folder is None or digest not in folder.digests():
        raise ConfigError("no such app has come to this node")
    archive = AppArchive.read(folder.read_archive(digest))
    review, before = Review(archive), last_approved(folder, archive)
    code = [[each.place, each.text] for each in review.runs_at_node()]
    return {
        "title": shown_text(archive.title),
        "hash": archive.digest,
        "history": [shown_text(line) for line in history(archive, folder)],
        "clientapp": shown_text(review.clientapp(), _LONGEST),
        "code": _limited(code),
        "declared": [[shown_text(k), shown_text(v, _LONGEST)] for k, v in review.declared()],
        "config": [[shown_text(k), shown_text(str(v))] for k, v in archive.config.items()],
        "files": _limited([[path, review.text(path)] for path in sorted(archive.files)]),
        "imports": [[shown_text(k), ", ".join(v)] for k, v in review.imports().items()],
        "warnings": [shown_text(each, _LONGEST) for each in review.warnings()],
        "before": shown_text(before.title) if before is not None else "",
        "difference": list(_cut(difference(before, archive))) if before is not None else [],
        "commands": _commands(archive, folder, node),
    }


def _commands(archive: AppArchive, folder: GateFolder, node: Path) -> list[str]:
    """Return what lets an app run: typed where the reviewer is known, and never a click here."""
    short, place = archive.digest[:12], shlex.quote(str(node))
    return [
        f"flame-flwr node approve {short} --project {shlex.quote(shown_text(project))} "
        f"--until DATE --node {place}"
        for project in projects_of(archive, folder)
    ] + [f"flame-flwr node reject {short} --node {place}"]


def _limited(parts: Iterable[list[str]]) -> list[list[str]]:
    """Return pieces of an app's text, up to so many letters in all."""
    left, found = _MOST_TEXT, []  # an app of 100 MB would stop the reviewer's browser
    for place, text in parts:
        found.append([shown_text(place), text[:left]])
        left -= len(text)
        if left <= 0:
            found[-1][1] += "\n... cut here: `flame-flwr node show` has all of it"
            break
    return found


def _cut(lines: Iterable[str]) -> Iterator[str]:
    left = _MOST_TEXT
    for line in lines:
        left -= len(line) + 1
        if left < 0:
            yield "... cut here: `flame-flwr node diff` has all of it"
            return
        yield line


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
