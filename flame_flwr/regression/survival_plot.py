"""The picture of survival curves: bands, marks of the censored, and the numbers at risk."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.regression.group_statistics import WITHHELD

if TYPE_CHECKING:
    from flame_flwr.regression.survival_result import SurvivalResult
    from flame_flwr.statistics import KaplanMeier

__all__ = ["draw"]

_COLOURS = ("#1f4e79", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Told apart by the colour-blind, too: after Okabe and Ito."""
_DASHES = ("-", "--", "-.", ":")


def draw(result: SurvivalResult, format: str, dpi: int = 300) -> bytes:
    """Return the picture as a file, 18 cm wide as a page's two columns are.

    Parameters
    ----------
    result : SurvivalResult
        What is drawn.
    format : {'svg', 'png'}
        Of the file.
    dpi : int
        Dots per inch of a PNG.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    groups = len(result.curves)
    settings: Any = {"svg.hashsalt": "flame-flwr", "svg.fonttype": "none", "font.size": 9}
    with matplotlib.rc_context(settings):
        beneath = 0.35 + 0.2 * groups  # inches
        figure = Figure(figsize=(7.1, 4.1 + beneath), layout="constrained")
        # a canvas of its own: pyplot would keep the figure, and may want a screen
        (FigureCanvasSVG if format == "svg" else FigureCanvasAgg)(figure)
        above, below = figure.subplots(2, sharex=True, height_ratios=[4.1, beneath])
        _draw_curves(above, result)
        _draw_numbers(below, result)
        file = io.BytesIO()
        dates: Any = {"Date": None} if format == "svg" else {}
        figure.savefig(file, format=format, dpi=dpi, metadata=dates)
    return file.getvalue()


def _draw_curves(axes: Any, result: SurvivalResult) -> None:
    for place, (group, curve) in enumerate(result.curves.items()):
        if curve.size:
            style = {"color": _COLOURS[place % len(_COLOURS)]}
            style["linestyle"] = _DASHES[place % len(_DASHES)]
            _draw_curve(axes, curve, style, _as_text(group))
    axes.set_ylim(0, 1.03)
    axes.set_ylabel("survival")
    axes.tick_params(labelbottom=True)
    axes.set_xlabel(_as_text(result.durations))
    if len(axes.lines) > 2:  # a curve and its marks, of more than one group
        axes.legend(frameon=False, loc="best", title=_as_text(result.by or ""))
    axes.set_title(result.test_line(), loc="right", fontsize=9)  # where no curve can be
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_curve(axes: Any, curve: KaplanMeier, style: dict[str, str], label: str) -> None:
    """Draw one curve, as far as somebody is observed."""
    risk = np.array(curve.at_risk())
    times = np.array(curve.times)[risk > 0]  # nobody at risk comes back: these are the first ones
    low, high = (
        np.array([1.0, *limits[: len(times)]], dtype=np.float64) for limits in curve.conf_int()
    )
    # from 1 at time 0, which the grid need not have
    survival = np.array([1.0, *curve.result()["survival"][: len(times)]])
    drawn = np.array([0.0, *times])
    axes.step(drawn, survival, where="post", linewidth=1.4, label=label, **style)
    axes.fill_between(drawn, low, high, step="post", color=style["color"], alpha=0.15, linewidth=0)
    lost = np.flatnonzero(curve.censored[: len(times)])
    axes.plot(times[lost], survival[lost + 1], "|", color=style["color"], markersize=5)


def _draw_numbers(axes: Any, result: SurvivalResult) -> None:
    table = result.at_risk()
    for place, (_, row) in enumerate(table.iterrows()):
        for time, number in zip(result.at_times, row, strict=True):
            text = WITHHELD if number != number else f"{number:.0f}"
            axes.text(time, place, text, ha="center", va="center", clip_on=False)
    axes.set_yticks(range(len(table)), [_as_text(group) for group in table.index])
    for place, label in enumerate(axes.get_yticklabels()):
        label.set_color(_COLOURS[place % len(_COLOURS)])
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_title("Number at risk", loc="left", fontsize=9)
    axes.set_xticks(result.at_times)
    axes.tick_params(length=0, labelbottom=False)
    for side in axes.spines.values():
        side.set_visible(False)


def _as_text(name: str) -> str:
    """Return a name without what matplotlib takes for formulas."""
    return name.replace("$", r"\$")
