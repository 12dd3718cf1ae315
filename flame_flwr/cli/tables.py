"""The look of every table that a command prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

__all__ = ["print_table"]

_PIPE_WIDTH = 200


def print_table(
    titles: Iterable[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Container[str] = (),
    whole: Container[str] = (),
    is_wide: bool = False,
) -> None:
    """Print rows below their titles; cells are plain text.

    Parameters
    ----------
    titles : iterable of str
        A column each.
    rows : iterable of sequences of str
        A cell for each column.
    numbers, whole : container of str
        The titles of columns that stand on the right, and of those that are not folded either.
    is_wide : bool
        Whether a file or a pipe has room for wide lines, as programs read them there.
    """
    from rich.console import Console
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
    console = Console()
    if is_wide and not console.is_terminal:
        console.width = max(console.width, _PIPE_WIDTH)
    console.print(table)
