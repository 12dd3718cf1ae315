"""Prints text that comes from others, such as an app's name, as a line that no terminal obeys."""

from __future__ import annotations

import typer

from flame_flwr.cli.colours import has_colours
from flame_flwr.text.shown_text import printable

__all__ = ["head", "say"]


def say(text: str) -> None:
    """Print one line, in which all is spelled out that a terminal would obey."""
    typer.echo(printable(text))


def head(text: str) -> None:
    """Print a line that stands over others."""
    typer.secho(printable(text), bold=has_colours())
