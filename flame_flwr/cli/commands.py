"""The ``flame-flwr`` command."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from flame_flwr.cli.docs_command import docs
from flame_flwr.cli.node_commands import data_commands, node_commands
from flame_flwr.cli.provision_command import provision
from flame_flwr.cli.report_command import report as report_command
from flame_flwr.cli.run_command import run
from flame_flwr.cli.signals import interrupt_on_signals
from flame_flwr.cli.submit_command import submit
from flame_flwr.cli.typer_group import VERSION, Commands, ScriptCommand, WaitingCommand
from flame_flwr.errors import FlameError
from flame_flwr.files import reason_of
from flame_flwr.text.shown_text import printable

__all__ = ["main"]

_app = typer.Typer(
    cls=Commands,
    help="Federated analyses on Flower.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


_app.add_typer(node_commands, name="node")
_app.add_typer(data_commands, name="data")
_app.command()(docs)


@_app.callback()
def _commands(version: Annotated[bool, VERSION] = False) -> None:
    """Federated analyses on Flower."""


_app.command(cls=WaitingCommand)(submit)
_app.command(cls=ScriptCommand)(run)


@_app.command()
def new(
    name: Annotated[
        str, typer.Argument(help="of the folder; the Python package in it has _ for -")
    ],
    template: Annotated[
        str, typer.Option(help="analysis, training, statistics, regression or table-one")
    ] = "analysis",
) -> None:
    """Write a Flower app that runs at once: in this process, in a simulation, on a deployment."""
    from flame_flwr.cli.new_app import create, package_name

    folder = create(name, template)
    typer.echo(f"{folder} is ready; its README.md says how to run it. First of all:")
    for command in (f"cd {name}", f"python -m {package_name(name)}.local", "python -m pytest"):
        typer.echo(f"  {command}")


@_app.command()
def check(
    path: Annotated[Path, typer.Argument(help="a FLAME script, or the folder of a Flower app")],
    data: Annotated[
        list[str] | None,
        typer.Option(help="what a node reads, once per node; an app may say it itself"),
    ] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="how many nodes")] = None,
    max_rounds: Annotated[
        int,
        typer.Option(
            min=2,
            help="has_converged is to end it within so many rounds: more are a warning, and no "
            "end in 1000, where a run fails by default, is an error",
        ),
    ] = 100,
    seconds: Annotated[float, typer.Option(help="how long the runs of the check may take")] = 60.0,
    skip: Annotated[list[str] | None, typer.Option(help="a check to leave out")] = None,
) -> None:
    """Find what would break later; exit with 1 where there are errors, not only warnings."""
    from flame_flwr.cli.check_table import show_report
    from flame_flwr.testing.kit import check_path

    report = check_path(
        path, data or [], nodes, max_rounds=max_rounds, seconds=seconds, skip=skip or []
    )
    show_report(report)
    if report.errors:
        raise typer.Exit(1)


@_app.command("results")
def show_results(
    place: Annotated[
        str, typer.Argument(help="s3://bucket/prefix, or a folder; also that of one run")
    ],
    run: Annotated[
        str | None, typer.Argument(help="which run: its name or its id, or how one begins")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="folder to fetch the run into")] = None,
) -> None:
    """List the runs in a store of results, or fetch one of them, checked."""
    from flame_flwr.cli.results_table import show_runs
    from flame_flwr.results.fetch import fetch, runs

    if run is not None and to is None:
        raise typer.BadParameter("to fetch a run, name it and say --to DIR")
    if to is None:
        show_runs(runs(place))
    else:
        typer.echo(f"fetched and checked: {fetch(place, run, to)}")


_app.command("report")(report_command)


@_app.command("watch")
def watch_runs(
    place: Annotated[
        str | None,
        typer.Argument(
            help="s3://bucket/prefix, or a folder; also that of one run",
            show_default="~/flame-results",
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="which run: its name, or how it begins; the newest otherwise")
    ] = None,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="show it here, and not in a browser")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="of the page; 0 is one that is free")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="open the page where there is a desktop")
    ] = True,
) -> None:
    """Show what runs do while they go on, and what came of them: in a browser, or here."""
    from flame_flwr.cli.runs_terminal import follow_run
    from flame_flwr.cli.watch_page import default_place, serve_page

    where = place or default_place()
    if not terminal:
        serve_page(where, run or "", port, opens=browser)
        return
    from flame_flwr.watch.watched_runs import WatchedRuns

    follow_run(WatchedRuns(where), run or "")


@_app.command("plugins")
def show_plugins() -> None:
    """List the strategies and clients that installed packages offer, also broken ones."""
    from flame_flwr import plugins

    offered = plugins.found()
    if not offered:
        typer.echo("no package that is installed here offers a strategy or a client")
    for plugin in offered:
        line = f"{plugin.kind} {plugin.name}: {plugin.value}, of {plugin.package}"
        typer.echo(f"{line}; BROKEN: {plugin.problem}" if plugin.problem else line)


_app.command()(provision)


def main() -> None:
    """Run the command; an error of the framework is one readable message and exit code 1."""
    interrupt_on_signals()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # An emoji in a log ends no run, and who follows a log in a file sees it line by line.
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        _app()
    except FlameError as error:
        notes = [f"\n  {note}" for note in getattr(error, "__notes__", ())]
        _end_with(f"{error}{''.join(notes)}")
    except OSError as error:
        # A file that somebody has named. A closed pipe has no name, and is typer's to end.
        if not isinstance(error.filename, str | bytes | os.PathLike):
            raise
        _end_with(f"{os.fsdecode(error.filename)}: {reason_of(error)}")


def _end_with(text: str) -> NoReturn:
    colour = None if os.environ.get("NO_COLOR") else "red"
    typer.secho(printable(f"error: {text}", lines=True), fg=colour, err=True)
    raise SystemExit(1) from None
