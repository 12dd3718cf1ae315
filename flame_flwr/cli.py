"""The ``flame-flwr`` command."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from flame_flwr.errors import FlameError

__all__ = ["main"]

_app = typer.Typer(
    help="Federated analyses on Flower.", no_args_is_help=True, pretty_exceptions_enable=False
)


@_app.callback()
def _commands() -> None:
    """Federated analyses on Flower."""


@_app.command()
def submit(
    app: Annotated[Path, typer.Argument(help="folder of the Flower app")],
    federation: Annotated[
        str | None, typer.Argument(help="a connection in Flower's config.toml")
    ] = None,
    simulate: Annotated[
        int | None, typer.Option(min=1, help="simulate so many nodes, without a federation")
    ] = None,
    run_config: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE, overrides the app's config; repeatable")
    ] = None,
) -> None:
    """Run an app, follow its log, and exit non-zero when the run failed."""
    from flame_flwr.engine.submit import Federation, simulation
    from flame_flwr.engine.submit import submit as run_app

    if (federation is None) == (simulate is None):
        raise typer.BadParameter("name a federation, or say --simulate N")
    config = dict(_pair(text) for text in run_config or [])
    where = simulation(simulate) if simulate else nullcontext(Federation(str(federation), {}))
    with where as place:
        run = run_app(app, place, config)
    if not run.succeeded:
        raise FlameError(f"run {run.run_id} ended as {run.status}: {run.details}")
    typer.echo(f"run {run.run_id} completed")


def main() -> None:
    """Run the command; an error of the framework is one readable message and exit code 1."""
    try:
        _app()
    except FlameError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        raise SystemExit(1) from None


def _pair(text: str) -> tuple[str, Any]:
    key, found, value = text.partition("=")
    if not found:
        raise typer.BadParameter(f"--run-config takes KEY=VALUE, not {text!r}")
    for kind in (int, float):
        try:
            return key, kind(value)
        except ValueError:
            continue
    return key, {"true": True, "false": False}.get(value, value)
