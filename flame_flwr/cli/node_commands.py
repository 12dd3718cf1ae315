"""The commands for whoever looks after a node: ``flame-flwr node`` and ``flame-flwr data``."""

from __future__ import annotations

import math
import re
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from flame_flwr.cli import approval_commands, frozen_commands, identity_commands, registry_add
from flame_flwr.cli.node_option import NodeFolder, with_path
from flame_flwr.cli.say import say
from flame_flwr.cli.typer_group import Commands, NodeCommands

__all__ = ["data_commands", "node_commands"]

node_commands = typer.Typer(cls=NodeCommands, help="Look after a node.", no_args_is_help=True)


@node_commands.callback()
def _on_a_node() -> None:
    """Look after a node."""


@node_commands.command()
def clean(
    state_dir: Annotated[
        Path | None, typer.Argument(help="`state-dir` of the node's config; or say --node")
    ] = None,
    node: NodeFolder = Path(),
    older_than: Annotated[
        float, typer.Option(min=0, help="days since an analysis has written anything")
    ] = 30.0,
    kept_data: Annotated[
        bool, typer.Option("--kept-data", help="also what analyses keep for later ones")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what it would be")] = False,
) -> None:
    """Remove what old analyses have left on a node."""
    from flame_flwr.data.cleaning import clean as clean_state
    from flame_flwr.text.sizes import shown_size

    if not math.isfinite(older_than):
        raise typer.BadParameter("--older-than is a number of days")
    folder = with_path(node, "state-dir")[1] if state_dir is None else state_dir
    found = clean_state(
        folder, older_than, kept_data=kept_data, dry_run=dry_run, is_nodes=state_dir is None
    )
    for leftover in found:
        say(
            f"{leftover.path.relative_to(folder)}: {leftover.days:.1f} days old, "
            f"{shown_size(leftover.bytes)}"
        )
    done = "would remove" if dry_run else "removed"
    say(f"{done} {len(found)}, older than {older_than:g} days")


@node_commands.command("log")
def show_log(
    node: NodeFolder = Path(),
    file: Annotated[
        Path | None, typer.Option(help="an audit log, or a copy of one, in place of the node's")
    ] = None,
    project: Annotated[str, typer.Option(help="only what left for this project")] = "",
    run: Annotated[str, typer.Option(help="only what left in this run")] = "",
    day: Annotated[str, typer.Option(help="only of this day (UTC): 2026-11-29, or 2026-11")] = "",
    name: Annotated[str, typer.Option(help="only of this node, where several share a log")] = "",
    verify: Annotated[
        bool, typer.Option("--verify", help="look whether lines were changed or are missing")
    ] = False,
    expect: Annotated[
        str, typer.Option(help="with --verify: the SHA-256 of a line that must be there")
    ] = "",
    first: Annotated[
        int | None,
        typer.Option("--from", min=1, help="with --verify: the first line that must be there"),
    ] = None,
) -> None:
    """Show what has left a node: its audit log."""
    from flame_flwr.cli import audit_table
    from flame_flwr.privacy.audit_files import read_entries
    from flame_flwr.privacy.audit_verify import verify as verify_log

    path = with_path(node, "audit-log")[1] if file is None else file
    if expect and not re.fullmatch("[0-9a-fA-F]{64}", expect):
        raise typer.BadParameter("--expect is the SHA-256 that --verify printed: 64 digits")
    if verify or expect or first:
        found = verify_log(path, expect.lower(), first, is_copy=file is not None)
        audit_table.show_verified(path, found)
    else:
        _check_day(day)
        wanted = audit_table.LineFilter(project=project, run=run, node=name, day=day)
        audit_table.show_log(read_entries(path), wanted)


@node_commands.command("ledger")
def show_ledger(
    node: NodeFolder = Path(),
    begin: Annotated[
        bool, typer.Option("--begin", help="a new one in the place of one that cannot be read")
    ] = False,
) -> None:
    """Show how much has left a node of each dataset, for each project."""
    from flame_flwr.cli import ledger_table
    from flame_flwr.node.ledger_file import begin_ledger, read_ledger
    from flame_flwr.node.node_folder import check_user

    settings, state_dir = with_path(node, "state-dir")
    folder = state_dir / "gate"
    check_user(folder)
    if begin:
        kept = begin_ledger(settings)
        say(f"a new ledger was begun in {folder}{f'; what was there is {kept}' if kept else ''}")
    else:
        ledger_table.show_ledger(settings, read_ledger(settings))


@node_commands.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def start(
    context: typer.Context,
    preload: Annotated[
        str, typer.Option(help="modules that analyses need, to be imported once: pandas,sklearn")
    ] = "",
    stock: Annotated[
        bool, typer.Option("--stock", help="run Flower's own SuperNode, a process per message")
    ] = False,
) -> None:
    """Run a hospital's node: give it the options of `flower-supernode`."""
    from flame_flwr.node.start import start as start_node

    start_node(context.args, [name for name in preload.split(",") if name], stock=stock)


@node_commands.command()
def status(node: NodeFolder = Path()) -> None:
    """Say whether a node runs, what it does, and what its gate lets through; 1 if it does not."""
    from flame_flwr.cli.status_lines import show_status
    from flame_flwr.node.node_folder import node_settings
    from flame_flwr.node.node_status import read_status, why_nothing_runs

    settings = node_settings(node)
    found = read_status(settings)
    show_status(settings, found, why_nothing_runs=why_nothing_runs(settings))
    if found is None or not found.runs:
        raise typer.Exit(1)


@node_commands.command()
def watch(
    node: NodeFolder = Path(),
    port: Annotated[int, typer.Option(min=0, max=65535, help="of 127.0.0.1; 0: a free one")] = 0,
) -> None:
    """Serve a page of a node on this machine: what runs, what left, what waits for approval."""
    from flame_flwr.node.page import node_page
    from flame_flwr.watch.page_server import PageServer

    server = PageServer(node_page(node), port)
    say(f"open {server.url}")
    say("The address has a secret: whoever has it sees the page. Ctrl-C ends it.")
    server.serve()


def _check_day(day: str) -> None:
    """Refuse what is no day and no month: else the log would seem to have nothing of it."""
    try:
        if day and not re.fullmatch("[0-9]{4}(-[0-9]{2}){0,2}", day):
            raise ValueError(day)
        date.fromisoformat(f"{day}-01-01"[:10] if day else "2026-01-01")
    except ValueError:
        raise typer.BadParameter(
            f"--day is a day or month of UTC, such as 2026-11-29 or 2026-11, not {day!r}"
        ) from None


approval_commands.register(node_commands)
identity_commands.register(node_commands)


data_commands = typer.Typer(
    cls=Commands, help="Look at a node's registry of datasets.", no_args_is_help=True
)


@data_commands.callback()
def _on_data() -> None:
    """Look at a node's registry of datasets."""


@data_commands.command("list")
def list_data(
    registry: Annotated[
        Path | None, typer.Argument(help="`datasets` of the node's config: a datasets.toml")
    ] = None,
    node: Annotated[
        Path | None, typer.Option("--node", help="a node's folder: what it has frozen, too")
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="print an example file")] = False,
) -> None:
    """Show what a node may read, and for which projects; and what it has frozen."""
    from flame_flwr.cli.registry_table import show_datasets
    from flame_flwr.data.registry import EXAMPLE, read_registry

    if example:
        typer.echo(EXAMPLE, nl=False)
        return
    if node is not None:
        registry = registry or _registry_of(node)
    elif registry is None:
        raise typer.BadParameter("name a registry, or say --node FOLDER or --example")
    if registry is not None:
        show_datasets(read_registry(registry))
    if node is not None:
        frozen_commands.show_frozen(node)


def _registry_of(node: Path) -> Path | None:
    from flame_flwr.node.node_folder import node_settings

    named = node_settings(node).datasets
    return Path(named) if named else None


frozen_commands.register(data_commands)
data_commands.command()(registry_add.add)


@data_commands.command("check")
def check_data(
    registry: Annotated[
        Path, typer.Argument(help="`datasets` of the node's config: a datasets.toml")
    ],
) -> None:
    """Try every dataset's source; exit with 1 where one does not answer."""
    from flame_flwr.cli.registry_table import try_datasets
    from flame_flwr.data.registry import read_registry

    if not try_datasets(read_registry(registry)):
        raise typer.Exit(1)
