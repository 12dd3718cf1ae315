"""The plots of a run: a report's, as SVG with text as paths, and a tester's, as one figure.

They are matplotlib's, untouched by user code's settings. A plot that cannot be drawn is left out,
with a note; the others are there.
"""

from __future__ import annotations

import io
import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flame_flwr.results.metric_means import mean, reported_names
from flame_flwr.text.shown_text import cut_off, shown_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from matplotlib.figure import Figure

__all__ = ["Plot", "convergence_plot", "metric_plots", "run_figure"]

_MOST_LINES = 8
_MOST_PLOTS = 8
_MOST_POINTS = 2000
_MOST_NAMED = 5
_LONGEST = 40
_LARGEST = 1e150
"""Matplotlib cannot find ticks for numbers that are much larger."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot, or why there is none.

    Attributes
    ----------
    name : str
        The name of what is drawn.
    svg : bytes or None
        The drawing.
    note : str
        What it does not show.
    """

    name: str
    svg: bytes | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Drawing:
    """The numbers to draw, and how; without numbers nothing is drawn."""

    name: str
    values: list[float]
    draw: Callable[[Any], None]
    note: str = ""


def convergence_plot(history: list[dict[str, Any]]) -> Plot | None:
    """Return the aggregate's change per round; ``None`` where there is no line to draw."""
    drawing = _change(history)
    return None if drawing is None else _plot(drawing)


def metric_plots(
    history: list[dict[str, Any]], nodes: list[str], hospitals: Mapping[str, str] | None = None
) -> list[Plot]:
    """Return a plot per metric: a line per node, or mean and range where there are many nodes.

    A round without a value is a gap. There are at most eight plots.

    Parameters
    ----------
    history : list of dict
        The rounds, as ``run.json`` has them.
    nodes : list of str
        Their names, in order.
    hospitals : mapping of str to str, optional
        The real names that are shown in place of nodes' own.
    """
    if len(history) < 2:
        return []
    return [_plot(drawing) for drawing in _metrics(history, _called(nodes, hospitals or {}))]


def run_figure(history: list[dict[str, Any]], nodes: list[str]) -> Figure:
    """Return the same plots below each other, as a figure that a notebook shows by itself."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class RunFigure(Figure):
        """Shown by a notebook also where ``pyplot`` was never imported."""

        def _repr_png_(self) -> bytes:
            target = io.BytesIO()
            self.savefig(target, format="png")
            return target.getvalue()

    change = _change(history)
    every = [*([] if change is None else [change]), *_metrics(history, _called(nodes, {}))]
    drawn = [each for each in every if each.values and not _is_too_large(each)]
    with _plain_settings():
        figure = RunFigure(figsize=(7.2, 2.8 * max(len(drawn), 1)), layout="constrained")
        FigureCanvasAgg(figure)
        if not drawn:
            figure.text(0.5, 0.5, "there is no change and no metric to plot", ha="center")
            return figure
        parts = figure.subfigures(len(drawn), 1, squeeze=False)
        for part, drawing in zip(parts[:, 0], drawn, strict=True):
            _fill(part, drawing)
    return figure


def _change(history: list[dict[str, Any]]) -> _Drawing | None:
    points = [(entry["round"], entry["change"]) for entry in history]
    found = [value for _, value in points if _finite(value)]
    if not found:
        return None

    def draw(axes: Any) -> None:
        _line(axes, points, color="#1b5e8c")
        # On a linear axis the last rounds of a training would all look like 0.
        if min(found) > 0 and max(found) > 50 * min(found):
            _log_scale(axes)
        axes.set_ylabel("change of the aggregate")

    return _Drawing("The aggregate's change", found, draw)


def _called(nodes: list[str], hospitals: Mapping[str, str]) -> dict[str, str]:
    """Return each node's name as shown: its hospital's, with its own where two have the same."""
    real = [hospitals.get(node, node) for node in nodes]
    # Two nodes of one hospital would share a line, and one of them would be lost.
    return {
        node: name if real.count(name) == 1 else f"{name[:_LONGEST]} ({node})"
        for node, name in zip(nodes, real, strict=True)
    }


def _metrics(history: list[dict[str, Any]], nodes: dict[str, str]) -> list[_Drawing]:
    return [_metric(history, nodes, name) for name in reported_names(history)[:_MOST_PLOTS]]


def _metric(history: list[dict[str, Any]], nodes: dict[str, str], name: str) -> _Drawing:
    every = {
        called: [
            (entry["round"], entry["node_metrics"].get(node, {}).get(name)) for entry in history
        ]
        for node, called in nodes.items()
    }
    said = {
        node: points
        for node, points in every.items()
        if any(value is not None for _, value in points)
    }
    lines = {n: points for n, points in said.items() if any(_finite(value) for _, value in points)}
    silent = [node for node in said if node not in lines]
    found = [value for points in lines.values() for _, value in points if _finite(value)]
    note = ""
    if silent:
        note = f"{_listed(silent)} reported no finite number of it, and has no line."
    return _Drawing(name, found, _lines(lines, name), note)


def _plot(drawing: _Drawing) -> Plot:
    """Draw, or say why there is no drawing."""
    name = drawing.name
    if not drawing.values:
        return Plot(name, None, f"{_short(name)} is not plotted: no finite number was reported.")
    if _is_too_large(drawing):
        return Plot(name, None, f"{_short(name)} is not plotted: its numbers are too large.")
    try:
        return Plot(name, _svg(drawing), drawing.note)
    except Exception as error:
        return Plot(name, None, f"{_short(name)} is not plotted ({type(error).__name__}).")


def _is_too_large(drawing: _Drawing) -> bool:
    return max(map(abs, drawing.values)) > _LARGEST


def _log_scale(axes: Any) -> None:
    """Make the axis logarithmic, its ticks in plain text: without math, TeX's would be shown."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")


