"""What all tests share that run something in Flower's simulation runtime."""

import pytest

from flame_flwr.engine.submit import simulation


@pytest.fixture(scope="session")
def federation():
    """Start a SuperLink that simulates three nodes; ``dataclasses.replace`` gives a run others."""
    with simulation(3) as place:
        yield place
