"""What was asked and decided of an app at a node, and what differs in another version of it."""

from __future__ import annotations

import difflib
from datetime import date
from typing import TYPE_CHECKING

from flame_flwr.config import RUN_KEYS
from flame_flwr.node.app_archive import AppArchive
from flame_flwr.node.app_review import Review
from flame_flwr.text.shown_text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flame_flwr.node.approvals_file import Approval
    from flame_flwr.node.gate_folder import GateFolder
    from flame_flwr.node.reviewers import Reviewers
    from flame_flwr.node.waiting_apps import Request

__all__ = ["difference", "history", "last_approved", "last_asked", "last_project", "own_project"]
__all__ += ["projects_of", "state_of"]


def difference(before: AppArchive, after: AppArchive) -> Iterator[str]:
    """Yield what one app has otherwise than another, file by file, as `diff -u` says it."""
    old, new = Review(before), Review(after)
    for path in sorted(before.files.keys() | after.files.keys()):
        if before.files.get(path) == after.files.get(path):
            continue  # by bytes: texts can be equal, and their encodings not
        left = old.text(path).split("\n") if path in before.files else []
        right = new.text(path).split("\n") if path in after.files else []
        name = printable(path)
        lines = list(difflib.unified_diff(left, right, f"a/{name}", f"b/{name}", lineterm=""))
        yield from lines or [f"{name}: other bytes that are no text"]


def last_approved(folder: GateFolder, archive: AppArchive) -> AppArchive | None:
    """Return the version of an app that was approved last at this node, but for this one."""
    for approval in reversed(folder.approvals().approved):
        if approval.hash != archive.digest and folder.archive_path(approval.hash) is not None:
            before = AppArchive.read(folder.read_archive(approval.hash))
            if before.name == archive.name:
                return before
    return None


def state_of(approval: Approval, reviewers: Reviewers) -> str:
    """Say whether an approval holds today."""
    if not approval.is_valid(reviewers):
        return "signature not trusted"
    return "expired" if approval.is_over(date.today()) else "approved"


def last_asked(request: Request, what: str) -> str:
    """Return the `run`, `project` or `when` of the last time that an app was asked for."""
    return request.asked[-1].get(what, "") if request.asked else ""


def last_project(request: Request) -> str:
    """Return the project that an app was last asked for, in words."""
    return last_asked(request, "project") or "the app's own"


def history(archive: AppArchive, folder: GateFolder) -> Iterator[str]:
    """Say who asked for an app, and what was decided."""
    approvals, reviewers = folder.approvals(), folder.reviewers()
    request = folder.request(archive.digest)
    for asked in request.asked if request is not None else ():
        yield f"waits: run {asked.get('run')}, {asked.get('when')}"
        yield f"  for project {asked.get('project') or own_project(archive)}"
    for each in approvals.of(archive.digest):
        keys = f", may differ: {', '.join(each.may_differ)}" if each.may_differ else ""
        state = state_of(each, reviewers)
        yield f"{state} for {each.project} until {each.until}, by {each.reviewer}{keys}"
    if (rejection := approvals.rejection(archive.digest)) is not None:
        yield f"rejected by {rejection.reviewer}: {rejection.note or 'no reason noted'}"


def own_project(archive: AppArchive) -> str:
    """Return the project that an app itself names."""
    return str(archive.config.get("project-id", RUN_KEYS["project-id"].default))


def projects_of(archive: AppArchive, folder: GateFolder | None) -> list[str]:
    """Return which projects an app was asked for, the last first; else the app's own."""
    request = None if folder is None else folder.request(archive.digest)
    asked = request.asked if request is not None else ()
    found = [each.get("project") or own_project(archive) for each in reversed(asked)]
    return list(dict.fromkeys(found)) or [own_project(archive)]
