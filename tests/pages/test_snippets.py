"""Pages whose snippets go on from one another: each runs, and prints what the page says."""

import importlib.util
from pathlib import Path

import pytest
from snippets import printed_by, with_output

from flame_flwr.analysis import splits

DOCS = Path(__file__).parents[2] / "docs"
NUMBERS = {"sklearn": 4, "strategies": 8, "torch": 6, "images": 4}
NEED_PYTORCH = {"torch", "images"}


@pytest.mark.parametrize("page", NUMBERS)
def test_snippets_print_what_the_page_says(page, caplog, monkeypatch):
    monkeypatch.setattr(splits, "_WARNED_OF", set())
    if page in NEED_PYTORCH and not importlib.util.find_spec("torch"):
        pytest.skip("PyTorch is not installed")
    snippets = with_output(DOCS / f"{page}.md")
    assert len(snippets) == NUMBERS[page]
    space = {"__name__": f"{page}_page"}
    for number, (source, expected) in enumerate(snippets, 1):
        assert printed_by(source, space, f"{page}.md, snippet {number}") == expected
    shapes = [text for text in caplog.messages if text.startswith("data_splits[")]
    assert page == "strategies" or shapes == []  # there a number stands for a hospital
    if page == "images":
        assert 0.85 < space["right"] < 1
