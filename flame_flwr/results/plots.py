"""The plots of a report, as SVG: by matplotlib, with text as paths, untouched by user code.

A plot that cannot be drawn is left out, with a note; the others are there.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flame_flwr.metrics import mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Plot", "convergence_plot", "metric_plots"]

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
        Of what.
    svg : bytes or None
        The drawing.
    note : str
        What it does not show.
    """

    name: str
    svg: bytes | None
    note: str = ""


def convergence_plot(history: list[dict[str, Any]]) -> Plot | None:
    """Return the aggregate's change per round; ``None`` where there is no line to draw."""
    points = [(entry["round"], entry["change"]) for entry in history]
    found = [value for _, value in points if _finite(value)]
    if not found:
        return None

    def draw(axes: Any) -> None:
        _line(axes, points, color="#1b5e8c")
        if min(found) > 0 and max(found) > 50 * min(found):
            axes.set_yscale("log")
        axes.set_ylabel("change of the aggregate")

    return _plot("The aggregate's change", found, draw)


def metric_plots(history: list[dict[str, Any]], nodes: list[str]) -> list[Plot]:
    """Return a plot per metric: a line per node, or mean and range where there are many nodes.

    A round without a value is a gap. There are at most eight plots.
    """
    if len(history) < 2:
        return []
    names = dict.fromkeys(
        name for entry in history for found in entry["node_metrics"].values() for name in found
    )
    return [_metric_plot(history, nodes, name) for name in list(names)[:_MOST_PLOTS]]


def _metric_plot(history: list[dict[str, Any]], nodes: list[str], name: str) -> Plot:
    every = {
        node: [(entry["round"], entry["node_metrics"].get(node, {}).get(name)) for entry in history]
        for node in nodes
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
    if not lines:
        return Plot(name, None, f"{_short(name)} is not plotted: no finite number was reported.")
    return _plot(name, found, _lines(lines, name), note)


def _plot(name: str, values: list[float], draw: Callable[[Any], None], note: str = "") -> Plot:
    """Draw, or say why there is no drawing."""
    if max(map(abs, values)) > _LARGEST:
        return Plot(name, None, f"{_short(name)} is not plotted: its numbers are too large.")
    try:
        return Plot(name, _svg(draw), note)
    except Exception as error:
        return Plot(name, None, f"{_short(name)} is not plotted ({type(error).__name__}).")


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


def _svg(draw: Callable[[Any], None]) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "flame-flwr"})
        mpl.rcParams["text.parse_math"] = False
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.set_xlabel("round")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True, alpha=0.3)
        target = io.BytesIO()
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return target.getvalue()


def _thinned(points: list[tuple[int, float]]) -> Iterable[tuple[int, float]]:
    return points[:: max(1, len(points) // _MOST_POINTS)]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _listed(nodes: list[str]) -> str:
    more = len(nodes) - _MOST_NAMED
    named = ", ".join(map(_short, nodes[:_MOST_NAMED]))
    return f"{named} and {more} more nodes" if more > 0 else named


def _short(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
