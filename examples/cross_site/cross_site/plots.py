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
_SLANTED: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
_LONGEST = 20  # characters of a hospital's name
_CELL = 0.6  # inches that a number in a heat map needs
_UPRIGHT = 8  # characters that fit into such a cell
# Weights by score are nearly equal weights: one line lies on the other, and both are to be seen.
_LOOKS: dict[str, dict[str, Any]] = {
    "score": {"markersize": 9, "markerfacecolor": "none"},
    "equal": {"linestyle": (0, (3, 3))},
}


def draw_rounds(study: Study) -> bytes:
    """Draw accuracy and AUC of the common model per round and hospital; return the PNG file."""
    first = study.settings[0]
    figure, panels = _figure(f"The common model at every hospital ({first.text})", 2)
    for axes, (what, title) in zip(panels, _TITLES.items(), strict=True):
        _style(axes, title)
        for k, (site, short) in enumerate(zip(study.sites, _short(study.sites), strict=True)):
            values = [study.after(common, first.key, what)[k] for common in study.common]
            rows = f"{study.n_test[site]} test rows" if site in study.n_test else "no final scores"
            _line(axes, k, values, f"{short} ({rows})")
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
            means = [sum(values) / len(values) for values in scores]
            _line(axes, k, means, each.text, **_LOOKS.get(each.weight, {}))
    _legend(figure, panels[-1])
    return _png(figure)


def draw_sites(study: Study) -> bytes:
    """Draw the cross-site matrix as two heat maps: models in rows, hospitals in columns."""
    own = [(kind, name) for kind, name in study.matrix if kind == "own"]
    rows = [*own, ("common", study.settings[0].key)]
    short = _short(study.sites)
    names = [f"{name} alone" for name in short] + ["common model"]
    columns = [*short, "mean"]
    slanted = max(map(len, columns)) > _UPRIGHT
    height = 2.2 + 0.5 * len(rows) + 0.8 * slanted
    width = _CELL * len(columns) + 1.6
    figure, panels = _figure("Every model on every hospital's test rows", 2, height, width)
    for axes, (what, title) in zip(panels, _TITLES.items(), strict=True):
        _heat(axes, [study.row(row, what) for row in rows], title)
        axes.set_xticks(range(len(columns)), columns, **(_SLANTED if slanted else {}))
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


def _line(axes: Axes, k: int, values: list[float], name: str, **look: Any) -> None:
    color, marker = _color_and_marker(k)
    given = {"markersize": 4, "linewidth": 1.5, **look}
    axes.plot(range(1, len(values) + 1), values, color=color, marker=marker, label=name, **given)


def _color_and_marker(k: int) -> tuple[str, str]:
    """Return what tells line `k` from 48 others: from the eighth on, markers are moved by one."""
    again, number = divmod(k, len(_COLORS))
    return _COLORS[number], _MARKERS[(number + again) % len(_MARKERS)]


def _short(names: list[str]) -> list[str]:
    """Return names with their middle left out where they are long, if that tells them apart."""
    cut = [name if len(name) <= _LONGEST else f"{name[:11]}…{name[-8:]}" for name in names]
    return cut if len(set(cut)) == len(set(names)) else names


def _legend(figure: Figure, axes: Axes) -> None:
    """Put the lines' names below, in as many columns as the figure is wide enough for."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)  # measures text as it will be drawn
    handles, names = axes.get_legend_handles_labels()
    for columns in range(len(names), 0, -1):
        legend = figure.legend(
            handles,
            names,
            loc="outside lower center",
            ncols=columns,
            frameon=False,
            fontsize=9.5,
            labelcolor=_INK,
        )
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            break
        legend.remove()
    rows = math.ceil(len(names) / columns)
    figure.set_figheight(figure.get_figheight() + 0.22 * (rows - 1))


def _figure(title: str, panels: int, height: float = 3.9, width: float = 0.0) -> tuple[Figure, Any]:
    """Return a figure and its panels, each at least `width` inches wide."""
    from matplotlib.figure import Figure

    size = (max(4.7, width) * panels, height)
    figure = Figure(figsize=size, dpi=100, facecolor="white", layout="constrained")
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
