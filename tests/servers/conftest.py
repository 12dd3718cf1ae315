"""A FHIR server, and a run's record, for the tests of this folder."""

import tempfile

import httpx
import pytest
from fhir_server import FhirServer

from flame_flwr.data import fhir_http
from flame_flwr.data.fhir_server import FhirSource
from flame_flwr.errors import DataError
from flame_flwr.results import RoundRecord, RunRecord


@pytest.fixture
def record():
    return RunRecord(["a"], [RoundRecord(1, 1.5, {"a": 0.25}, {"a": 100})], 7.25, {}, 8.5, True)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files, empty at the start."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


@pytest.fixture(scope="module")
def running():
    with FhirServer() as server:
        yield server


@pytest.fixture
def server(running):
    """The module's server, as new."""
    fresh = FhirServer(port=running.port)
    for name in ("style", "token", "user", "trouble", "requests", "authorizations", "busy"):
        setattr(running, name, getattr(fresh, name))
    return running


@pytest.fixture
def source(server):
    return FhirSource(server.url, "data source 1")


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(fhir_http, "TIMEOUT", httpx.Timeout(0.5))
    monkeypatch.setattr(fhir_http, "_LONGEST_PAUSE", 0.01)


@pytest.fixture
def refused():
    """Return the error of a search; no patient's name is in what may travel of it."""

    def search(source, query="Patient"):
        with pytest.raises(DataError) as raised:
            source.read("fhir", [query])
        error = raised.value
        assert error.message.startswith("data source 1: ")
        assert "Muster" not in error.message
        assert "127.0.0.1" not in error.message
        assert "127.0.0.1" in error.detail
        return error

    return search
