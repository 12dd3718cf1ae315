"""The picture of a meta-analysis: for each coefficient the hospitals', and what they come to."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.regression.forest_plot import set_ratio_axis
from flame_flwr.regression.sites import INTERCEPT
from flame_flwr.regression.svg_picture import SvgPicture

if TYPE_CHECKING:
    from flame_flwr.regression.meta_analysis_result import MetaAnalysisResult

__all__ = ["draw"]

_COLOUR, _BENEATH = "#1f4e79", {"fixed": "#888888", "random": "#d55e00"}
_REACH = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


def draw(result: MetaAnalysisResult) -> SvgPicture:
    """Return the picture as SVG: a panel for each coefficient but the intercept.

    A square's area is a hospital's weight with one effect at all; a diamond is a combined effect.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    columns = [name for name in result.fits.columns if name != INTERCEPT] or result.fits.columns
    sites = [fit.site for fit in result.fits.fits]
    settings: Any = {"svg.hashsalt": "flame-flwr", "svg.fonttype": "none", "font.size": 9}
    with matplotlib.rc_context(settings):
        height = 0.9 + 0.2 * (len(sites) + 2)  # inches
        figure = Figure(figsize=(7.1, height * len(columns)), layout="constrained")
        FigureCanvasSVG(figure)
        for axes, column in zip(figure.subplots(len(columns), squeeze=False), columns, strict=True):
            _draw_panel(axes[0], result, column, sites)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return SvgPicture(file.getvalue())


def _draw_panel(axes: Any, result: MetaAnalysisResult, column: str, sites: list[str]) -> None:
    moved = np.exp if result.ratio else np.asarray
    table = result.sites().query("column == @column").set_index("site")
    errors = table["standard error"]
    share = errors.min() / errors  # a side of the square, its area by the weight
    for place, site in enumerate(sites):
        if site not in table.index:
            continue
        middle, reach = table["coefficient"][site], _REACH * errors[site]
        axes.hlines(place, *moved([middle - reach, middle + reach]), color=_COLOUR, linewidth=1)
        axes.plot(moved(middle), place, "s", color=_COLOUR, markersize=2 + 6 * share[site])
    for place, (effect, colour) in enumerate(_BENEATH.items(), len(sites)):
        found = result.to_frame(effect).loc[column]
        low, middle, high = moved(found[["lower 95 %", "coefficient", "upper 95 %"]].astype(float))
        # a diamond from end to end, widest at the estimate
        axes.fill([low, middle, high, middle], [place, place - 0.3, place, place + 0.3], colour)
    axes.axvline(1 if result.ratio else 0, color="#888888", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(sites) + 2), [*sites, "fixed", "random"])
    axes.set_ylim(len(sites) + 1.6, -0.6)
    if result.ratio:
        set_ratio_axis(axes)
    axes.set_xlabel(result.ratio or "coefficient")
    axes.set_title(column.replace("$", r"\$"), loc="left", fontsize=9)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
