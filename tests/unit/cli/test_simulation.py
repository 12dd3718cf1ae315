"""The SuperLink of a simulation is this machine's: no proxy stands between."""

from types import SimpleNamespace

import pytest
from health_server import HealthServer
from ports import free_port

from flame_flwr.cli import simulation
from flame_flwr.cli.connection import Connection


@pytest.fixture
def proxied(monkeypatch):
    """An environment that names a proxy which does not answer, and a host that needs none."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "store.hospital.example")


def test_a_proxy_is_not_asked_for_it(proxied, monkeypatch, tmp_path):
    monkeypatch.setattr(simulation, "START_LIMIT", 2.0)
    with HealthServer() as port:
        simulation._wait_for(SimpleNamespace(poll=lambda: None), port, tmp_path / "log")


def test_nor_for_a_connection_to_this_machine(proxied):
    with HealthServer() as port:
        assert Connection("own", f"127.0.0.1:{port}", insecure=True).unreachable_because() == ""


def test_its_programs_are_told_of_no_proxy_either(proxied):
    hosts = "store.hospital.example,127.0.0.1,localhost"
    assert simulation._no_proxy() == {"no_proxy": hosts, "NO_PROXY": hosts}
