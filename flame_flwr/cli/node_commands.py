"""The commands for whoever looks after a node: ``flame-flwr node`` and ``flame-flwr data``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from flame_flwr.cli.typer_group import Commands

__all__ = ["data_commands", "node_commands"]

node_commands = typer.Typer(cls=Commands, help="Look after a node.", no_args_is_help=True)


@node_commands.callback()
def _on_a_node() -> None:
    """Look after a node."""


@node_commands.command()
def clean(
    state_dir: Annotated[Path, typer.Argument(help="`state-dir` of the node's config")],
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
    from flame_flwr.sizes import shown_size

    if not math.isfinite(older_than):
        raise typer.BadParameter("--older-than is a number of days")
    found = clean_state(state_dir, older_than, kept_data=kept_data, dry_run=dry_run)
    for leftover in found:
        typer.echo(
            f"{leftover.path.relative_to(state_dir)}: {leftover.days:.1f} days old, "
            f"{shown_size(leftover.bytes)}"
        )
    done = "would remove" if dry_run else "removed"
    typer.echo(f"{done} {len(found)}, older than {older_than:g} days")


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
    example: Annotated[bool, typer.Option("--example", help="print an example file")] = False,
) -> None:
    """Show what a node may read, and for which projects."""
    from flame_flwr.data.registry import EXAMPLE, read_registry
    from flame_flwr.data.registry_table import show_datasets

    if example:
        typer.echo(EXAMPLE, nl=False)
        return
    if registry is None:
        raise typer.BadParameter("name a registry, or say --example")
    show_datasets(read_registry(registry))


@data_commands.command("check")
def check_data(
    registry: Annotated[
        Path, typer.Argument(help="`datasets` of the node's config: a datasets.toml")
    ],
) -> None:
    """Try every dataset's source; exit with 1 where one does not answer."""
    from flame_flwr.data.registry import read_registry
    from flame_flwr.data.registry_table import try_datasets

    if not try_datasets(read_registry(registry)):
        raise typer.Exit(1)
