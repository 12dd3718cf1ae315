"""Title, question and authors: what the model says, else the app's pyproject.toml."""

import importlib.util
import json
import sys

import pytest

from flame_flwr.errors import ModelError
from flame_flwr.results.heading import Heading
from flame_flwr.star import StarModel

from .small_runs import Average, Fits, full_run

pytestmark = pytest.mark.usefixtures("undrawn")

PROJECT = """
[project]
name = "ages"
description = "A description of the package."
authors = [{name = "A. Weber", email = "a@b.c"}, {email = "only@b.c"}]

[tool.flwr.app]
title = "Ages\\nand more"
"""


def of_app(folder, text):
    """Return an analyzer whose module is in an app's folder."""
    (folder / "pyproject.toml").write_text(text)
    module = folder / "ages" / "analysis.py"
    module.parent.mkdir()
    module.write_text(
        "from flame_flwr.star import StarAnalyzer\n\n"
        "class Ages(StarAnalyzer):\n"
        "    def analysis_method(self, data, aggregator_results):\n"
        "        return data\n"
    )
    spec = importlib.util.spec_from_file_location(f"ages_of_{folder.name}", module)
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made.Ages


def said(folder):
    return json.loads((folder / "run.json").read_text())["heading"]


def test_the_model_says_it(tmp_path):
    given = {"title": "Stay", "description": "How long?", "authors": ["A. Weber", "B. Okafor"]}
    full_run(tmp_path, **given)
    assert said(tmp_path) == given


def test_the_app_says_what_the_model_leaves_open(tmp_path):
    analyzer = of_app(tmp_path, PROJECT)
    full_run(tmp_path / "out", analyzer=analyzer, authors="C. Lind")
    assert said(tmp_path / "out") == {
        "title": "Ages and more",
        "description": "A description of the package.",
        "authors": ["C. Lind"],
    }
    assert Heading().completed(analyzer).authors == ("A. Weber",)


@pytest.mark.parametrize(
    "text",
    [
        "[project]\ndescription = 'of no Flower app'\n",
        "[tool.flwr.app]\ntitle = 3\ndescription = ['x']\nauthors = {name = 4}\n",
        "[tool.flwr]\napp = 7\n",
        "no TOML [",
    ],
)
def test_an_odd_file_says_nothing(tmp_path, text):
    assert Heading().completed(of_app(tmp_path, text)) == Heading()


def test_a_deployed_app_says_its_heading(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    monkeypatch.setattr("flame_flwr.running_app.app_folder", lambda: tmp_path)
    assert Heading(title="Mine").completed(Fits).title == "Mine"
    assert Heading().completed(Fits).title == "Ages and more"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"title": 3}, "title must be a text of at most 300 characters"),
        ({"title": "x" * 301}, "title must be"),
        ({"description": None}, "description must be a text of at most 5000"),
        ({"authors": {"A": 1}}, "authors must be a name or a list"),
        ({"authors": ["A", ""]}, "authors must be"),
        ({"authors": ["A\x1b[2J"]}, "authors must be"),
        ({"authors": ["A"] * 101}, "authors must be"),
    ],
)
def test_what_is_no_heading_is_refused(given, message):
    with pytest.raises(ModelError, match=message):
        StarModel(Fits, Average, "s3", **given)
