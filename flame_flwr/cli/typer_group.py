"""What typer does not do alike with every click that Flower allows: help, and "did you mean"."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, get_type_hints

import typer
from typer.core import TyperGroup

from flame_flwr import __version__
from flame_flwr.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VERSION", "Commands"]


class Commands(TyperGroup):
    """A group of commands; for ``typer.Typer(cls=Commands)``.

    It imports no click: typer 0.26 and later bring their own.
    """

    def get_command(self, ctx: Any, name: str) -> Any:
        """Return a command by its name, every argument of it with its help; ``None`` of none.

        With click 8.5, an argument of typer's loses its help: click sets the attribute anew.
        """
        command: Any = super().get_command(ctx, name)
        if command is not None and command.callback is not None:
            helps = _helps(command.callback)
            for parameter in command.params:
                if not getattr(parameter, "help", None) and parameter.name in helps:
                    parameter.help = helps[parameter.name]
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, or say which is near: typer and click 8.5 both did, one after another.

        Raises
        ------
        UsageError
            There is none of this name.
        """
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            question = did_you_mean(self.list_commands(ctx), name)
            ctx.fail(f"No such command {name!r}" + (f"; {question}" if question else "."))
        return super().resolve_command(ctx, args)


def _helps(callback: Any) -> Mapping[str, str]:
    """Return the help that a command's function declares for its parameters."""
    hints = get_type_hints(inspect.unwrap(callback), include_extras=True)
    return {
        name: about.help
        for name, hint in hints.items()
        for about in getattr(hint, "__metadata__", ())
        if isinstance(about, typer.models.ParameterInfo) and about.help
    }


def _show_version(wanted: bool) -> None:
    """Print what runs here and end the command, where ``--version`` was given."""
    if wanted:
        typer.echo(f"flame-flwr {__version__}, Flower (flwr) {version('flwr')}")
        raise typer.Exit


VERSION = typer.Option(
    "--version", callback=_show_version, is_eager=True, help="Show versions and exit."
)
"""The option of the whole command that says what runs here."""
