"""Whether a command that somebody is told to run is there, with its options."""

from __future__ import annotations

from typing import Any

import typer
from flwr.cli.app import app as flowers
from flwr.supernode.cli.flower_supernode import _parse_args_run_supernode

from flame_flwr.cli import commands

_PROGRAMS = {
    "flame-flwr": typer.main.get_command(commands._app),
    "flwr": typer.main.get_command(flowers),
}


def wrong(words: list[str]) -> str:
    """Return what is no command, or no option of it; empty where all is right."""
    command: Any = _PROGRAMS[words[0]]
    left = words[1:]
    while left and hasattr(command, "commands") and not left[0].startswith("-"):
        if left[0] not in command.commands:
            return left[0]
        command = command.commands[left.pop(0)]
    known = options(command) | {"--help"}
    own = left[: left.index("--")] if "--" in left else left  # what follows is a script's
    named = [word.partition("=")[0] for word in own if word.startswith("--")]
    return next((name for name in named if name not in known), "")


def options(command: Any) -> set[str]:
    """Return the options of a command, with those that switch something off."""
    found = {
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    if command.context_settings.get("ignore_unknown_options"):  # `node start` hands them on
        found |= {*_parse_args_run_supernode()._option_string_actions}
    return found
