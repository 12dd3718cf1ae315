"""``flame-flwr report``: the report of a run, made again of its folder, as a page or as PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    run: Annotated[Path, typer.Argument(help="a run's folder, or its run.json")],
    pdf: Annotated[
        bool, typer.Option("--pdf", help="print it into a PDF, too, where Chromium is installed")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            help="the page's file; a PDF is beside it", show_default="report.html in the folder"
        ),
    ] = None,
    opens: Annotated[bool, typer.Option("--open", help="open it in a browser")] = False,
) -> None:
    """Make the report of a run again, also of one of an earlier version."""
    from flame_flwr.cli.say import say
    from flame_flwr.results.print_pdf import print_pdf
    from flame_flwr.results.report_again import list_file, report_again

    if to is not None and to.suffix.lower() == ".pdf":
        raise typer.BadParameter(
            f"--to names the page, and a PDF is beside it: say --pdf --to {to.with_suffix('.html')}"
        )
    page = report_again(run, to)
    say(f"{page} is written")
    if pdf:
        target = page.with_suffix(".pdf")
        print_pdf(page, target)
        if to is None:
            list_file(run, target)
        say(f"{target} is written")
    if opens:
        import webbrowser

        if not webbrowser.open(page.absolute().as_uri()):
            say("there is no browser here to open it in")
