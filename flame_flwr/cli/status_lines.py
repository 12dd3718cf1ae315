"""What ``flame-flwr node status`` prints: what a node does, and its gate in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flame_flwr.node.status_words import about_gate, about_node, troubles
from flame_flwr.text.shown_text import shown_text

if TYPE_CHECKING:
    from flame_flwr.config import NodeSettings
    from flame_flwr.node.node_status import NodeStatus

__all__ = ["show_status"]


def show_status(
    settings: NodeSettings,
    status: NodeStatus | None,
    why_nothing_runs: str = "",
) -> None:
    """Print what a node does, and its gate.

    Parameters
    ----------
    settings : NodeSettings
        As they stand in its ``node.toml``.
    status : NodeStatus or None
        What it has last written; ``None`` where it never has.
    why_nothing_runs : str
        Why it lets no app run, if so.
    """
    console = Console()
    trouble = [f"  {each}" for each in troubles(settings, status, why_nothing_runs)]
    for line in [*about_node(settings, status), *trouble]:
        console.print(Text(shown_text(line)), soft_wrap=True)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, words in about_gate(settings):
        table.add_row(Text(f"  {key}"), Text(shown_text(words)))
    console.print(Text("\nits config says:", "bold"))
    console.print(table)
