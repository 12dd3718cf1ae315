"""The order of the rooms, as pyproject.toml declares it: no import goes up, none in a circle."""

import tomllib
from pathlib import Path

import grimp
import pytest

CHECKOUT = next(
    (p for p in Path(__file__).resolve().parents if (p / "pyproject.toml").is_file()), None
)
in_the_checkout = pytest.mark.skipif(CHECKOUT is None, reason="runs without the checkout")
ROOT = "flame_flwr"


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph(ROOT, exclude_type_checking_imports=True, cache_dir=None)


@pytest.fixture(scope="module")
def floors():
    """The number of each room's floor, counted from the ground, which is 0."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    listed = project["tool"]["flame-flwr"]["floors"]
    return {room: i for i, rooms in enumerate(reversed(listed), 1) for room in rooms}


def imports(graph):
    for module in graph.modules - {ROOT}:
        for imported in graph.find_modules_directly_imported_by(module) - {ROOT}:
            yield module, imported


def room(module):
    return module.split(".")[1]


def upward(pairs, floors):
    found = []
    for module, imported in pairs:
        here, there = floors.get(room(module), 0), floors.get(room(imported), 0)
        if room(module) != room(imported) and (there > here or there == here > 0):
            found.append(f"{module} imports {imported}")
    return sorted(found)


def circles(pairs):
    """Take away what imports nothing that is left, until nothing more can be taken away."""
    left = {}
    for module, imported in pairs:
        left.setdefault(module, set()).add(imported)
        left.setdefault(imported, set())
    while free := {module for module, others in left.items() if not others & left.keys()}:
        for module in free:
            del left[module]
    return sorted(left)


@in_the_checkout
def test_no_import_goes_up(graph, floors):
    assert upward(imports(graph), floors) == []


def test_no_two_files_import_each_other(graph):
    assert circles(imports(graph)) == []


@in_the_checkout
def test_every_package_stands_on_a_floor(graph, floors):
    packages = {room(module) for module in graph.modules if module.count(".") > 1}
    assert packages <= floors.keys()
    assert {f"{ROOT}.{name}" for name in floors} <= graph.modules


@in_the_checkout
def test_an_upward_import_and_a_circle_are_found(floors):
    pairs = [
        ("flame_flwr.data.source", "flame_flwr.star.handle"),
        ("flame_flwr.star.handle", "flame_flwr.data.source"),
        ("flame_flwr.errors", "flame_flwr.payload"),
        ("flame_flwr.torch.analyzer", "flame_flwr.testing.kit"),
    ]
    assert upward(pairs, floors) == [
        "flame_flwr.data.source imports flame_flwr.star.handle",
        "flame_flwr.errors imports flame_flwr.payload",
        "flame_flwr.torch.analyzer imports flame_flwr.testing.kit",
    ]
    assert circles(pairs) == ["flame_flwr.data.source", "flame_flwr.star.handle"]
