"""The page on scikit-learn: its snippets run, and print what it says."""

import re
from pathlib import Path

import pytest
from snippets import printed_by, with_output

PAGE = Path(__file__).parents[2] / "docs" / "sklearn.md"
if not PAGE.exists():
    pytest.skip("only in a checkout", allow_module_level=True)
TEXT = PAGE.read_text()
SNIPPETS = with_output(PAGE)


@pytest.fixture(scope="module")
def space():
    return {"__name__": "sklearn_page"}


def test_every_snippet_says_what_it_prints():
    assert len(SNIPPETS) == TEXT.count("```python") == 3


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_prints_what_the_page_says(space, number):
    source, expected = SNIPPETS[number]
    assert printed_by(source, space, f"{PAGE.name}, snippet {number + 1}") == expected


def test_the_tables_name_what_there_is():
    from flame_flwr.sklearn import SklearnAnalyzer

    settings = dict(re.findall(r"^\| `(\w+)` \| `([\w.]+)` \| .+\|$", TEXT, re.M))
    assert {name: str(getattr(SklearnAnalyzer, name)) for name in settings} == settings
    assert len(settings) == 5
    methods = dict(re.findall(r"^\| `(\w+)\([\w, ]*\)` \| (yes|no) \|", TEXT, re.M))
    assert {name for name, must in methods.items() if must == "yes"} == set(
        SklearnAnalyzer.__abstractmethods__
    )
    assert set(methods) == set(SklearnAnalyzer._framework_calls["analysis_method"])


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", TEXT))))
def test_links_lead_somewhere(target):
    assert (PAGE.parent / target).exists()
