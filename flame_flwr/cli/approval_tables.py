"""What the commands of ``flame-flwr node`` print of apps: a list, a review, a difference."""

from __future__ import annotations

import shlex
import textwrap
from typing import TYPE_CHECKING

import typer

from flame_flwr.cli.colours import has_colours
from flame_flwr.cli.say import say
from flame_flwr.cli.tables import print_table
from flame_flwr.errors import ConfigError
from flame_flwr.node.app_history import (
    difference,
    history,
    last_asked,
    last_project,
    projects_of,
    state_of,
)
from flame_flwr.node.app_review import Review
from flame_flwr.text.shown_text import printable
from flame_flwr.text.sizes import shown_size

if TYPE_CHECKING:
    from flame_flwr.node.app_archive import AppArchive
    from flame_flwr.node.gate_folder import GateFolder

__all__ = ["show_app", "show_apps", "show_difference", "show_file"]

_WIDTH = 80
_SHORT = 12
_MOST_WARNINGS = 30


def show_apps(folder: GateFolder, name: str) -> None:
    """Print which apps wait, may run and may not, and whose signatures are trusted."""
    approvals, reviewers = folder.approvals(), folder.reviewers()
    rows = [
        (
            digest,
            request.app,
            f"waits, asked {last_asked(request, 'when')[:10]}",
            last_project(request),
        )
        for digest, request in folder.requests().items()
    ]
    rows += [
        (each.hash, each.app, f"{state_of(each, reviewers)} until {each.until}", each.project)
        for each in approvals.approved
    ]
    rows += [
        (each.hash, each.app, f"rejected {each.since[:10]}", "") for each in approvals.rejected
    ]
    if rows:
        cells = [(digest[:_SHORT], *map(printable, more)) for digest, *more in rows]
        print_table(("hash", "app", "state", "project"), cells)
    else:
        say(f"no app was sent to {name} yet")
    for why in folder.full():
        say(f"{why}: more are refused until some are approved or rejected")
    for key, (who, _) in reviewers.items():
        say(f"signatures are trusted of {who}, {key}")


def show_app(archive: AppArchive, folder: GateFolder | None) -> None:
    """Print what there is to see of an app before it may run."""
    review, short = Review(archive), archive.digest[:_SHORT]
    say(archive.title)
    say(f"SHA-256 {archive.digest}")
    for line in history(archive, folder) if folder is not None else ():
        say(line)
    _head("What runs at the node")
    _say_folded(review.clientapp())
    for excerpt in review.runs_at_node():
        say(f"--- {excerpt.place}")
        typer.echo(f"{excerpt.text.rstrip()}\n")
    _head("What it declares to read and to send")
    for key, value in review.declared() or [("nothing that can be read from its text", "")]:
        _say_folded(f"{key} = {value}" if value else key)
    _head("Run config")
    for key, value in archive.config.items():
        _say_folded(f"{key} = {value!r}")
    _head("Files")
    for path, content in sorted(archive.files.items()):
        say(f"{shown_size(len(content)):>9}  {path}")
    _head("What the node imports of it")
    for path, modules in review.node_imports().items():
        _say_folded(f"{path} imports {', '.join(modules) or 'nothing'}")
    _head("Imports of other packages")
    for package, places in review.imports().items():
        _say_folded(f"{package}: {', '.join(places)}")
    _head("Look closer at")
    warnings = review.warnings()
    for warning in warnings[:_MOST_WARNINGS] or ["nothing that stands out"]:
        _say_folded(warning)
    if len(warnings) > _MOST_WARNINGS:
        say(f"and {len(warnings) - _MOST_WARNINGS} more such places")
    _head("Then")
    say("This is what its text says. Code can be made to read otherwise than it runs:")
    say(f"read every file, `flame-flwr node show {short} --file PATH`. To let it run:")
    for project in projects_of(archive, folder):
        said = shlex.quote(printable(project))
        say(f"flame-flwr node approve {short} --project {said} --until DATE")


def show_file(archive: AppArchive, path: str) -> None:
    """Print one file of an app.

    Raises
    ------
    ConfigError
        It has none of that name.
    """
    if path not in archive.files:
        raise ConfigError(f"the app has no file {path}; it has {', '.join(sorted(archive.files))}")
    typer.echo(Review(archive).text(path))


def show_difference(before: AppArchive, after: AppArchive) -> None:
    """Print what one app has otherwise than another, file by file."""
    say(f"from {before.title}, {before.digest[:_SHORT]}")
    say(f"to   {after.title}, {after.digest[:_SHORT]}")
    for line in difference(before, after):
        colour = {"+": "green", "-": "red"}.get(line[:1]) if has_colours() else None
        typer.secho(line, fg=colour)
    if before.digest == after.digest:
        say("they are the same")


def _say_folded(text: str) -> None:
    """Print a line of text, folded to the width of a page; what goes on is set in."""
    indent = " " * (len(text) - len(text.lstrip()) + 4)
    for line in textwrap.wrap(
        printable(text), _WIDTH, subsequent_indent=indent, break_on_hyphens=False
    ):
        typer.echo(line)


def _head(title: str) -> None:
    typer.echo()
    typer.secho(title, bold=has_colours())
    say("=" * len(title))
