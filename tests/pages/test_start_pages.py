"""The pages for a start: their Python runs here, and prints what they say."""

import re
import sys
import tomllib
import types
from pathlib import Path

import pytest
import round_picture
from snippets import all_named, block, blocks, printed_by, run_python, with_output

from flame_flwr.analysis import splits
from flame_flwr.cli import new_app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_first_analysis_is_the_readmes():
    page, readme = DOCS / "first-analysis.md", ROOT / "README.md"
    for name in ("ages.py", "try_ages.py"):
        assert block(page, name) == block(readme, name)
    assert "flame-flwr run ages.py --data north --data south\n" in block(page, "shown-files")


def test_its_check_finds_nothing(tmp_path):
    for name in ("ages.py", "check_ages.py"):
        (tmp_path / name).write_text(block(DOCS / "first-analysis.md", name))
    run_python(tmp_path, "check_ages.py")


def test_it_names_every_template():
    text = (DOCS / "first-analysis.md").read_text()
    assert all(f"`{name}`" in text or f"template {name}" in text for name in new_app.TEMPLATES)


@pytest.mark.parametrize(
    ("page", "name"),
    [
        *[("analysis", "kept"), ("analysis", "files"), ("own-csv", "table")],
        *[("extending", name) for name in ("above", "zipped", "median", "few")],
    ],
)
def test_a_snippet_prints_what_the_page_says(here, monkeypatch, page, name):
    named = all_named(DOCS / f"{page}.md")
    (here / f"{name}.py").write_text(named[f"{name}.py"])
    module = types.ModuleType(name)  # as what travels is known by its module
    monkeypatch.setitem(sys.modules, name, module)
    module.__name__ = "__main__" if "__main__" in named[f"{name}.py"] else name
    assert printed_by(named[f"{name}.py"], vars(module), f"{page}.md, {name}.py") == named[name]


def test_every_worked_change_names_existing_files():
    page = DOCS / "extending.md"
    changes = [text for name, text in all_named(page).items() if name.endswith(".py")]
    assert len(changes) == 4
    assert all(len(text.splitlines()) < 60 for text in changes)
    places = re.findall(r"^\| .* \| `([\w/.]+)`", page.read_text(), re.M)
    places += re.findall(r"its name in `([\w/.]+)`", page.read_text())
    new = {"statistics/above.py", "data/zip_source.py", "privacy/most_statistics.py"}
    new = {f"flame_flwr/{name}" for name in new} | {"strategies/median_model.py"}
    assert new < set(places)
    assert [place for place in places if not (ROOT / place).exists() and place not in new] == []


def test_the_picture_of_a_round_is_its_modules():
    assert round_picture.PICTURE.read_text() == round_picture.picture()
    files = {file for box in round_picture.BOXES for file in box.files}
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_the_floors_are_those_that_imports_stand_on():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    page = (DOCS / "architecture.md").read_text()
    table = page.partition("| floor |")[2].partition("\n\n")[0]
    names = [
        name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])
    ]
    assert names == [name for floor in project["tool"]["flame-flwr"]["floors"] for name in floor]


def test_the_csvs_model_can_be_declared(here):
    page = DOCS / "own-csv.md"
    (here / "table.py").write_text(block(page, "table.py"))
    space = {"__name__": "app"}
    printed_by(block(page, "app.py"), space)
    printed_by(block(page, "shown-write"), {})
    assert (here / "south" / "patients.csv").read_text().startswith("age,sex,died\n38,m,0\n")
    assert set(space["expected"].columns) == {*space["table"].columns, "died"}


def test_the_notebook_prints_what_it_says(caplog, monkeypatch):
    monkeypatch.setattr(splits, "_WARNED_OF", set())
    classes, *_ = blocks(DOCS / "notebook.md")
    space = {"__name__": "notebook"}
    exec(classes.text, space)
    cells = with_output(DOCS / "notebook.md", but=[classes])
    assert len(cells) == 4
    for source, expected in cells:
        assert printed_by(source, space) == expected
    assert "data_splits[" not in caplog.text


def test_the_run_pages_blocks_are_all_run():
    """By ``tests/integration/test_readme_commands.py``."""
    assert {*all_named(DOCS / "results.md")} == {"results"}
    names = [each.name for each in blocks(DOCS / "run.md")]
    assert names == [
        "run",
        "pyproject.toml",
        "simulation",
        "simulation",
        "deployment",
        "config.toml",
    ]
    assert block(DOCS / "run.md", "run") == block(ROOT / "README.md", "run")
