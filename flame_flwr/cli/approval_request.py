"""``flame-flwr submit --request-approval``: an app is sent to the hospitals for a look at it."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from flame_flwr.app_folder import App
from flame_flwr.cli.submit import SubmitError, submit
from flame_flwr.config import RUN_KEYS
from flame_flwr.errors import ConfigError, FlameError
from flame_flwr.flower import app_archive
from flame_flwr.node.app_archive import AppArchive
from flame_flwr.results.followed_lines import ApprovalLine, parse_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from flame_flwr.cli.connection import Federation

__all__ = ["request"]

_LAST_LINES = 20
_WORDS = {
    "given": "has approved it",
    "waits": "waits for approval",
    "rejected": "has rejected it",
    "expired": "has approved it, until a day that is over",
    "project": "has approved it for another project",
    "config": "has approved it with another run config",
    "kind": "does not run such apps",
    "unreadable": "has approvals that cannot be read",
    "failed": "cannot take part",
    "missing": "was not there",
}
_DECIDABLE = ("waits", "expired", "project", "config")
"""What an approval given at the node mends."""


def request(
    folder: Path,
    federation: Federation,
    run_config: Mapping[str, Any] | None = None,
    say: Callable[[str], object] = typer.echo,
    within: float = 0.0,
) -> bool:
    """Send an app to all its nodes for approval, and say who has approved it.

    Parameters
    ----------
    folder : Path
        The app's folder.
    federation : Federation
        Where it is to run.
    run_config : dict, optional
        Overrides of the app's config, as the run will have them: ``project-id`` above all.
    say : callable
        Gets what is to be printed.
    within : float
        Seconds that the hospitals have; with 0 they are asked once.

    Returns
    -------
    bool
        Whether all have approved it.

    Raises
    ------
    ConfigError
        The run config does not say which nodes.
    SubmitError
        They could not be asked.
    FlameError
        One of them will not let it run as it is: it has rejected it, say, or its approval is over.
    """
    program = App.read(folder)
    overrides = program.checked(run_config or {})
    nodes = program.merged(overrides).get("nodes")
    if not nodes:
        raise ConfigError(
            "whose approval? Set `nodes` in the run config: how many nodes, or their names"
        )
    try:
        archive = AppArchive.read(app_archive(folder.expanduser()))
    except ValueError as error:
        raise ConfigError(f"{folder} cannot be packed: {error}") from error
    say(f"{archive.title}, SHA-256 {archive.digest}")
    if within:
        say(f"waiting for approval, until {datetime.now() + timedelta(seconds=within):%d %b %H:%M}")
    asked = {**overrides, "nodes": _asking(nodes, within)}
    states = _ask(folder, federation, asked, say, waits=bool(within))
    given = _say_states(states, say)
    default = RUN_KEYS["project-id"].default
    project = str(program.merged(overrides).get("project-id", default))
    _say_how_to_approve(states, archive.digest[:12], project, say)
    refusing = {node: state for node, state in states.items() if state not in ("given", "waits")}
    if refusing:
        why = "; ".join(f"{node} {_WORDS.get(state, state)}" for node, state in refusing.items())
        raise FlameError(f"{archive.title} does not run: {why}")
    return given == len(states)


def _say_states(states: Mapping[str, str], say: Callable[[str], object]) -> int:
    """Say what each hospital has decided, and return how many have approved the app."""
    width = max(map(len, states))
    for node, state in states.items():
        say(f"  {node:{width}}  {_WORDS.get(state, state)}")
    given = sum(state == "given" for state in states.values())
    say(f"{given} of {len(states)} have approved it")
    return given


def _say_how_to_approve(
    states: Mapping[str, str], digest: str, project: str, say: Callable[[str], object]
) -> None:
    """Say what the hospitals write that can still approve the app."""
    decidable = [node for node, state in states.items() if state in _DECIDABLE]
    if decidable:
        say(f"At {', '.join(decidable)}: flame-flwr node show {digest}, and then")
        say(f"  flame-flwr node approve {digest} --project {shlex.quote(project)} --until DATE")


def _asking(nodes: Any, within: float) -> str:
    """Return `nodes` of a run that only asks."""
    return f"approval of {nodes}" + (f" within {within:.0f} s" if within >= 1 else "")


def _ask(
    folder: Path,
    federation: Federation,
    run_config: Mapping[str, Any],
    say: Callable[[str], object],
    *,
    waits: bool,
) -> dict[str, str]:
    """Make the run that asks, and return what it was told, by node."""
    states: dict[str, str] = {}
    lines: list[str] = []

    def follow(text: str) -> None:
        line = parse_line(text)
        lines.append(text)
        if isinstance(line, ApprovalLine) and states.get(line.node) != line.state:
            states[line.node] = line.state
            if waits:
                say(f"{datetime.now():%H:%M} {line.node} {_WORDS.get(line.state, line.state)}")

    try:
        run = submit(folder, federation, run_config, on_line=follow)
        if not states:
            raise SubmitError(f"run {run.run_id} asked no node, and ended as {run.status}")
    except BaseException as error:  # also Ctrl-C, which says how the run is stopped
        for text in lines[-_LAST_LINES:]:
            say(text)
        if isinstance(error, KeyboardInterrupt):
            say("nobody waits any more. The app stays at the nodes; the same command asks again")
        raise
    return states
