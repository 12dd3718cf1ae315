"""The ``flame-flwr`` command, and what it prints."""

from flame_flwr.cli.commands import main

__all__ = ["main"]
