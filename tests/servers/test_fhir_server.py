"""FHIR searches over HTTP, against the tests' own server: paging, limits, what goes wrong."""

import json
import socket
import threading
import time

import pytest
from fhir_server import OBSERVATIONS, PATIENTS, RESOURCES, FhirServer, outcome, resource
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from flame_flwr.data import fhir_http as module
from flame_flwr.data.fhir_http import bearer
from flame_flwr.data.fhir_server import FhirSource
from flame_flwr.errors import ConfigError, DataError


def ids(bundle):
    return [entry["resource"]["id"] for entry in bundle["entry"]]


# ---- paging ---------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["hapi", "blaze", "offset"])
def test_a_search_is_followed_to_its_last_page(server, source, style):
    server.style = style
    query = "Observation?code=http%3A%2F%2Floinc.org|29463-7&_count=250"
    bundle = source.read("fhir", [query])[query]
    assert ids(bundle) == [each["id"] for each in RESOURCES["Observation"]]
    assert bundle["total"] == OBSERVATIONS
    assert [link["relation"] for link in bundle["link"]] == ["self"]
    assert len(server.requests) == 12
    if style == "hapi":
        assert server.requests[1].startswith("/fhir?_getpages=Observation%2C")
        assert "%7C" in server.requests[1]  # as the server wrote it
    if style == "blaze":
        assert server.requests[1].startswith("/fhir/__page?__token=Observation,")
        assert "|" in server.requests[1]


@pytest.mark.parametrize("count", [7, 100, 1000])
def test_a_bundle_ignores_the_size_of_pages(source, count):
    query = f"Observation?_include=Observation:subject&_count={count}"
    bundle = source.read("fhir", [query])[query]
    of = {"match": [], "include": []}
    for entry in bundle["entry"]:
        of[entry["search"]["mode"]].append(entry["resource"]["id"])
    assert of["match"] == [each["id"] for each in RESOURCES["Observation"]]
    assert sorted(of["include"]) == sorted(each["id"] for each in RESOURCES["Patient"])


def test_several_searches_and_a_count(server, source):
    queries = ["Patient?gender=female", "Patient?_summary=count", "Patient?gender=female"]
    answer = source.read("fhir", queries)
    assert list(answer) == ["Patient?gender=female", "Patient?_summary=count"]
    women = sum(each["gender"] == "female" for each in RESOURCES["Patient"])
    assert len(answer["Patient?gender=female"]["entry"]) == women
    assert answer["Patient?_summary=count"] == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": PATIENTS,
    }


def test_no_credentials_follow_a_link_elsewhere(refused, server):
    with FhirServer() as other:
        server.token = other.token = "hunter2"
        for link in (f"{other.base}/Patient?_page=2", f"//127.0.0.1:{other.port}/fhir/Patient"):
            server.trouble = {1: link}
            error = refused(FhirSource(server.url, "data source 1", bearer("hunter2")))
            assert "page 1: its next link leads to another host" in error.message
            assert "hunter2" not in str(error)
        assert other.requests == []


def test_a_search_has_a_limit_of_bytes(refused, server):
    size = len(json.dumps(RESOURCES["Patient"]))
    assert (
        "larger than 0.05 MB"
        in refused(FhirSource(server.url, "data source 1", max_mb=0.05)).message
    )
    assert len(server.requests) < 6
    FhirSource(server.url, "data source 1", max_mb=size / 2e5).read("fhir", ["Patient"])


def test_a_bundle_may_have_no_entries(server, source):
    for empty in ({}, {"entry": None}, {"entry": []}):
        server.trouble = {1: resource({"resourceType": "Bundle", "total": 0, **empty})}
        assert source.read("fhir", ["Patient"])["Patient"]["total"] == 0


def test_too_long_a_search_is_an_error(refused, server, source):
    error = refused(source, "Patient?_id=" + "1," * 35_000)
    assert "search 1: it makes no URL that can be asked for" in error.message
    assert len(str(error)) < 2000
    assert server.requests == []


# ---- what goes wrong ------------------------------------------------------------------------


def page(**parts):
    return resource({"resourceType": "Bundle", **parts})


def leads_to(*urls):
    return [page(link=[{"relation": "next", "url": url}]) for url in urls]


def odd_outcome(odd):
    issue = {"severity": odd, "code": odd, "diagnostics": odd, "details": odd}
    return resource({"resourceType": "OperationOutcome", "issue": [issue, odd]}, 400)


