"""The three plots, drawn by the aggregator from counts that passed the disclosure rule.

matplotlib is imported inside the functions: hospitals never need it. Figures are built from
objects, without pyplot's global state, and the same counts give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from halta.describe import AGE_GROUPS, AGED, LABEL_GROUPS, SEX_GROUPS, Merged
from halta.disclosure import SMALLEST, ProtectedTable, count_text, protect, share_texts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_age", "draw_label", "draw_sex"]

# Paul Tol's "bright" and "light" schemes: told apart also by colour-blind readers and in grey.
_SITE_COLORS = (
    *("#4477AA", "#EE8866", "#44BB99", "#EEDD88", "#AA4499"),
    *("#77AADD", "#BBCC33", "#882255", "#99DDFF", "#AAAA00"),
)
_SEX_COLORS = ("#AA4499", "#4477AA", "#44BB99", "#BBBBBB")
_LABEL_COLORS = ("#CC6677", "#88CCAA", "#BBBBBB")
_INK, _QUIET, _GRID = "#222222", "#666666", "#E3E3E3"
_HATCH = "/////"
_LOWEST = 0.02
"""How high the bar of a hidden number is at least, as a part of the highest one: to be seen."""


def draw_age(merged: Merged) -> bytes:
    """Draw patients per 5-year age group, hospitals stacked; return the PNG file."""
    protected = protect(merged.age)
    used = np.flatnonzero(merged.age[:AGED].any(axis=1))
    first, last = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, AGED)
    figure, axes = _figure("Age of the patients", merged, width=10.5)
    places = np.arange(first, last)
    bottom = np.zeros(last - first)
    drawn = _heights(protected, float(protected.heights.sum(axis=1)[first:last].max(initial=0)))
    legend = []
    for site, name in enumerate(merged.sites):
        color = _SITE_COLORS[site % len(_SITE_COLORS)]
        heights = drawn[first:last, site]
        bars = axes.bar(
            places,
            heights,
            0.86,
            bottom=bottom,
            color=color,
            edgecolor="white",
            linewidth=0.6,
        )
        legend.append((color, f"{name} ({count_text(int(merged.rows[site]))} patients)"))
        _hatch(bars.patches, protected.hidden[first:last, site])
        bottom += heights
    for place, top in zip(places, bottom, strict=True):
        _value(axes, float(place), float(top), protected.text[place][-1])
    axes.set_xticks(places, [AGE_GROUPS[k].replace(" or older", "+") for k in places])
    axes.tick_params(axis="x", labelrotation=45 if last - first > 12 else 0)
    axes.set_xlabel("age in years", color=_INK)
    axes.set_ylabel("patients", color=_INK)
    _legend(axes, legend, bool(protected.hidden[first:last, :-1].any()))
    outside = [
        f"{protected.text[k][-1]} {AGE_GROUPS[k]}"
        for k in range(AGED, len(AGE_GROUPS))
        if merged.age[k].any()
    ]
    _footnote(figure, protected, f"Not drawn: {', '.join(outside)}." if outside else "")
    return _png(figure)


def draw_sex(merged: Merged) -> bytes:
    """Draw patients by sex, side by side for each hospital; return the PNG file."""
    notes = [""] * len(merged.sites)
    return _grouped("Sex of the patients", merged, merged.sex, SEX_GROUPS, _SEX_COLORS, notes)


def draw_label(merged: Merged) -> bytes:
    """Draw patients with and without Long COVID for each hospital; return the PNG file."""
    shares = share_texts(merged.label)[:-1]
    notes = ["" if share == "-" else f"\n{share} Long COVID" for share in shares]
    title = "Patients with and without Long COVID"
    return _grouped(title, merged, merged.label, LABEL_GROUPS, _LABEL_COLORS, notes)


def _grouped(
    title: str,
    merged: Merged,
    counts: npt.NDArray[np.int64],
    groups: Sequence[str],
    colors: Sequence[str],
    notes: Sequence[str],
) -> bytes:
    """Draw one group of bars per hospital; ``notes`` go below the hospitals' names."""
    protected = protect(counts)
    used = [k for k in range(len(groups)) if counts[k].any()]
    n_sites = len(merged.sites)
    figure, axes = _figure(title, merged, width=min(max(8.5, 1.6 * n_sites), 24))
    width = 0.8 / len(used)
    heights = _heights(protected, float(protected.heights.max(initial=0)))
    for slot, k in enumerate(used):
        places = np.arange(n_sites) + (slot - (len(used) - 1) / 2) * width
        bars = axes.bar(
            places,
            heights[k],
            width * 0.94,
            color=colors[k],
        )
        _hatch(bars.patches, protected.hidden[k, :-1])
        for site, place in enumerate(places):
            _value(axes, float(place), float(heights[k, site]), protected.text[k][site])
    axes.set_xticks(
        np.arange(n_sites),
        [
            f"{name}\n{count_text(int(rows))} patients{note}"
            for name, rows, note in zip(merged.sites, merged.rows, notes, strict=True)
        ],
    )
    if merged.hospitals is None:
        axes.set_xlabel("hospital", color=_INK)
    axes.set_ylabel("patients", color=_INK)
    legend = [(colors[k], f"{groups[k]} ({protected.text[k][-1]})") for k in used]
    _legend(axes, legend, bool(protected.hidden[:, :-1].any()))
    _footnote(figure, protected, "")
    return _png(figure)


