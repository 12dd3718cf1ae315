"""What the tests of real runtimes share: an app to run, the README's demo, the deployment."""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import halta_study
import pytest
import small_app
from provisioned import IDENTIFIED, Provisioned

from flame_flwr.cli.submit import simulation

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def federation(flower, store):
    """As in the examples, and its SuperLink knows the key of the store, for results."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in store.environment.items():
            patch.setenv(name, value)
        with simulation(3) as place:
            yield place


@pytest.fixture
def run_app(federation, tmp_path):
    """Write an app, run it in Flower's simulation of three nodes, return what came of it."""
    return partial(small_app.run_app, federation, tmp_path)


@pytest.fixture(scope="session")
def demo(flower):
    """What ``make demo`` prints; the study in the simulation runtime, for all who look at it."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "halta" / "demo.py"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def halta():
    """The Long COVID study's modules: its analysis, its data, and the plain loop."""
    with halta_study.modules() as found:
        yield found


HOSPITALS = ("hospital-a", "hospital-b", "far", "near")
"""Those of the one deployment; a test starts the nodes that it uses, and stops them."""


@pytest.fixture(scope="session")
def deployment(flower, halta, store, tmp_path_factory):
    """A server as it is provisioned, with every hospital registered and none of them started.

    The first two have data of the Long COVID study. Its SuperLink knows the key of the store.
    """
    folder = tmp_path_factory.mktemp("a federation's folder")
    halta[1].main([str(folder / "data")])
    federation = Provisioned(folder)
    federation.secrets = store.environment
    for i, name in enumerate(HOSPITALS):
        federation.add(name, folder / "data" / (f"hospital-{i}" if i < 2 else name))
    federation.provision(federation.file)
    try:
        federation.start_server()
        register = federation.parties / "server" / "register.sh"
        said = federation.command("sh", register, timeout=180)
        registered = re.findall(r"^(\S+): registered as node \d+$", said, re.M)
        assert sorted(registered) == sorted(HOSPITALS), said
        yield federation
    finally:
        federation.stop(*reversed(federation.processes))


@pytest.fixture(scope="session")
def identified(deployment, tmp_path_factory):
    """Have three hospitals with identities, the first two online from here on: a start costs 6 s.

    For the last modules of these tests; the third is started as each wants it.
    """
    deployment.identify(tmp_path_factory.mktemp("identified"))
    for name in IDENTIFIED[:-1]:
        deployment.start_node(name)
    return deployment


@pytest.fixture(scope="module")
def three_hospitals(identified):
    """Have the third one online, too, for runs without secure sums: that costs 4 s."""
    with identified.third():
        yield identified
