"""Prints the findings of ``flame-flwr check``."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from flame_flwr.testing.findings import CHECKS
from flame_flwr.text.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.testing.findings import Finding
    from flame_flwr.testing.kit import Report

__all__ = ["show_report"]


def show_report(report: Report) -> None:
    """Print the findings one below the other, or that there are none.

    Lines end between words, however narrow the terminal is: a column of a table would break the
    names of classes and files, which people copy.

    Parameters
    ----------
    report : Report
        The report of a check.
    """
    console = Console()
    _show_subject(report.about, console)
    if not report.findings:
        console.print(f"nothing found in {len(CHECKS)} checks", style="green", highlight=False)
        return
    warnings = len(report.findings) - len(report.errors)
    found = f"{counted(len(report.errors), 'error')}, {counted(warnings, 'warning')}"
    console.print(found, highlight=False)
    # "error" comes before "warning"
    for finding in sorted(report.findings, key=lambda finding: finding.severity):
        _show_finding(finding, console)


def _show_subject(about: Mapping[str, Any], console: Console) -> None:
    """Print what was checked."""
    if about:
        console.print(
            f"{about['analyzer']} and {about['server']}, {counted(about['nodes'], 'node')}, "
            f"{counted(about['rounds'], 'round')}",
            highlight=False,
        )
    if about.get("messages"):
        console.print(
            "It has a client, or Message methods of its strategy, of its own: it was run in one "
            "process alone, and nothing was compared",
            style="yellow",
            highlight=False,
        )


def _show_finding(finding: Finding, console: Console) -> None:
    colour = "bold red" if finding.severity == "error" else "bold yellow"
    head = Text("\n").append(finding.severity, colour)
    head.append(f"  {finding.check}  ").append(finding.location or "the analysis", "bold")
    for line in (head, *_lines(finding.seen, console), *_lines(f"> {finding.mend}", console)):
        console.print(line, soft_wrap=True)


def _lines(text: str, console: Console) -> list[Text]:
    """Return a text in lines that fit, but for a word that is longer than one."""
    wrapper = textwrap.TextWrapper(
        max(console.width, 40),
        initial_indent="  ",
        subsequent_indent="    " if text.startswith("> ") else "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [Text(part) for line in text.splitlines() for part in wrapper.wrap(line)]
