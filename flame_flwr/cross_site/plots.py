"""The two pictures: the heat map of every model at every node, and ROC curves.

matplotlib is imported inside the functions: nodes never need it. Figures are built from objects,
without pyplot's global state, and the same counts give the same bytes.
"""

from __future__ import annotations

import io
import math
import textwrap
from typing import TYPE_CHECKING, Any

from flame_flwr.cross_site.result import ALL, COMMON

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flame_flwr.cross_site.result import CrossSiteResult

__all__ = ["draw_matrix", "draw_roc"]

# Paul Tol's "bright" scheme: told apart also by colour-blind readers.
_COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#777777")
_DASHES = ("-", "--", "-.", ":")
_INK, _QUIET, _GRID = "#222222", "#666666", "#E3E3E3"
_LONGEST = 20  # characters of a node's name
_CELL = 0.62  # inches that a number in a heat map needs
_UPRIGHT = 8  # characters that fit above such a cell
_READABLE = 16  # lines of a legend that fit below a curve
_SLANTED: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}


def draw_matrix(result: CrossSiteResult) -> bytes:
    """Draw AUC and accuracy as heat maps: models in rows, nodes in columns; return the PNG file."""
    columns = [_short(node) for node in result.nodes] + [ALL]
    names = [_short(node) + " alone" for node in result.own] + ["common model"]
    slanted = max(map(len, columns)) > _UPRIGHT
    size = (2 * max(4.2, _CELL * len(columns) + 1.8), 2.0 + 0.42 * len(names) + 0.7 * slanted)
    figure = _figure("Every model on every node's held-out rows", size, result)
    panels = figure.subplots(1, 2)
    for axes, (what, title) in zip(panels, (("auc", "AUC"), ("accuracy", "Accuracy")), strict=True):
        _heat(axes, result, what, title)
        axes.set_xticks(range(len(columns)), columns, **(_SLANTED if slanted else {}))
        first = axes is panels[0]
        axes.set_yticks(range(len(names)), names if first else [""] * len(names))
        axes.axhline(len(names) - 1.5, color="white", linewidth=4)
        axes.axvline(len(columns) - 1.5, color="white", linewidth=4)
        axes.set_xlabel("tested at", color=_INK)
    panels[0].set_ylabel("trained at", color=_INK)
    return _png(figure)


def draw_roc(result: CrossSiteResult) -> bytes:
    """Draw the common model's ROC curve at every node, and every model's over all rows."""
    figure = _figure("ROC curves on held-out rows", (10.4, 5.4), result)
    left, right = figure.subplots(1, 2)
    at_nodes = {_short(node): (COMMON, node) for node in result.nodes}
    _curves(left, result, "The common model, by node", at_nodes)
    everywhere = {_short(model): (model, ALL) for model in result.models}
    _curves(right, result, "Every model, all nodes' rows together", everywhere)
    right.set_ylabel("")
    return _png(figure)


def _curves(
    axes: Axes, result: CrossSiteResult, title: str, lines: dict[str, tuple[str, str]]
) -> None:
    axes.plot([0, 1], [0, 1], color=_QUIET, linewidth=0.8, linestyle=(0, (2, 3)))
    for k, (name, (model, node)) in enumerate(lines.items()):
        auc = result.shown("auc", model, node)
        if auc == "-":
            continue
        _, false, true = result.roc(model, node).T
        bold = model == COMMON and node == ALL
        colour = _INK if bold else _COLOURS[k % len(_COLOURS)]
        style = "-" if bold else _DASHES[k // len(_COLOURS) % len(_DASHES)]
        width = 2.4 if bold else 1.5
        label = f"{name} ({auc})"
        axes.plot(false, true, color=colour, linestyle=style, linewidth=width, label=label)
    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_xlabel("false positive rate", color=_INK)
    axes.set_ylabel("true positive rate", color=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_QUIET)
    axes.tick_params(colors=_INK, length=0, labelsize=9)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        size = 8.5 if len(lines) <= _READABLE else 8.5 * _READABLE / len(lines)
        axes.legend(
            title="AUC in brackets",
            loc="lower right",
            frameon=False,
            fontsize=size,
            title_fontsize=8.5,
            labelcolor=_INK,
        ).set_in_layout(False)  # one that is larger than its plot would squeeze it


def _heat(axes: Axes, result: CrossSiteResult, what: str, title: str) -> None:
    places = [*result.nodes, ALL]
    values = [[result.figures(model, node)[what] for node in places] for model in result.models]
    everything = [value for row in values for value in row if math.isfinite(value)]
    low, high = (min(everything), max(everything)) if everything else (0.0, 1.0)
    axes.imshow(values, cmap="YlGnBu", aspect="auto", vmin=low, vmax=high)
    for i, model in enumerate(result.models):
        for j, node in enumerate(places):
            # black is not to be read on the map's dark end
            dark = values[i][j] > low + 0.6 * (high - low)
            look: Any = {"fontsize": 9.5, "color": "white" if dark else _INK}
            axes.text(j, i, result.shown(what, model, node), ha="center", va="center", **look)
    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=_INK, length=0, labelsize=9)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[:11]}…{name[-8:]}"


def _figure(title: str, size: tuple[float, float], result: CrossSiteResult) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=100, facecolor="white", layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color=_INK)
    if result.moved:
        note = textwrap.fill(result.moved, int(15 * size[0]))
        figure.supxlabel(note, x=0.01, ha="left", fontsize=8.5, color=_INK)
    return figure


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = io.BytesIO()
    FigureCanvasAgg(figure)
    # matplotlib would write its version there
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
