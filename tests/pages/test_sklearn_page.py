"""The page on scikit-learn: its tables name what there is."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "sklearn.md"
if not PAGE.exists():
    pytest.skip("only in a checkout", allow_module_level=True)
TEXT = PAGE.read_text()


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
