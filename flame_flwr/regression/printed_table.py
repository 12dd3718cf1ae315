"""``PrintedTable``: a table as papers print them, with rules above and below and none between.

It holds text alone, and is written as a page of HTML that looks like a run's report, as a part of a
page, or as a picture. What the text says is made where the figures are.
"""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from flame_flwr.regression.svg_picture import SvgPicture

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PrintedRow", "PrintedTable", "page_of"]


class PrintedRow(NamedTuple):
    """A row: what it is of, its cells, and whether it belongs under the row before it."""

    label: str
    cells: Sequence[str]
    inner: bool = False


@dataclass(frozen=True)
class PrintedTable:
    """A table of text.

    Parameters
    ----------
    caption : str
        What it shows.
    columns : sequence of str
        The heads of the columns of cells.
    rows : sequence of PrintedRow
        As many cells in each.
    span : (str, int), optional
        What stands above the first few heads, and above how many.
    notes : sequence of str
        What stands below.

    Examples
    --------
    >>> rows = [PrintedRow("n", ["31", "13"]), PrintedRow("m", ["5 (16.1 %)", "2"], inner=True)]
    >>> table = PrintedTable("Patients", ["a", "b"], rows, notes=["Of all hospitals."])
    >>> table.to_html().count("<tr"), table.to_svg().count("16.1 %")
    (3, 1)
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[PrintedRow]
    span: tuple[str, int] | None = None
    notes: Sequence[str] = field(default=())

    @classmethod
    def of_frame(
        cls,
        caption: str,
        frame: pd.DataFrame,
        cell: Callable[[Any], str] = str,
        notes: Sequence[str] = (),
    ) -> PrintedTable:
        """Make one of a DataFrame, with its index as labels.

        Parameters
        ----------
        caption : str
            What it shows.
        frame : pandas.DataFrame
            The figures.
        cell : callable
            How a value is written.
        notes : sequence of str
            What stands below.
        """
        rows = [
            PrintedRow(str(label), [cell(value) for value in values])
            for label, values in zip(frame.index, frame.to_numpy(object).tolist(), strict=True)
        ]
        return cls(caption, [str(name) for name in frame.columns], rows, notes=notes)

    def to_html(self) -> str:
        """Return it as a part of a page."""
        import pandas as pd

        heads: Any = list(self.columns)
        if self.span is not None:
            # pandas joins neighbours of one head, and so those with none, too
            name, count = self.span
            heads = pd.MultiIndex.from_arrays([[name] * count + [""] * (len(heads) - count), heads])
        # pandas gives a row no class, so what belongs under another one begins with a wide space
        labels = [_INNER * row.inner + row.label for row in self.rows]
        table = pd.DataFrame([row.cells for row in self.rows], labels, heads, dtype=object)
        # nor a table a caption, without its Styler, which needs jinja2
        notes = "".join(f"<p class=quiet>{html.escape(note)}</p>\n" for note in self.notes)
        return (
            f"<figure class=printed><style>{_STYLE}</style>\n"
            f"<figcaption>{html.escape(self.caption)}</figcaption>\n"
            f"<div class=scroll>{table.to_html(border=0)}</div>\n{notes}</figure>\n"
        )

    def to_svg(self) -> str:
        """Return it as a picture: the same bytes for the same table."""
        import matplotlib

        # without a salt ids are random, and without this font type text is drawn as outlines
        with matplotlib.rc_context({"svg.hashsalt": "flame-flwr", "svg.fonttype": "none"}):
            file = io.StringIO()
            self._figure().savefig(file, format="svg", metadata={"Date": None})
        return SvgPicture(file.getvalue())

    def to_png(self) -> bytes:
        """Return it as a picture of 200 dots an inch."""
        file = io.BytesIO()
        self._figure().savefig(file, format="png", dpi=200)
        return file.getvalue()

    # ---- the picture -----------------------------------------------------------------------

    def _figure(self) -> Figure:
        from matplotlib.figure import Figure

        labels = [_INDENT * row.inner + _width(row.label) for row in self.rows]
        widths = [max(labels, default=0.0)]
        for place, name in enumerate(self.columns):
            cells = [name, *(row.cells[place] for row in self.rows)]
            widths.append(max(map(_width, cells)))
        if self.span is not None:
            name, count = self.span
            # a long name above makes the last of its columns wider
            widths[count] += max(0.0, _width(name) - sum(widths[1 : count + 1]))
        ends = [_MARGIN + sum(widths[: n + 1]) + n * _GAP for n in range(len(widths))]
        notes = [line for note in self.notes for line in _broken(note, ends[-1] - _MARGIN)]
        lines = 1 + (self.span is not None) + 1 + len(self.rows) + len(notes)
        width, height = ends[-1] + _MARGIN, (lines + 1) * _LINE + 2 * _MARGIN
        figure = Figure(figsize=(width / 72, height / 72), facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.axis("off")
        self._draw(axes, ends, notes)
        return figure

    def _draw(self, axes: Axes, ends: list[float], notes: Sequence[str]) -> None:
        """Draw line after line, from the top, in points."""
        at = _MARGIN + 0.7 * _LINE
        _write(axes, _MARGIN, at, self.caption, weight="bold")
        at += 0.6 * _LINE
        _rule(axes, _MARGIN, ends[-1], at, 1.1)
        if self.span is not None:
            name, count = self.span
            at += 0.75 * _LINE
            _write(axes, (ends[0] + _GAP + ends[count]) / 2, at, name, align="center")
            _rule(axes, ends[0] + _GAP, ends[count], at + 0.35 * _LINE, 0.5)
            at += 0.25 * _LINE
        at += 0.75 * _LINE
        for name, end in zip(self.columns, ends[1:], strict=True):
            _write(axes, end, at, name, align="right", weight="bold")
        _rule(axes, _MARGIN, ends[-1], at + 0.4 * _LINE, 0.6)
        at += 0.25 * _LINE
        for row in self.rows:
            at += _LINE
            _write(axes, _MARGIN + _INDENT * row.inner, at, row.label)
            for cell, end in zip(row.cells, ends[1:], strict=True):
                _write(axes, end, at, cell, align="right")
        _rule(axes, _MARGIN, ends[-1], at + 0.45 * _LINE, 1.1)
        for note in notes:
            at += _LINE
            _write(axes, _MARGIN, at + 0.3 * _LINE, note, color="#5b6875")


def page_of(title: str, parts: Sequence[str]) -> str:
    """Return a page of HTML, in the style of a run's report."""
    style = (files("flame_flwr.results") / "report.css").read_text("utf-8")
    return (
        "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
        "<meta name=viewport content='width=device-width, initial-scale=1'>\n"
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"{''.join(parts)}</body>\n</html>\n"
    )


