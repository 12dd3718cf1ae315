"""docs/watch.md: its commands are ones, and what it says of live.json holds."""

import re
from pathlib import Path

import pytest
import typer
from snippets import all_named

from flame_flwr.cli import commands
from flame_flwr.results.live_state import BEAT, FOLDER_EVERY, STORE_EVERY
from flame_flwr.watch import watched_runs

PAGE = Path(__file__).parents[2] / "docs" / "watch.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="only in a checkout")


def test_its_commands_can_be_said():
    group = typer.main.get_command(commands._app)
    said = [line for block in all_named(PAGE).values() for line in block.splitlines()]
    options = re.findall(r"`(--[a-z]+(?: \d+)?)`", PAGE.read_text())
    values = {"--run": "--run 2026"}
    said += [f"flame-flwr watch {values.get(option, option)}" for option in options]
    for line in said:
        _, name, *words = line.split()
        command = group.get_command(None, name)
        with command.make_context(name, words, resilient_parsing=False):
            pass
    assert len(said) == 7


def test_its_numbers_are_those_of_the_code():
    assert (FOLDER_EVERY, STORE_EVERY, BEAT) == (0.5, 2.0, 5.0)
    assert watched_runs._BEATS == 3
