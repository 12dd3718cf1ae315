"""``flame-flwr docs``: the installed manual, in a browser, in a terminal, or as one file."""

from __future__ import annotations

from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flame_flwr.cli.manual_pages import ManualPage

__all__ = ["docs"]

_HITS = 40


def docs(
    page: Annotated[
        list[str] | None,
        typer.Argument(help="show this one in the terminal, such as own-csv; more words to find"),
    ] = None,
    search: Annotated[
        str | None, typer.Option(help="find lines with all of these words, such as of a message")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="write all pages into one HTML file")] = None,
    list_pages: Annotated[bool, typer.Option("--list", help="list the pages")] = False,
) -> None:
    """Open the manual that came with this installation: in a browser, else list its pages."""
    from flame_flwr.cli.manual_pages import find_page, read_pages
    from flame_flwr.files import write_file

    if search:
        _show_hits(" ".join([search, *(page or [])]))
    elif page:
        for name in page:
            _show(find_page(name))
    elif to:
        from flame_flwr.cli.manual_html import manual_html

        write_file(to, manual_html().encode())
        typer.echo(f"{to} is written")
    elif list_pages or not _opened():
        for section, pages in groupby(read_pages(), key=lambda each: each.section):
            typer.echo(section and f"\n{section}")
            for each in pages:
                typer.echo(f"  {each.name:26} {each.title}")
        typer.echo("\n`flame-flwr docs NAME` shows a page, `--to FILE` writes all into one file")


def _opened() -> bool:
    """Open the manual in a browser, where there is one that has a screen."""
    import webbrowser

    from flame_flwr.cli.desktop import cache_folder, has_desktop
    from flame_flwr.files import write_file

    if not has_desktop():
        return False
    from flame_flwr.cli.manual_html import manual_html

    # The browser reads it after this command has ended, and nobody would remove a temporary file.
    path = cache_folder() / "manual.html"
    try:
        write_file(path, manual_html().encode())
    except OSError:  # a home folder that takes no files
        return False
    return webbrowser.open(path.as_uri())


def _show(page: ManualPage) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    if console.is_terminal:
        with console.pager(styles=True):
            console.print(Markdown(page.text, hyperlinks=False))
    else:
        typer.echo(page.text, nl=False)


def _show_hits(words: str) -> None:
    from flame_flwr.cli.manual_pages import nearest, search

    hits = list(islice(search(words), _HITS + 1))
    for page, heading, line in hits[:_HITS]:
        where = page.name if heading == page.title else f"{page.name}, {heading}"
        typer.echo(f"{where}:\n  {line[:300]}")
    if not hits:
        near = nearest(words)
        if not near:
            typer.echo(f"no line of the manual has {words!r}; try fewer words")
            raise typer.Exit(1)
        typer.echo("no line of the manual has all of these words; nearest are")
        for page, heading in near:
            typer.echo(f"{page.name}:\n  {heading}")
    if len(hits) > _HITS:
        typer.echo("and more; try more words")
