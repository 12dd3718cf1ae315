"""What ``flame-flwr check`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flame_flwr.testing.findings import CHECKS

if TYPE_CHECKING:
    from flame_flwr.testing.kit import Report

__all__ = ["show_report"]


def show_report(report: Report, console: Console | None = None) -> None:
    """Print the findings as a table, or that there are none.

    Parameters
    ----------
    report : Report
        Of a check.
    console : Console, optional
        Where to; standard output where it is not given.
    """
    console = console or Console()
    about = report.about
    if about:
        console.print(
            f"{about['analyzer']} and {about['server']}, {about['nodes']} nodes, "
            f"{about['rounds']} rounds",
            highlight=False,
        )
    if about.get("messages"):
        console.print(
            "It has a client, or Message methods of its strategy, of its own: it was run in one "
            "process alone, and nothing was compared",
            style="yellow",
            highlight=False,
        )
    if not report.findings:
        console.print(f"nothing found in {len(CHECKS)} checks", style="green", highlight=False)
        return
    errors = sum(finding.severity == "error" for finding in report.findings)
    title = f"{_count(errors, 'error')}, {_count(len(report.findings) - errors, 'warning')}"
    table = Table(title=title, title_justify="left", show_lines=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("where", overflow="fold")
    table.add_column("seen", overflow="fold", ratio=3)
    table.add_column("mend", overflow="fold", ratio=2)
    for finding in sorted(report.findings, key=lambda finding: finding.severity):
        cells = (finding.check, finding.where or "the analysis", finding.seen, finding.mend)
        style = "red" if finding.severity == "error" else "yellow"
        table.add_row(Text(finding.severity, style), *(Text(cell) for cell in cells))
    console.print(table)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
