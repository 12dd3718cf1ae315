"""The page on PyTorch: its snippets run, and print what it says."""

import contextlib
import io
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")
PAGE = Path(__file__).parents[2] / "docs" / "torch.md"
if not PAGE.exists():
    pytest.skip("only in a checkout", allow_module_level=True)
TEXT = PAGE.read_text()
SNIPPETS = re.findall(r"```python\n(.+?)```\n\n```text\n(.+?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def space():
    return {"__name__": "torch_page"}


def test_every_snippet_says_what_it_prints():
    assert len(SNIPPETS) == TEXT.count("```python") == 2


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_prints_what_the_page_says(space, number):
    source, expected = SNIPPETS[number]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, f"{PAGE.name}, snippet {number + 1}", "exec"), space)
    assert printed.getvalue() == expected


def test_the_tables_name_what_there_is():
    from flame_flwr.torch import TorchAnalyzer

    settings = dict(re.findall(r"^\| `(\w+)` \| `([\w.]+)` \| .+\|$", TEXT, re.M))
    assert {name: str(getattr(TorchAnalyzer, name)) for name in settings} == settings
    assert len(settings) == 7
    methods = dict(re.findall(r"^\| `(\w+)\([\w, ]*\)` \| (yes|no) \|", TEXT, re.M))
    assert {name for name, must in methods.items() if must == "yes"} == set(
        TorchAnalyzer.__abstractmethods__
    )
    assert all(callable(getattr(TorchAnalyzer, name)) for name in methods)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", TEXT))))
def test_links_lead_somewhere(target):
    assert (PAGE.parent / target).exists()
