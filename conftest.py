"""How the tests are shared out to pytest-xdist's workers, and the simulation that they share."""

import pytest

from flame_flwr.engine.submit import simulation

GROUPS = ("failures", "deployed", "simulation")
"""Tests that stay in one worker, as they share what is slow to start; the longest begins."""


def group_of(item):
    """Name the group of a test: its folder's, or that of all simulations; or nothing."""
    for folder in GROUPS[:2]:
        if folder in item.path.parts:
            return folder
    return "simulation" if item.get_closest_marker("simulation") else ""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Begin with the groups; the many quick tests of tests/unit fill the gaps at the end."""

    def rank(item):
        group = group_of(item)
        return GROUPS.index(group) if group else len(GROUPS) + ("unit" in item.path.parts)

    items.sort(key=rank)
    for item in items:
        if group := group_of(item):
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep the tests of a file together, too: they share fixtures."""
    from xdist.scheduler import LoadGroupScheduling

    class ByGroupOrFile(LoadGroupScheduling):
        def _split_scope(self, nodeid):
            return super()._split_scope(nodeid).partition("::")[0]

    return ByGroupOrFile(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(scope="session")
def federation():
    """Start a SuperLink that simulates three nodes; ``dataclasses.replace`` gives a run others."""
    with simulation(3) as place:
        yield place
