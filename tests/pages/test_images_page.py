"""docs/images.md: its cells run, one after the other, and print what it says."""

from pathlib import Path

import pytest
from snippets import printed_by, with_output

pytest.importorskip("torch")
PAGE = Path(__file__).parents[2] / "docs" / "images.md"


def test_its_cells_print_what_it_says():
    space = {"__name__": "images_page"}
    for source, expected in with_output(PAGE):
        assert printed_by(source, space, PAGE.name) == expected
    assert 0.85 < space["right"] < 1
