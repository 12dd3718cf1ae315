"""Where the tests start a SuperLink: each costs seconds of both cores, so each is known here.

``CONTRIBUTING.md`` has the rule. A new place says in its docstring why no other one can show the
same, and stands in this list; or it is marked ``exhaustive``, and need not.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STARTERS = {"Deployment", "Provisioned", "simulation"}
KNOWN = {
    # shared: by all simulations, by all `deployed` tests, by all failures
    ("conftest.py", "federation"),
    ("tests/integration/conftest.py", "federation"),
    ("tests/integration/conftest.py", "deployment"),
    ("tests/integration/failures/conftest.py", "deployment"),
}
OF_EXHAUSTIVE_TESTS = {
    ("tests/integration/test_plugins.py", "run"),
}
"""Fixtures that nothing else uses."""

LONG = re.compile(r"mark\.(failures|deployed|simulation)\b")

pytestmark = pytest.mark.skipif(not (ROOT / "Makefile").exists(), reason="only in a checkout")


def starts(node):
    """Tell whether a function starts a SuperLink by itself, in `make test`."""
    if any("mark.exhaustive" in ast.unparse(each) for each in node.decorator_list):
        return False
    calls = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
    return any(isinstance(each, ast.Name) and each.id in STARTERS for each in calls)


def places():
    """Find them in all tests."""
    files = [ROOT / "conftest.py", *ROOT.glob("tests/**/*.py"), *ROOT.glob("examples/*/tests/*.py")]
    for file in files:
        if "benchmarks" in file.parts or file.name.startswith("browser"):
            continue  # `make bench`, `make test-browser`
        text = file.read_text(encoding="utf-8")
        for node in ast.parse(text).body if any(name in text for name in STARTERS) else ():
            if isinstance(node, ast.FunctionDef) and starts(node):
                yield file.relative_to(ROOT).as_posix(), node.name


def test_superlinks_are_started_in_known_places_only():
    assert set(places()) == KNOWN | OF_EXHAUSTIVE_TESTS


def test_every_place_says_why():
    for file, name in KNOWN:
        [node] = [
            node
            for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef) and node.name == name
        ]
        assert ast.get_docstring(node), f"{file}: {name}"


def test_long_groups_are_where_make_looks():
    """`make tests-simulation` imports nothing else, and `make tests-others` leaves them out."""
    files = {file for file in ROOT.glob("tests/**/*.py") if LONG.search(file.read_text())}
    assert files
    assert {file for file in files if ROOT / "tests" / "integration" not in file.parents} == set()
    kills = {file for file in files if "failures" in LONG.findall(file.read_text())}
    assert {file.parent for file in kills} == {ROOT / "tests" / "integration" / "failures"}


def test_simulations_of_the_examples_are_exhaustive():
    """`make test` does not look for others there."""
    for file in ROOT.glob("examples/*/tests/*.py"):
        nodes = ast.parse(file.read_text(encoding="utf-8")).body
        of_all = " ".join(ast.unparse(node) for node in nodes if "pytestmark" in ast.unparse(node))
        for node in nodes:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                marks = " ".join([of_all, *map(ast.unparse, node.decorator_list)])
                groups = set(LONG.findall(marks))
                assert groups <= {"simulation"}, (file, node.name)
                assert not groups or "mark.exhaustive" in marks, (file, node.name)
