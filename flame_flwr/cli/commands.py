"""The ``flame-flwr`` command."""

from __future__ import annotations

import io
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from flame_flwr.cli.docs_command import docs
from flame_flwr.cli.node_commands import data_commands, node_commands
from flame_flwr.cli.provision_command import provision
from flame_flwr.cli.report_command import report as report_command
from flame_flwr.cli.signals import interrupt_on_signals
from flame_flwr.cli.typer_group import VERSION, Commands, WaitingCommand
from flame_flwr.errors import FlameError
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


@_app.command(cls=WaitingCommand)
def submit(
    app: Annotated[Path, typer.Argument(help="folder of the Flower app")],
    federation: Annotated[
        str | None, typer.Argument(help="a connection in Flower's config.toml")
    ] = None,
    simulate: Annotated[
        int | None, typer.Option(min=1, help="simulate so many nodes, without a federation")
    ] = None,
    run_config: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE or a .toml file, overrides the app's config; repeatable"),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="seconds to wait for a SuperLink that does not answer; with --request-approval, "
            "for the hospitals: a week, where no number follows",
            show_default="60",
        ),
    ] = None,
    request_approval: Annotated[
        bool,
        typer.Option(
            "--request-approval",
            help="send the app to the hospitals for approval and say who has approved it; with "
            "--wait, run it when all have",
        ),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="open a page that shows the run while it goes on")
    ] = False,
) -> None:
    """Run an app, follow its log, and exit non-zero when the run failed."""
    from flame_flwr.app_folder import App
    from flame_flwr.cli.approval_request import request
    from flame_flwr.cli.submit import WAIT, Federation, simulation
    from flame_flwr.cli.submit import submit as run_app
    from flame_flwr.cli.watch_page import watching_submitted
    from flame_flwr.results.progress_bar import following

    if (federation is None) == (simulate is None):
        raise typer.BadParameter("name a federation, or say --simulate N")
    if request_approval and simulate:
        raise typer.BadParameter("a simulation asks nobody for approval")
    config = App.read(app).overrides(run_config or [])
    if request_approval:
        approved = request(app, Federation(str(federation), {}), config, within=wait or 0.0)
        if wait is None:
            return
        if not approved:
            raise FlameError("not all hospitals have approved the app, so it was not run")
        wait = WAIT
    wait = 0 if simulate else WAIT if wait is None else wait
    where = simulation(simulate) if simulate else nullcontext(Federation(str(federation), {}))
    with watching_submitted(asked=watch) as watched:
        with where as place, following() as follow:
            on_line = watched(follow)
            run = run_app(app, place, config, on_line=on_line, wait=wait)
        if not run.succeeded:
            raise FlameError(f"run {run.run_id} ended as {run.status}: {run.details}")
        typer.echo(f"run {run.run_id} completed")


@_app.command()
def run(
    script: Annotated[Path, typer.Argument(help="a FLAME script, as it is")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="the script's own, behind --", show_default=False)
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="what a node reads: a folder, module:function, s3://bucket/prefix or "
            "fhir+https://server/base, or several with ; between them; once per node, in order"
        ),
    ] = None,
    nodes: Annotated[
        int | None,
        typer.Option(min=1, help="how many nodes, where one --data has {partition-id} in it"),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="folder for the result files; those of an earlier run are replaced, run.json too",
            show_default="results",
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            help="folder for what nodes keep across runs (save_intermediate_data)",
            show_default=".flame-flwr beside the results",
        ),
    ] = None,
    max_rounds: Annotated[int, typer.Option(min=1, help="to wait for has_converged")] = 1000,
    report: Annotated[
        str, typer.Option(help="report.html beside the results: on, off, or auto, if installed")
    ] = "auto",
    tensorboard: Annotated[
        str, typer.Option(help="TensorBoard events beside the results: on, off, or auto")
    ] = "auto",
    simulate: Annotated[
        bool,
        typer.Option("--simulate", help="in Flower's simulation runtime, in a folder of its own"),
    ] = False,
) -> None:
    """Run a FLAME script on the nodes' data: in this process, or in Flower's simulation."""
    from flame_flwr.cli.script_simulation import simulate_script
    from flame_flwr.failure.tracebacks import user_traceback
    from flame_flwr.script.options import script_path
    from flame_flwr.script.runner import run_script

    path = script_path(script)
    run_it = simulate_script if simulate else run_script
    try:
        run_it(
            path,
            data or [],
            nodes=nodes,
            results=results,
            state=state,
            max_rounds=max_rounds,
            report=report,
            tensorboard=tensorboard,
            arguments=arguments or [],
        )
    except FlameError:
        raise
    except Exception as error:
        typer.echo(user_traceback(error, str(path)), nl=False, err=True)
        raise typer.Exit(1) from None


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
    seconds: Annotated[float, typer.Option(help="how long the check may take")] = 60.0,
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
        colour = None if os.environ.get("NO_COLOR") else "red"
        text = printable(f"error: {error}{''.join(notes)}", lines=True)
        typer.secho(text, fg=colour, err=True)
        raise SystemExit(1) from None
