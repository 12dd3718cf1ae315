"""``report.html``: one file that shows a run, with no scripts in it and nothing from elsewhere.

It is made of what ``run.json`` says and of the result files, with jinja2 and matplotlib (the
``report`` extra). Names of nodes and contents of files are somebody else's: everything is escaped,
images are data of the page itself, and a Content-Security-Policy forbids the rest.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.results import report_tables as tables
from flame_flwr.results.metric_means import reported_names
from flame_flwr.results.plots import convergence_plot, metric_plots
from flame_flwr.results.report_files import inline
from flame_flwr.results.report_hidden import hidden
from flame_flwr.results.report_methods import methods
from flame_flwr.results.report_sites import sent_beside, sites
from flame_flwr.results.report_words import heading_of, why_stopped
from flame_flwr.text.sizes import shown_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Template

__all__ = ["render"]

_HERE = Path(__file__).parent
_NUMBER = re.compile(r"[-+]?[\d.,]{1,12}(?:e[-+]?\d{1,3}| k?B| [MG]B)?")
"""What is not broken at the end of a line."""
_LONG = re.compile(r"\S{13}")
"""What may be broken anywhere: a table of eight columns has no room for it."""
_WIDE, _WIDER = 98, 130
"""Letters of a line that have no room on paper in the usual size, and in a smaller one."""
_TRACEBACK = re.compile(
    r"^[ +]*(?:Exception Group )?Traceback \(most recent call last\):$", re.MULTILINE
)


def render(about: dict[str, Any], folder: Path, paths: Sequence[Path]) -> bytes:
    """Return the page.

    Parameters
    ----------
    about : dict
        What ``run.json`` says.
    folder : Path
        The run's.
    paths : sequence of Path
        The files to show: the result's first.
    """
    style = (_HERE / "report.css").read_text("utf-8")
    error, traceback = _error(about["error"] or "")
    text, references = methods(about)
    page = _template().render(
        about=about,
        heading=about["heading"],
        title=heading_of(about),
        reason=why_stopped(about["reason"]),
        number=_Numbers(),
        methods=text,
        references=references,
        hidden=hidden(about),
        took_part=sites(about),
        beside=sent_beside(about),
        error=error,
        traceback=traceback,
        style=style,
        # The Content-Security-Policy lets this one style in, by its hash, and no other.
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        convergence=convergence_plot(about["history"]),
        metric_plots=metric_plots(about["history"], about["nodes"], about["hospitals"]),
        settings=tables.settings_table(about),
        nodes=tables.nodes_table(about),
        rounds=tables.rounds_table(about["history"], about["weighted_by"]),
        metrics=tables.metrics_table(about),
        reported=reported_names(about["history"]),
        per_round=tables.metrics_per_round(about),
        evaluations=tables.scores_table(about["nodes"], about["evaluations"]),
        left=tables.egress_table(about),
        filters=tables.filters_table(about),
        files=inline(folder, paths),
    )
    return page.encode("utf-8", "replace")  # a name of a file may hold half a character


@cache
def _template() -> Template:
    """Return the page's template: it takes longer to compile than a page to fill."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _svg_uri
    environment.filters["size"] = shown_size
    environment.filters["moment"] = _moment
    environment.filters["kind"] = _kind
    environment.filters["breadth"] = _breadth
    return environment.get_template("report.jinja")


class _Numbers:
    """Numbers figures and tables, in the order in which the page asks."""

    def __init__(self) -> None:
        self._given = {"figure": 0, "table": 0}

    def next(self, kind: str) -> int:
        """Return the number of the next one."""
        self._given[kind] += 1
        return self._given[kind]


def _error(text: str) -> tuple[str, str]:
    """Return what an error says, and the traceback behind it that a node shares."""
    found = _TRACEBACK.search(text)
    start = found.start() if found else len(text)
    return text[:start].rstrip(), text[start:].rstrip()


def _kind(cell: str) -> str:
    """Return the class of a table's cell, which says where its text may be broken."""
    return "number" if _NUMBER.fullmatch(cell) else "long" if _LONG.search(cell) else ""


def _breadth(text: str) -> str:
    """Return the class of a text by its longest line: a table of letters is not to be broken."""
    longest = max(map(len, text.splitlines()), default=0)
    return "wider" if longest > _WIDER else "wide" if longest > _WIDE else ""


def _moment(text: str) -> str:
    """Return a time of ``run.json``, which is in UTC, as people read it."""
    return text.replace("T", " ").replace("+00:00", " UTC")


def _svg_uri(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
