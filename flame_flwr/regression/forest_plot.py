"""The picture of a regression's coefficients, with their confidence intervals."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.regression.sites import intercepts
from flame_flwr.regression.svg_picture import SvgPicture

if TYPE_CHECKING:
    from flame_flwr.regression.result import RegressionResult

__all__ = ["draw", "set_ratio_axis"]


def draw(result: RegressionResult) -> SvgPicture:
    """Return the picture as SVG; ratios on a logarithmic axis, and no intercept."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    frame = result.to_frame()
    left_out = {result.columns[place] for place in intercepts(result.columns)}
    shown = [name for name in result.columns if name not in left_out] or list(result.columns)
    names = ["coefficient", "lower 95 %", "upper 95 %"]
    if result.ratio is not None:
        names = [result.ratio, f"{result.ratio}, lower", f"{result.ratio}, upper"]
    middle, low, high = (frame.loc[shown, name].to_numpy() for name in names)
    places = np.arange(len(shown))[::-1]
    # with a salt ids are no random ones; with no font type text stays text, to be read and searched
    with matplotlib.rc_context({"svg.hashsalt": "flame-flwr", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 1.2 + 0.35 * len(shown)), layout="constrained")
        FigureCanvasSVG(figure)  # of its own: pyplot would keep the figure, and may want a screen
        axes = figure.subplots()
        axes.hlines(places, low, high, color="#1f4e79")
        axes.plot(middle, places, "s", color="#1f4e79")
        axes.axvline(1 if result.ratio else 0, color="#888888", linewidth=0.8)
        axes.set_yticks(places, [name.replace("$", r"\$") for name in shown])  # else a formula
        if result.ratio is not None:
            set_ratio_axis(axes)
        axes.set_xlabel(f"{names[0]}, with 95 % confidence interval")
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return SvgPicture(file.getvalue())


def set_ratio_axis(axes: Any) -> None:
    """Have a logarithmic axis of what is drawn, with numbers that are read as they are."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    # within less than a decade there may be one of 1, 2 and 5 only
    near = high < 4 * low
    axes.xaxis.set_major_locator(MaxNLocator(6) if near else LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")  # 0.5 and 2, not powers of ten
    axes.xaxis.set_minor_formatter(NullFormatter())