def _line(axes: Any, points: Sequence[tuple[int, Any]], **options: Any) -> None:
    """Draw a line with a gap where there is no finite number, and a dot for one alone."""
    thinned = [(number, value if _finite(value) else math.nan) for number, value in points]
    gaps = any(math.isnan(value) for _, value in thinned)
    marker = "o" if len(points) < 30 else "." if gaps else ""
    axes.plot(*zip(*_thinned(thinned), strict=True), marker=marker, **options)


def _lines(lines: dict[str, list[tuple[int, Any]]], name: str) -> Callable[[Any], None]:
    def draw(axes: Any) -> None:
        if len(lines) <= _MOST_LINES:
            for node, points in lines.items():
                _line(axes, points, label=_short(node))
        else:
            by_round: dict[int, list[float]] = {}
            for points in lines.values():
                for number, value in points:
                    by_round.setdefault(number, []).extend([value] if _finite(value) else [])
            numbers = sorted(by_round)
            values = [by_round[number] or [math.nan] for number in numbers]
            means = [(n, mean(found)) for n, found in zip(numbers, values, strict=True)]
            _line(axes, means, color="#1b5e8c", label=f"plain mean of {len(lines)} nodes")
            low, high = [min(found) for found in values], [max(found) for found in values]
            axes.fill_between(numbers, low, high, alpha=0.2, color="#1b5e8c", label="their range")
        axes.set_ylabel(_short(name))
        handles = [*axes.get_lines(), *axes.collections]  # said: names may begin with "_"
        labels = [handle.get_label() for handle in handles]
        axes.figure.legend(handles, labels, fontsize="small", loc="outside right upper")

    return draw


def _svg(drawing: _Drawing) -> bytes:
    from matplotlib.figure import Figure

    with _plain_settings():
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        _fill(figure, drawing)
        target = io.BytesIO()
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return target.getvalue()


def _fill(figure: Any, drawing: _Drawing) -> None:
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    drawing.draw(axes)
    axes.set_xlabel("round")
    # Of two rounds matplotlib would also mark the one and a half.
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(visible=True, alpha=0.3)


@contextmanager
def _plain_settings() -> Iterator[None]:
    """Use matplotlib's default settings; names are text, not math."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        # Of a letter that the font lacks, say: the run's log is no place for that.
        warnings.simplefilter("ignore")
        mpl.rcdefaults()
        # The salt makes ids that are random else: one run's page is the same however often made.
        mpl.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "flame-flwr"})
        mpl.rcParams["text.parse_math"] = False
        yield


def _thinned(points: list[tuple[int, float]]) -> Iterable[tuple[int, float]]:
    # From the end, so that the line ends where the run did.
    return points[:: -max(1, len(points) // _MOST_POINTS)][::-1]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _listed(nodes: list[str]) -> str:
    more = len(nodes) - _MOST_NAMED
    named = ", ".join(map(_short, nodes[:_MOST_NAMED]))
    return f"{named} and {more} more nodes" if more > 0 else named


def _short(text: str) -> str:
    return cut_off(shown_text(text), _LONGEST)