NO_URL = ["http://[::1", "Patient?x=" + "y" * 70_000, "http://\u0300.example/"]
VAGUE = ["", " ", None, []]
WRONG = [
    *((each, "what came is a Bundle that has a next page and") for each in leads_to(*VAGUE)),
    (page(link=[{"relation": "next"}]), "what came is a Bundle that has a next page and"),
    (page(link={"relation": "next"}), "what came is a Bundle whose `link` is not a list"),
    (page(link="Patient?_page=3"), "what came is a Bundle whose `link` is not a list"),
    *((each, "its next link: it makes no URL") for each in leads_to(*NO_URL)),
    (
        Response('{"resourceType": "Bundle", "link": [{"relation": "next", "url": "x\\ud800"}]}'),
        "no URL",
    ),
    *((page(entry=entry), "what came is ") for entry in ({"a": 1}, "Muster", 5, 0, "", {}, True)),
    *((page(entry=entry), "what came is ") for entry in (["Muster"], [None])),
    *((odd_outcome(odd), "does not take this search (400)") for odd in (["x"], {"x": 1}, 5, None)),
    (outcome(400, "invalid", "bad: Maria Muster"), "does not take this search (400)"),
    (outcome(403, "forbidden", "Maria Muster"), "may not search there (403)"),
    (outcome(410, "expired", "Maria Muster"), "has forgotten this search meanwhile (410)"),
    (outcome(410, "expired", "Maria Muster"), "(OperationOutcome: error expired)"),
    (outcome(500, "exception", "Maria Muster"), "a trouble of its own (500)"),
    (outcome(200, "too-costly", "Maria Muster"), "what came is not a FHIR resource"),
    (outcome(422, "Maria-Muster", "Maria Muster"), "a trouble of its own (422)"),
    (resource({"resourceType": "Patient", "id": "Muster"}), "what came is not a Bundle"),
    (PlainTextResponse("Maria Muster"), "what came is not a FHIR resource"),
    (Response("[" * 100_000), "what came is not a FHIR resource"),
    (RedirectResponse("http://127.0.0.1:9/Muster"), "sends elsewhere (307)"),
]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(("answer", "said"), WRONG)
def test_a_wrong_page_is_an_error_without_texts(refused, server, source, answer, said, number):
    server.trouble = {number: answer}
    error = refused(source)
    assert f"search 1, page {number}: " in error.message
    assert said in error.message
    assert len(str(error)) < 2000
    if b"Maria Muster" in answer.body and b"diagnostics" in answer.body:
        assert "Maria Muster" in error.detail


def test_pages_in_a_circle_and_without_end_stop(refused, server, source):
    server.trouble = {3: f"{server.base}/Patient?_page=2"}
    assert "page 3: its next link leads back" in refused(source).message
    assert len(server.requests) == 3
    server.trouble, server.requests = {}, []
    few = FhirSource(server.url, "data source 1", max_pages=5)
    assert "more than 5 pages" in refused(few).message
    assert len(server.requests) == 5


def test_a_busy_server_is_asked_again(refused, server, source, impatient):
    server.busy = 3
    assert len(source.read("fhir", ["Patient"])["Patient"]["entry"]) == PATIENTS
    server.busy = 1000
    assert "a trouble of its own (503)" in refused(source).message
    assert server.busy == 996


def test_silent_servers_are_waited_for_with_limits(refused, server, impatient):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for port in (9, listener.getsockname()[1]):
            source = FhirSource(f"fhir+http://127.0.0.1:{port}/fhir", "data source 1")
            started = time.monotonic()
            assert "no answer from the FHIR server within" in refused(source).message
            with pytest.raises(DataError, match="no answer from the FHIR server within"):
                source.check()
            assert time.monotonic() - started < 30


def test_only_its_ca_vouches_for_a_server(refused, certificates, impatient):
    with FhirServer(certificates=certificates) as server:
        trusting = FhirSource(server.url, "s", ca_file=certificates / "ca.crt")
        trusting.check()
        assert len(trusting.read("fhir", ["Patient"])["Patient"]["entry"]) == PATIENTS
        assert (
            "no trusted TLS connection" in refused(FhirSource(server.url, "data source 1")).message
        )
    with pytest.raises(ConfigError, match="`ca-file` names no file with certificates"):
        FhirSource(server.url, "s", ca_file=certificates / "server.key")


def test_a_server_that_drips_is_given_up(refused, impatient, monkeypatch):
    monkeypatch.setattr(module, "_PAGE_SECONDS", 0.3)

    def drip(listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.recv(10_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            try:
                for _ in range(1200):
                    connection.sendall(b" ")
                    time.sleep(0.05)
            except OSError:
                continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        source = FhirSource(f"fhir+http://127.0.0.1:{port}/fhir", "data source 1")
        started = time.monotonic()
        refused(source)
        assert time.monotonic() - started < 30
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=20)
