"""Pictures and tables of many hospitals, and of long names: nothing is cut off or runs together."""

import itertools
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread

from cross_site import files as written
from cross_site import plots
from cross_site.settings import COMPARISON
from cross_site.study import METRICS, Study

pytestmark = pytest.mark.exhaustive

PICTURES = Path(__file__).parents[1] / "pictures"
LONG = [f"klinikum-rechts-der-isar-muenchen-{k}" for k in range(10)]
SHORT = [f"node-{k}" for k in range(12)]
DRAWINGS = [plots.draw_rounds, plots.draw_sites, plots.draw_comparison]


def study_of(names):
    """Return a study of three rounds with made-up scores."""
    study = Study(COMPARISON)
    scores = dict.fromkeys(METRICS, 0.9)
    by_setting = {each.key: scores for each in COMPARISON}
    for k in range(3):
        received = by_setting if k else {}
        study.add({}, dict.fromkeys(names, scores), dict.fromkeys(names, received))
    models = [*(f"own/{name}" for name in names), *(f"common/{each.key}" for each in COMPARISON)]
    final = {f"{model}/{what}": 0.5 + k / 99 for k, model in enumerate(models) for what in METRICS}
    study.end({"scaling": {}}, {name: {"n_test": 19, **final} for name in names}, None)
    return study


@pytest.fixture
def drawn(monkeypatch):
    """Return a function that lays a picture out; it returns the figure and its renderer."""

    def draw(drawing, names):
        with monkeypatch.context() as patch:
            patch.setattr(plots, "_png", lambda figure: figure)
            figure = drawing(study_of(names))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return figure, canvas.get_renderer()

    return draw


@pytest.mark.parametrize(
    "names",
    [
        LONG,
        SHORT[:5],
        [*LONG, *SHORT],
    ],
)
@pytest.mark.parametrize("drawing", DRAWINGS)
def test_legends_and_labels_are_within_the_picture(drawn, drawing, names):
    figure, renderer = drawn(drawing, names)
    panels = [axes.get_tightbbox(renderer) for axes in figure.axes]  # with all their labels
    legends = [legend.get_window_extent(renderer) for legend in figure.legends]
    for box in (*panels, *legends):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height
    assert not any(a.overlaps(b) for a, b in itertools.combinations([*panels, *legends], 2))


@pytest.mark.parametrize("names", [LONG, SHORT, ["hospital", "a", "b"]])
def test_labels_of_a_heat_map_stay_apart(drawn, names):
    figure, renderer = drawn(plots.draw_sites, names)
    assert figure.axes
    for axes in figure.axes:
        labels = axes.get_xticklabels()
        boxes = [each.get_window_extent(renderer) for each in labels]
        if labels[0].get_rotation():  # slanted: lines of text side by side
            height = labels[0].get_fontsize() / 72 * figure.dpi
            gaps = [b.x1 - a.x1 for a, b in itertools.pairwise(boxes)]
            assert min(gaps) * 0.5**0.5 > height
        else:
            assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))
        cells = [each.get_window_extent(renderer) for each in axes.texts[: len(labels)]]
        assert all(a.x1 < b.x0 for a, b in itertools.pairwise(cells))


def test_names_are_shortened_where_they_stay_different(drawn):
    figure, _ = drawn(plots.draw_sites, LONG)
    shown = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert shown[3] == "klinikum-re…enchen-3"
    alike = [f"klinikum-{k}-rechts-der-isar-muenchen" for k in ("mitte-nord", "mitte-west")]
    figure, _ = drawn(plots.draw_sites, alike)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [*alike, "mean"]


def test_each_hospital_has_its_colour_and_marker(drawn):
    figure, _ = drawn(plots.draw_rounds, [f"h{k}" for k in range(49)])
    looks = {(line.get_color(), line.get_marker()) for line in figure.axes[0].lines}
    assert len(looks) == 49


@pytest.mark.parametrize("names", [["bklinikum-a", "bklinikum-b"], LONG])
def test_columns_of_the_summary_stay_apart(names):
    lines = written.summary(study_of(names)).splitlines()
    heads = [line for line in lines if line.startswith(("round ", "model "))]
    assert [[word for word in head.split() if word in names] for head in heads] == [names] * 3
    for head in heads:
        at = lines.index(head)
        assert len(lines[at + 1]) == len(head)
        ends = [head.index(name) + len(name) for name in names if head.startswith("model")]
        assert all(lines[at + 1][end - 1].isdigit() for end in ends)


def test_two_equal_lines_are_both_seen(drawn):
    figure, _ = drawn(plots.draw_comparison, SHORT[:4])
    by_score, equal = figure.axes[0].lines[3:]
    assert by_score.get_markerfacecolor() == "none"
    assert by_score.get_markersize() > 2 * equal.get_markersize()
    assert equal.get_linestyle() == "--"


@pytest.mark.parametrize("name", ["rounds", "sites", "comparison"])
def test_the_readme_shows_the_pictures_of_the_study(files, name):
    """One version of matplotlib gives the same bytes; others may draw edges a little otherwise."""
    shown, made = imread(PICTURES / f"{name}.png"), imread(BytesIO(files[f"{name}.png"]))
    assert shown.shape == made.shape
    assert (np.abs(shown - made).max(axis=2) > 0.2).mean() < 0.002
