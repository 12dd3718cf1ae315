"""How the tests are shared out to pytest-xdist's workers, and the simulation that they share."""

import ast
import gc
from functools import cache
from pathlib import Path

import pytest

from flame_flwr.cli.submit import simulation

ROOT = Path(__file__).parent
GROUPS = ("failures", "deployed", "simulation")
"""Tests that stay in one worker, as they share what is slow to start; the longest begins.

The failures are a folder, the others are marks. (pytest-xdist's own groups, ``--dist loadgroup``,
need a node id that can be changed, which pytest 9.2 has not.)
"""


def group_of(test):
    """Name what a test, by its node id, stays together with: a group, or its file."""
    file, _, name = test.partition("::")
    if "/failures/" in file:
        return "failures"
    marked = marks_in(file)
    return marked.get(name.partition("[")[0]) or marked.get("") or file


@cache
def marks_in(file):
    """Return the groups that a file's text marks tests with, by function; ``""`` is the file's."""
    found = {}
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            name, marks = node.name, [ast.unparse(each) for each in node.decorator_list]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            name, marks = "", [ast.unparse(node.value)]
        else:
            continue
        found[name] = next(
            (group for group in GROUPS if any(f"mark.{group}" in mark for mark in marks)), ""
        )
    return found


def pytest_collection_modifyitems(items):
    """Begin with the groups; the many quick tests of tests/unit fill the gaps at the end."""

    def rank(item):
        group = group_of(item.nodeid)
        in_order = GROUPS.index(group) if group in GROUPS else len(GROUPS)
        return in_order + item.nodeid.startswith("tests/unit/")

    items.sort(key=rank)


def pytest_collection_finish():
    """Keep the garbage collector from what stays anyway: Flower's Bulyan collects at every step.

    A collection took a second with all test modules imported.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep groups and files together, whatever ``--dist`` says; in the order of above."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(nodeid)

    return ByGroup(config, log)


@pytest.fixture(scope="session")
def federation():
    """Start a SuperLink that simulates three nodes; ``dataclasses.replace`` gives a run others."""
    with simulation(3) as place:
        yield place
