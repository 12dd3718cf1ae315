"""The look of every table that a command prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from rich.console import Console

__all__ = ["print_table", "wide_console"]

_PIPE_WIDTH = 200


def wide_console(console: Console | None = None) -> Console:
    """Return where to print: standard output, which is wide where it is no terminal."""
    from rich.console import Console

    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, _PIPE_WIDTH)
    return console


def print_table(
    console: Console,
    titles: Iterable[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Container[str] = (),
    whole: Container[str] = (),
) -> None:
    """Print rows below their titles; cells are plain text.

    Parameters
    ----------
    console : Console
        Where to.
    titles : iterable of str
        A column each.
    rows : iterable of sequences of str
        A cell for each column.
    numbers, whole : container of str
        The titles of columns that stand on the right, and of those that are not folded either.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in titles:
        right = title in numbers
        table.add_column(
            title,
            overflow="fold",
            justify="right" if right else "left",
            no_wrap=right or title in whole,
        )
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