# ---- text in points ----------------------------------------------------------------------------

_SIZE, _LINE, _GAP, _INDENT, _MARGIN = 9.0, 15.0, 16.0, 12.0, 10.0

_INNER = "\u2060\u2003"
"""Space as wide as an M; pandas would strip it, if it were not for what joins words before it."""

_STYLE = """
.printed { color: #1d2733; background: #fff; margin: 1rem 0 2rem; }
.printed .scroll { overflow-x: auto; }
.printed table { border-collapse: collapse; border: solid #1d2733; border-width: 2px 0;
  font-variant-numeric: tabular-nums; }
.printed figcaption { color: inherit; font-size: inherit; font-weight: 600; padding-bottom: .4rem; }
.printed th, .printed td { border: 0; padding: .2rem 0 .2rem 1.2rem; text-align: right;
  white-space: nowrap; max-width: none; color: inherit; font-weight: 400; background: #fff; }
.printed thead th { font-weight: 600; }
.printed thead tr:last-child > * { border-bottom: 1px solid #1d2733; }
.printed thead tr:not(:last-child) > * { text-align: center; }
.printed thead tr:not(:last-child) > :not(:empty) { border-bottom: 1px solid #b9c4ce; }
.printed tr > :first-child { text-align: left; padding-left: 0; position: sticky; left: 0; }
@media (max-width: 40rem) { .printed tr > :first-child { white-space: normal; min-width: 7.5rem; } }
"""


# A table's texts are measured several times, and the outlines of their letters take a second.
@lru_cache(maxsize=1000)
def _width(text: str) -> float:
    """Return how wide a text is, in bold, as heads are."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    font = FontProperties(family="DejaVu Sans", weight="bold")
    shape = TextPath((0, 0), text, size=_SIZE, prop=font, usetex=False)
    return float(shape.get_extents().width)


def _broken(text: str, width: float) -> list[str]:
    """Return a text's lines, none wider than the table."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and _width(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    align: str = "left",
    weight: str = "normal",
    color: str = "#1d2733",
) -> None:
    axes.text(
        x,
        y,
        text,
        ha=align,
        va="baseline",
        fontsize=_SIZE,
        fontfamily="DejaVu Sans",
        fontweight=weight,
        color=color,
        parse_math=False,
    )


def _rule(axes: Axes, left: float, right: float, y: float, width: float) -> None:
    axes.plot([left, right], [y, y], color="#1d2733", linewidth=width, solid_capstyle="butt")
