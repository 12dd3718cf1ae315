"""The plots of a report, as SVG: by matplotlib, with text as paths, untouched by user code."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["convergence_plot", "metric_plots"]

_MOST_LINES = 8
_MOST_PLOTS = 8
_MOST_POINTS = 2000
_LONGEST = 40


def convergence_plot(history: list[dict[str, Any]]) -> bytes | None:
    """Return the aggregate's change per round; ``None`` where there is no line to draw."""
    points = [(entry["round"], entry["change"]) for entry in history]
    points = [(number, value) for number, value in points if _finite(value)]
    if not points:
        return None

    def draw(axes: Any) -> None:
        numbers, values = zip(*_thinned(points), strict=True)
        axes.plot(numbers, values, marker="o" if len(points) < 60 else "", color="#1b5e8c")
        positive = [value for value in values if value > 0]
        if len(positive) == len(values) and max(values) > 50 * min(values):
            axes.set_yscale("log")
        axes.set_ylabel("change of the aggregate")

    return _svg(draw)


def metric_plots(history: list[dict[str, Any]], nodes: list[str]) -> list[tuple[str, bytes]]:
    """Return a plot per metric: a line per node, or mean and range where there are many nodes."""
    if len(history) < 2:
        return []
    names = dict.fromkeys(
        name for entry in history for found in entry["node_metrics"].values() for name in found
    )
    plots = []
    for name in list(names)[:_MOST_PLOTS]:
        lines = {node: _line(history, node, name) for node in nodes}
        lines = {node: points for node, points in lines.items() if points}
        if lines:
            plots.append((name, _svg(_lines(lines, name))))
    return plots


def _line(history: list[dict[str, Any]], node: str, name: str) -> list[tuple[int, float]]:
    found = [(entry["round"], entry["node_metrics"].get(node, {}).get(name)) for entry in history]
    return [(number, value) for number, value in found if _finite(value)]


def _lines(lines: dict[str, list[tuple[int, float]]], name: str) -> Callable[[Any], None]:
    def draw(axes: Any) -> None:
        if len(lines) <= _MOST_LINES:
            for node, points in lines.items():
                marker = "o" if len(points) < 30 else ""
                axes.plot(*zip(*_thinned(points), strict=True), marker=marker, label=_short(node))
        else:
            by_round: dict[int, list[float]] = {}
            for points in lines.values():
                for number, value in points:
                    by_round.setdefault(number, []).append(value)
            numbers = sorted(by_round)
            values = [by_round[number] for number in numbers]
            means = [math.fsum(found) / len(found) for found in values]
            axes.plot(numbers, means, color="#1b5e8c", label=f"mean of {len(lines)} nodes")
            low, high = [min(found) for found in values], [max(found) for found in values]
            axes.fill_between(numbers, low, high, alpha=0.2, color="#1b5e8c", label="their range")
        axes.set_ylabel(_short(name))
        handles = [*axes.get_lines(), *axes.collections]  # said: names may begin with "_"
        axes.legend(handles, [handle.get_label() for handle in handles], fontsize="small")

    return draw


def _svg(draw: Callable[[Any], None]) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with mpl.rc_context():
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


def _short(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
