"""What ``flame-flwr results`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flame_flwr.sizes import shown_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.results.fetch import ListedRun

__all__ = ["show_runs"]

_PIPE_WIDTH = 200


def show_runs(runs: Sequence[ListedRun], console: Console | None = None) -> None:
    """Print runs as a table, one line each.

    Parameters
    ----------
    runs : sequence of ListedRun
        In this order.
    console : Console, optional
        Where to; standard output where it is not given.
    """
    console = console or Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    if not runs:
        console.print("no runs here", highlight=False)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("run", "started (UTC)", "app", "status"):
        table.add_column(title, overflow="fold", no_wrap=title == "status")
    for title in ("rounds", "files", "size"):
        table.add_column(title, justify="right", no_wrap=True)
    for run in runs:
        cells = [
            _shown(run.name),
            _shown(run.started),
            _shown(run.app),
            _shown(run.status),
            "" if run.rounds is None else str(run.rounds),
            str(run.files),
            shown_size(run.size),
        ]
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)


def _shown(text: str) -> str:
    """Return a store's text without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:60])
