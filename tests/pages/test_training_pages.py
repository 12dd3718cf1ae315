"""The pages on scikit-learn and PyTorch: their tables name what there is."""

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
if not (DOCS / "sklearn.md").exists():
    pytest.skip("only in a checkout", allow_module_level=True)


@pytest.mark.parametrize(
    ("name", "analyzer", "count"),
    [("sklearn", "SklearnAnalyzer", 5), ("torch", "TorchAnalyzer", 10)],
)
def test_the_tables_name_what_there_is(name, analyzer, count):
    pytest.importorskip(name)
    made = getattr(importlib.import_module(f"flame_flwr.{name}"), analyzer)
    text = (DOCS / f"{name}.md").read_text()
    settings = dict(re.findall(r"^\| `(\w+)` \| `\"?([\w.]+)\"?` \| .+\|$", text, re.M))
    assert {each: str(getattr(made, each)) for each in settings} == settings
    assert len(settings) == count
    methods = dict(re.findall(r"^\| `(\w+)\([\w, ]*\)` \| (yes|no) \|", text, re.M))
    assert {each for each, must in methods.items() if must == "yes"} == set(
        made.__abstractmethods__
    )
    assert methods.keys() == set(made._framework_calls["analysis_method"])
