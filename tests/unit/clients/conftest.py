"""What the tests of nodes share: which of Flower's runtimes the code under test believes in."""

import sys

import pytest

from flame_flwr import flower


@pytest.fixture
def runs_in(monkeypatch):
    """Let all of the framework believe that it runs in this runtime, also within a LocalGrid."""
    real = flower.runtime

    def set_to(name):
        def runtime():
            return name

        for module in [m for n, m in sys.modules.items() if n.startswith("flame_flwr.")]:
            if hasattr(module, "runtime") and module.runtime in (real, *made):
                monkeypatch.setattr(module, "runtime", runtime)
        made.append(runtime)

    made = []
    return set_to


@pytest.fixture
def deployed(runs_in):
    """Let all of the framework believe that it runs on a deployment."""
    runs_in("deployment")
