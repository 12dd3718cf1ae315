"""The three pictures, drawn on the server from scores.

matplotlib is imported inside the functions: hospitals never need it. Figures are built from
objects, without pyplot's global state, and the same scores give the same bytes.
"""

from __future__ import annotations

import math
from io import BytesIO
from typing import TYPE_CHECKING, Any

from cross_site.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_comparison", "draw_rounds", "draw_sites"]

# Paul Tol's "bright" scheme: told apart also by colour-blind readers.
_COLORS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB")
_MARKERS = "osD^vPX"
_INK, _QUIET, _GRID = "#222222", "#666666", "#E3E3E3"
_TITLES = {"accuracy": "Accuracy", "auc": "AUC"}


def draw_rounds(study: Study) -> bytes:
    """Draw accuracy and AUC of the common model per round and hospital; return the PNG file."""
    first = study.settings[0]
    figure, panels = _figure(f"The common model at every hospital ({first.text})", 2)
    for axes, (what, title) in zip(panels, _TITLES.items(), strict=True):
        _style(axes, title)
        for k, site in enumerate(study.sites):
            values = [study.after(common, first.key, what)[k] for common in study.common]
            name = f"{site} ({study.n_test[site]} test rows)"
            _line(axes, k, values, name)
    _legend(figure, panels[-1])
    return _png(figure)


def draw_comparison(study: Study) -> bytes:
    """Draw accuracy, AUC and loss of every setting per round, mean of the hospitals.

    Where one of them did not score, there is a gap: a mean of the others would be another number.
    """
    figure, panels = _figure("What returning less, and other weights, cost: means of hospitals", 3)
    for axes, (what, title) in zip(panels, {**_TITLES, "loss": "Log loss"}.items(), strict=True):
        _style(axes, title)
        for k, each in enumerate(study.settings):
            scores = [study.after(common, each.key, what) for common in study.common]
            _line(axes, k, [sum(values) / len(values) for values in scores], each.text)
    _legend(figure, panels[-1])
    return _png(figure)


def draw_sites(study: Study) -> bytes:
    """Draw the cross-site matrix as two heat maps: models in rows, hospitals in columns."""
    own = [(kind, name) for kind, name in study.matrix if kind == "own"]
    rows = [*own, ("common", study.settings[0].key)]
    names = [f"{name} alone" for _, name in own] + ["common model"]
    height = 2.2 + 0.5 * len(rows)
    figure, panels = _figure("Every model on every hospital's test rows", 2, height)
    columns = [*study.sites, "mean"]
    for axes, (what, title) in zip(panels, _TITLES.items(), strict=True):
        _heat(axes, [study.row(row, what) for row in rows], title)
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), names if axes is panels[0] else [""] * len(rows))
        axes.axhline(len(own) - 0.5, color="white", linewidth=4)
        axes.axvline(len(study.sites) - 0.5, color="white", linewidth=4)
        axes.set_xlabel("tested at", color=_INK)
    panels[0].set_ylabel("trained at", color=_INK)
    return _png(figure)


def _heat(axes: Axes, values: list[list[float]], title: str) -> None:
    everything = [value for row in values for value in row if math.isfinite(value)]
    low, high = min(everything), max(everything)
    axes.imshow(values, cmap="YlGnBu", aspect="auto", vmin=low, vmax=high)
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            if math.isnan(value):
                continue
            dark = value > low + 0.6 * (high - low)
            color = "white" if dark else _INK
            axes.text(j, i, f"{value:.3f}", ha="center", va="center", fontsize=9.5, color=color)
    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=_INK, length=0, labelsize=9)


def _line(axes: Axes, k: int, values: list[float], name: str) -> None:
    axes.plot(
        range(1, len(values) + 1),
        values,
        color=_COLORS[k % len(_COLORS)],
        marker=_MARKERS[k % len(_MARKERS)],
        markersize=4,
        linewidth=1.5,
        label=name,
    )


def _legend(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=len(names),
        frameon=False,
        fontsize=9.5,
        labelcolor=_INK,
    )


def _figure(title: str, panels: int, height: float = 3.9) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(4.7 * panels, height), dpi=100, facecolor="white", layout="constrained"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color=_INK)
    return figure, figure.subplots(1, panels)


def _style(axes: Axes, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_QUIET)
    axes.tick_params(colors=_INK, length=0, labelsize=9)
    axes.grid(axis="y", color=_GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.set_xlabel("round of training", color=_INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
