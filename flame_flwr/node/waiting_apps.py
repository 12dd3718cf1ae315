"""Apps that a node was asked to run and may not yet: what is kept of each, and of how many.

They wait in the folder that is :class:`flame_flwr.node.gate_folder.GateFolder`'s.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from flame_flwr.node.approvals_file import now

__all__ = ["FullError", "Request", "reasons_full", "replaced_by", "request_of"]

MOST_PENDING = 50
MOST_OF_ONE_PROJECT = 20
MOST_OF_ONE_APP = 5
MOST_BYTES = 200 * 2**20
"""Of all archives that wait: whoever reaches the server can send some."""


class FullError(Exception):
    """As many apps wait for approval as a node keeps; the text says what is to be done."""


@dataclass(frozen=True, slots=True)
class Request:
    """An app that a node was asked to run, and may not, as the server says it.

    Parameters
    ----------
    app : str
        Name and version.
    asked : tuple of dict
        ``run``, ``project`` (empty where the run leaves it to the app) and ``when`` of the last
        times.
    """

    app: str
    asked: tuple[dict[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The app's, without its version."""
        return self.app.rpartition(" ")[0]

    @property
    def project(self) -> str:
        """The one it was last asked for; empty where that is left to the app."""
        return self.asked[-1].get("project", "") if self.asked else ""


def request_of(app: str, run: int, project: str) -> Request:
    """Return a request as it is noted now."""
    return Request(app, ({"run": str(run), "project": project, "when": now()},))


def replaced_by(request: Request, waiting: dict[str, tuple[Request, int]]) -> list[str]:
    """Return which older versions of an app make room for this one."""
    own = [digest for digest, (each, _) in waiting.items() if each.name == request.name]
    return own[: max(0, len(own) - MOST_OF_ONE_APP + 1)]


def reasons_full(waiting: dict[str, tuple[Request, int]], size: int = 1) -> dict[str | None, str]:
    """Say why an app of so many bytes is not kept: ``None`` for all, or those of a project."""
    found: dict[str | None, str] = {}
    for project, count in Counter(request.project for request, _ in waiting.values()).items():
        if count >= MOST_OF_ONE_PROJECT:
            found[project] = f"{count} apps of the project {project or '(not named)'} wait already"
    if len(waiting) >= MOST_PENDING:
        found[None] = f"{len(waiting)} apps wait already"
    elif sum(each for _, each in waiting.values()) + size > MOST_BYTES:
        found[None] = f"the apps that wait take up {MOST_BYTES // 2**20} MB"
    return found
