"""The simulation that tests share, here and in the examples."""

import gc

import pytest

from flame_flwr.cli.submit import simulation

gc.disable()  # all that is imported stays: looking through it is a quarter of the time for that


def pytest_collection_finish():
    """Keep the garbage collector from what stays anyway: Flower's Bulyan collects at every step.

    A collection took a second with all test modules imported.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def flower():
    """Have Flower's command, and what runs its apps, start as forks, in all of these tests."""
    from forked_flower import forked_flower

    with forked_flower() as environment, pytest.MonkeyPatch.context() as patch:
        for name, text in environment.items():
            patch.setenv(name, text)
        yield


@pytest.fixture(scope="session")
def federation(flower):
    """Start a SuperLink that simulates three nodes; ``dataclasses.replace`` gives a run others."""
    with simulation(3) as place:
        yield place
