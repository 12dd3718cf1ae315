"""Prints the list of runs for ``flame-flwr results``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flame_flwr.cli.say import say
from flame_flwr.cli.tables import print_table
from flame_flwr.text.shown_text import shown_text
from flame_flwr.text.sizes import shown_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.results.fetch import ListedRun

__all__ = ["show_runs"]


def show_runs(runs: Sequence[ListedRun]) -> None:
    """Print runs as a table, one line each.

    Parameters
    ----------
    runs : sequence of ListedRun
        In this order.
    """
    if not runs:
        say("no runs here")
        return
    numbers = ("rounds", "files", "size")
    titles = ("run", "started (UTC)", "app", "status", *numbers)
    print_table(titles, map(_cells, runs), numbers=numbers, whole=("status",), is_wide=True)


def _cells(run: ListedRun) -> list[str]:
    texts = (run.name, run.started, run.app, run.status)  # a store's
    rounds = "" if run.rounds is None else str(run.rounds)
    return [*(shown_text(text, 60) for text in texts), rounds, str(run.files), shown_size(run.size)]
