"""Judges the versions that a node runs: a refusal, a warning, or nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flame_flwr import __version__
from flame_flwr.installed.versions import differing, installed, release, untried
from flame_flwr.log import logger
from flame_flwr.payload import WIRE_VERSION
from flame_flwr.text.foreign_json import OddReportError, read_json
from flame_flwr.text.shown_text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["must_upgrade", "read_versions", "warn_of_versions"]

_LONGEST = 10_000
"""Characters of a node's list of versions; ours has about a hundred."""

_VERSION = re.compile(r"[0-9A-Za-z.+!_-]{1,40}", re.ASCII)


def must_upgrade(wire: object, framework: str) -> str:
    """Say who must upgrade where a node's wire or framework differ; ``''`` where they do not.

    Parameters
    ----------
    wire : object
        The version of the wire format that the node has said.
    framework : str
        Its version of flame-flwr; empty of one that does not say.
    """
    # Both are shown: what is no version, such as lines of a forged log, is left out.
    wire = wire if isinstance(wire, int) else None
    framework = framework if _VERSION.fullmatch(framework) else ""
    if wire == WIRE_VERSION and release(framework) == release(__version__):
        return ""
    node_is_older = (wire or 0, release(framework)) < (
        WIRE_VERSION,
        release(__version__),
    )
    who, what = ("this node", __version__) if node_is_older else ("the server", framework)
    return (
        f"it runs flame-flwr {framework or 'of an unknown version'} (wire {one_line(wire, 20)}), "
        f"the server runs "
        f"{__version__} (wire {WIRE_VERSION}): {who} must be upgraded to {what}"
    )


def read_versions(text: object) -> dict[str, str]:
    """Return the versions that a node has said, by package; none of an older node's.

    Raises
    ------
    OddReportError
        They are no versions: they are printed, so they must look like some.
    """
    said = read_json(text, "`versions`", _LONGEST) if text not in (None, "") else {}
    if not isinstance(said, dict):
        raise OddReportError("`versions` names no packages")
    if not all(isinstance(each, str) and _VERSION.fullmatch(each) for each in said.values()):
        raise OddReportError("`versions` holds what is no version")
    return said


def warn_of_versions(nodes: Mapping[str, Mapping[str, str]]) -> None:
    """Say in one warning which nodes run packages that differ so much that it may matter.

    Parameters
    ----------
    nodes : mapping of str to mapping of str to str
        The versions of every node's packages, by its name.
    """
    ours, lines = installed(), []
    for name, theirs in nodes.items():
        said = differing(theirs, ours)
        flower = theirs.get("flwr", "")
        if flower and flower != ours.get("flwr") and (text := untried(flower)):
            said.append(text)  # of the server's own, importing it has warned
        lines += [f"  {name}: {each}" for each in said]
    if lines:
        logger.warning(
            "nodes run other versions than the server; if something fails, install the same on "
            "every side:\n%s",
            "\n".join(lines),
        )