def _figure(title: str, merged: Merged, width: float) -> tuple[Figure, Axes]:
    """Open a figure in the study's style; the caller fills its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 5.6), dpi=150, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_QUIET)
    axes.tick_params(colors=_INK, length=0, labelsize=9.5)
    axes.grid(axis="y", color=_GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.margins(y=0.1)
    axes.set_title(f"{title}\n", loc="left", fontsize=14, fontweight="bold", color=_INK)
    axes.text(0, 1.03, merged.total, transform=axes.transAxes, fontsize=10.5, color=_QUIET)
    return figure, axes


def _heights(protected: ProtectedTable, highest: float) -> npt.NDArray[np.float64]:
    """Return how high bars are drawn: to scale, but for hidden numbers, which have to be seen."""
    hidden = protected.hidden[:, :-1]
    seen = np.maximum(protected.heights, _LOWEST * highest)
    return np.where(hidden, seen, protected.heights)


def _hatch(bars: Sequence[object], hidden: npt.NDArray[np.bool_]) -> None:
    """Turn the bars of hidden numbers from filled to hatched, in their own colour."""
    from matplotlib.patches import Rectangle

    for bar, is_hidden in zip(bars, hidden, strict=True):
        assert isinstance(bar, Rectangle)
        if is_hidden:
            bar.set_hatch(_HATCH)
            bar.set_edgecolor(bar.get_facecolor())
            bar.set_facecolor("white")
            bar.set_linewidth(0.4)


def _value(axes: Axes, place: float, height: float, text: str) -> None:
    if text != "0":
        axes.annotate(
            text,
            (place, height),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
            color=_QUIET,
        )


def _legend(axes: Axes, entries: Sequence[tuple[str, str]], with_hidden: bool) -> None:
    """Put colours and names beside the axes; a bar cannot stand for itself, it may be hatched."""
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=color, label=name) for color, name in entries]
    if with_hidden:
        small = f"fewer than {SMALLEST} patients"
        handles.append(
            Patch(facecolor="white", edgecolor=_QUIET, hatch=_HATCH, linewidth=0.4, label=small)
        )
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize=9.5,
        labelcolor=_INK,
    )


def _footnote(figure: Figure, protected: ProtectedTable, before: str) -> None:
    notes = [before] if before else []
    if protected.hidden.any():
        notes.append(f"Hatched bars stand for 1 to {SMALLEST - 1} patients and are not to scale.")
    if protected.rounded.any():
        notes.append("Numbers marked ~ are rounded to tens to protect small groups.")
    if notes:
        figure.supxlabel("  ".join(notes), x=0.01, ha="left", fontsize=8.5, color=_QUIET)


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
