"""``flame-flwr submit``: run an app on a federation or in a simulation, and follow it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flame_flwr.errors import FlameError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from flame_flwr.cli.connection import Federation

__all__ = ["submit"]

Folder = Annotated[Path, typer.Argument(help="folder of the Flower app")]
Connection = Annotated[str | None, typer.Argument(help="a connection in Flower's config.toml")]
Simulate = Annotated[
    int | None, typer.Option(min=1, help="simulate so many nodes, without a federation")
]
RunConfig = Annotated[
    list[str] | None,
    typer.Option(help="KEY=VALUE or a .toml file, overrides the app's config; repeatable"),
]
Wait = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="seconds to wait for a SuperLink that does not answer; with --request-approval, "
        "for the hospitals: a week, where no number follows",
        show_default="60",
    ),
]
RequestApproval = Annotated[
    bool,
    typer.Option(
        "--request-approval",
        help="send the app to the hospitals for approval and say who has approved it; with "
        "--wait, run it when all have",
    ),
]
Watch = Annotated[
    bool, typer.Option("--watch", help="open a page that shows the run while it goes on")
]


def submit(
    app: Folder,
    federation: Connection = None,
    simulate: Simulate = None,
    run_config: RunConfig = None,
    wait: Wait = None,
    request_approval: RequestApproval = False,
    watch: Watch = False,
) -> None:
    """Run an app, follow its log, and exit non-zero when the run failed."""
    from flame_flwr.app_folder import App
    from flame_flwr.cli.approval_request import request
    from flame_flwr.cli.submit import WAIT, Federation, simulation

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
        wait = None  # that was the hospitals' time, and none for a SuperLink
    if simulate:
        _follow(app, simulation(simulate), config, wait=0, watch=watch)
    else:
        place = nullcontext(Federation(str(federation), {}))
        _follow(app, place, config, wait=WAIT if wait is None else wait, watch=watch)


def _follow(
    app: Path,
    where: AbstractContextManager[Federation],
    config: Mapping[str, Any],
    *,
    wait: float,
    watch: bool,
) -> None:
    """Run an app to its end.

    Raises
    ------
    FlameError
        The run failed.
    """
    from flame_flwr.cli.submit import submit as run_app
    from flame_flwr.cli.watch_page import watching_submitted
    from flame_flwr.results.progress_bar import following

    with watching_submitted(asked=watch) as watched:
        with where as place, following() as follow:
            on_line = watched(follow)
            run = run_app(app, place, config, on_line=on_line, wait=wait)
        if not run.succeeded:
            raise FlameError(f"run {run.run_id} ended as {run.status}: {run.details}")
        typer.echo(f"run {run.run_id} completed")
