"""Help and "did you mean", the same with every version of click that Flower allows."""

from __future__ import annotations

import inspect
import shlex
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from flame_flwr import __version__
from flame_flwr.errors import FlameError
from flame_flwr.text.shown_text import printable
from flame_flwr.text.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VERSION", "Commands", "NodeCommands", "ScriptCommand", "WaitingCommand"]

_WEEK = 7 * 24 * 3600


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


class NodeCommands(Commands):
    """The commands of a node, whose errors may hold what a stranger's app or file says."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an error's text is one line, which a terminal only shows.

        Raises
        ------
        FlameError
            The command's own.
        """
        try:
            return super().invoke(ctx)
        except FlameError as error:
            error.message = printable(error.message)
            error.detail = error.detail and printable(error.detail)
            raise


class WaitingCommand(TyperCommand):
    """A command whose ``--wait`` may stand without a number: a week then."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, with the number that was left out."""
        given = []
        for place, word in enumerate(args):
            given.append(word)
            if word == "--wait" and not _is_number(args[place + 1 : place + 2]):
                given.append(f"{_WEEK}")
        return super().parse_args(ctx, given)


class ScriptCommand(TyperCommand):
    """A command that runs a script, whose own options stand behind ``--``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; of an option that is not the command's, say where a script's go.

        Raises
        ------
        UsageError
            There is such an option, or anything else of the arguments is wrong.
        """
        given = list(args)  # the parser takes words out of the list that it is given
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # Newer typers bring a click of their own, so the class is known by what it alone has.
            unknown: Any = error if hasattr(error, "possibilities") else None
            words = [word.partition("=")[0] for word in given]
            if unknown is not None and unknown.option_name in words:
                at = words.index(unknown.option_name)
                command = shlex.join([*ctx.command_path.split(), *given[:at], "--", *given[at:]])
                own = f"If it is the script's own, it stands behind --: {command}"
                unknown.message = f"{unknown.format_message()} {own}"
                unknown.possibilities = None  # they are in the message now
            raise


def _is_number(words: list[str]) -> bool:
    try:
        return bool([float(word) for word in words])
    except ValueError:
        return False


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
