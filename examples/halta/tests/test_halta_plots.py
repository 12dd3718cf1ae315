"""That a number which is hidden has a bar which is seen, however large the hospitals are."""

import numpy as np
import pytest

from halta import plots
from halta.describe import AGE_GROUPS, LABEL_GROUPS, SEX_GROUPS, Merged

LOWEST = 8  # pixels; below it a hatch is a line


@pytest.fixture
def merged():
    """A large hospital beside one with three patients of a kind."""
    tables = []
    for groups in (AGE_GROUPS, SEX_GROUPS, LABEL_GROUPS):
        counts = np.zeros((len(groups), 2), np.int64)
        counts[:3] = [[40_000, 500], [30_000, 400], [600, 3]]
        tables.append(counts)
    rows = tables[0].sum(axis=0)
    return Merged(["a", "b"], rows, np.array([9, 9]), *tables, missing={})


@pytest.mark.parametrize("draw", [plots.draw_age, plots.draw_sex, plots.draw_label])
def test_a_hidden_numbers_bar_is_seen(draw, merged, monkeypatch):
    monkeypatch.setattr(plots, "_png", lambda figure: figure)
    figure = draw(merged)
    figure.draw_without_rendering()
    hatched = [bar for bar in figure.axes[0].patches if bar.get_hatch()]
    assert len(hatched) == 1
    assert hatched[0].get_window_extent().height >= LOWEST
    assert "not to scale" in figure.get_supxlabel()
