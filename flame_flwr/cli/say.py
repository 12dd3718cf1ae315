"""What the commands of a node print of others' making: one line, which a terminal only shows."""

from __future__ import annotations

import typer

from flame_flwr.text.shown_text import printable

__all__ = ["say"]


def say(text: str) -> None:
    """Print one line, in which all is spelled out that a terminal would obey."""
    typer.echo(printable(text))
