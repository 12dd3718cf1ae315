"""The page on strategies: its snippets run, and print what it says."""

import re
from pathlib import Path

import pytest
from snippets import printed_by, with_output

PAGE = Path(__file__).parents[2] / "docs" / "strategies.md"
SNIPPETS = with_output(PAGE)


@pytest.fixture(scope="module")
def space():
    return {"__name__": "strategies_page"}


def test_every_snippet_says_what_it_prints():
    assert len(SNIPPETS) == 7


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_prints_what_the_page_says(space, number):
    source, expected = SNIPPETS[number]
    assert printed_by(source, space, f"{PAGE.name}, snippet {number + 1}") == expected


def test_the_tables_name_what_there_is():
    from flame_flwr import aggregation

    names = set(re.findall(r"`([A-Z][A-Za-z]+)\(", PAGE.read_text()))
    assert names - {"StarModel"} <= set(aggregation.__all__)
