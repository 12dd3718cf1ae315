"""Pages whose snippets go on from one another: each runs, and prints what the page says."""

import importlib.util
from pathlib import Path

import pytest
from snippets import printed_by, with_output

DOCS = Path(__file__).parents[2] / "docs"
NUMBERS = {"sklearn": 4, "strategies": 8, "torch": 6, "images": 4}
NEED_PYTORCH = {"torch", "images"}


@pytest.mark.parametrize("page", NUMBERS)
def test_snippets_print_what_the_page_says(page):
    if page in NEED_PYTORCH and not importlib.util.find_spec("torch"):
        pytest.skip("PyTorch is not installed")
    snippets = with_output(DOCS / f"{page}.md")
    assert len(snippets) == NUMBERS[page]
    space = {"__name__": f"{page}_page"}
    for number, (source, expected) in enumerate(snippets, 1):
        assert printed_by(source, space, f"{page}.md, snippet {number}") == expected
    if page == "images":
        assert 0.85 < space["right"] < 1
