"""FHIR searches over HTTP, against the tests' own server: paging, credentials, limits, errors."""

import asyncio
import json
import os
import socket
import threading
import time
import traceback

import httpx
import pytest
from fhir_server import OBSERVATIONS, PATIENTS, RESOURCES, FhirServer, outcome, resource
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from flame_flwr.data import fhir_http as module
from flame_flwr.data import open_data
from flame_flwr.data.fhir_http import basic, bearer
from flame_flwr.data.fhir_server import FhirSource
from flame_flwr.data.open_source import open_dataset
from flame_flwr.data.registry import read_registry
from flame_flwr.errors import ConfigError, DataError, UnavailableError
from flame_flwr.identity import Identity
from flame_flwr.star.handle import FlameHandle


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
    monkeypatch.setattr(module, "_TIMEOUT", httpx.Timeout(0.5))
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.01)


def ids(bundle):
    return [entry["resource"]["id"] for entry in bundle["entry"]]


def refused(source, query="Patient"):
    """Return the error of a search; check that no patient's name is in what may travel."""
    with pytest.raises(DataError) as raised:
        source.read("fhir", [query])
    error = raised.value
    assert error.message.startswith("data source 1: ")
    assert "Muster" not in error.message
    assert "127.0.0.1" not in error.message
    assert "127.0.0.1" in error.detail
    return error


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


def test_no_credentials_follow_a_link_elsewhere(server):
    with FhirServer() as other:
        server.token = other.token = "hunter2"
        for link in (f"{other.base}/Patient?_page=2", f"//127.0.0.1:{other.port}/fhir/Patient"):
            server.trouble = {1: link}
            error = refused(FhirSource(server.url, "data source 1", bearer("hunter2")))
            assert "page 1: its next link leads to another host" in error.message
            assert "hunter2" not in str(error)
        assert other.requests == []


def test_a_search_has_a_limit_of_bytes(server):
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


def test_too_long_a_search_is_an_error(server, source):
    error = refused(source, "Patient?_id=" + "1," * 35_000)
    assert "search 1: it makes no URL that can be asked for" in error.message
    assert len(str(error)) < 2000
    assert server.requests == []


# ---- credentials ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wants", "environment"),
    [
        ({"token": "t-1"}, {"FHIR_TOKEN": "t-1"}),
        ({"user": "ada:lüst:1"}, {"FHIR_USER": "ada", "FHIR_PASSWORD": "lüst:1"}),
        ({}, {}),
    ],
)
def test_credentials_come_from_the_environment(server, context, monkeypatch, wants, environment):
    for name, value in wants.items():
        setattr(server, name, value)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    data = open_data(server.url, context())
    data.check()
    [answer] = data.load("fhir", ["Patient?gender=male"])
    assert len(answer["Patient?gender=male"]["entry"]) == PATIENTS / 3
    assert data.describe() == [{"id": "1", "name": "data source 1", "type": "fhir"}]


def test_a_registry_names_credentials_and_limits(server, context, tmp_path):
    server.token = "t-2"
    (tmp_path / "token").write_text("t-2\n")
    text = f"""
        [[dataset]]
        name = "n"
        type = "fhir"
        projects = ["*"]
        url = "{server.url}"
        token = {{ file = "{tmp_path / "token"}" }}
        max-pages = 2
    """
    (tmp_path / "datasets.toml").write_text(text)
    [dataset] = read_registry(tmp_path / "datasets.toml")
    source = open_dataset(dataset, "data source 1", context())
    source.check()
    assert "more than 2 pages" in refused(source).message


def test_a_token_and_a_password_together_are_refused(server, context, monkeypatch):
    for name in ("FHIR_TOKEN", "FHIR_USER", "FHIR_PASSWORD"):
        monkeypatch.setenv(name, "hunter2")
    with pytest.raises(ConfigError, match="gets a token, or a user with a password"):
        open_data(server.url, context())


@pytest.mark.parametrize("authorization", ["", bearer("hunter2"), basic("ada", "hunter2")])
def test_wrong_and_missing_credentials_are_told_apart(server, authorization):
    server.token = "t-1"
    source = FhirSource(server.url, "data source 1", authorization)
    error = refused(source)
    expected = "refuses this node's credentials (401)" if authorization else "has none for it"
    assert expected in error.message
    assert "(OperationOutcome: error login)" in error.message
    shown = "".join(traceback.format_exception(error))
    assert "hunter2" not in shown
    for known in ([], ["Observation?_count=10"]):
        with pytest.raises(DataError) as raised:
            source.check("fhir", known)
        assert expected in raised.value.message


def test_the_open_client_keeps_credentials_at_home(server):
    server.token = "hunter2"

    async def ask(client):
        async with client, asyncio.timeout(20):
            answer = await client.get("Patient?_summary=count")
            await client.get(f"{other.base}/Patient")
            return answer.json()["total"]

    with FhirServer() as other:
        made = FhirSource(server.url, "data source 1", bearer("hunter2"))
        from flame_flwr.data import SourceData

        flame = FlameHandle(Identity("node-0", ("node-0",), "a", "p"), SourceData([made]))
        assert asyncio.run(ask(flame.get_data_client("1"))) == PATIENTS
        assert other.authorizations == [""]
        with pytest.raises(UnavailableError, match="has none of this id"):
            flame.get_data_client("2")


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
    (page(link={"relation": "next"}), "what came is a Bundle whose `link` is no list"),
    (page(link="Patient?_page=3"), "what came is a Bundle whose `link` is no list"),
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
    (outcome(200, "too-costly", "Maria Muster"), "what came is no FHIR resource"),
    (outcome(422, "Maria-Muster", "Maria Muster"), "a trouble of its own (422)"),
    (resource({"resourceType": "Patient", "id": "Muster"}), "what came is no Bundle"),
    (PlainTextResponse("Maria Muster"), "what came is no FHIR resource"),
    (Response("[" * 100_000), "what came is no FHIR resource"),
    (RedirectResponse("http://127.0.0.1:9/Muster"), "sends elsewhere (307)"),
]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(("answer", "said"), WRONG)
def test_a_wrong_page_is_an_error_without_texts(server, source, answer, said, number):
    server.trouble = {number: answer}
    error = refused(source)
    assert f"search 1, page {number}: " in error.message
    assert said in error.message
    assert len(str(error)) < 2000
    if b"Maria Muster" in answer.body and b"diagnostics" in answer.body:
        assert "Maria Muster" in error.detail


def test_pages_in_a_circle_and_without_end_stop(server, source):
    server.trouble = {3: f"{server.base}/Patient?_page=2"}
    assert "page 3: its next link leads back" in refused(source).message
    assert len(server.requests) == 3
    server.trouble, server.requests = {}, []
    few = FhirSource(server.url, "data source 1", max_pages=5)
    assert "more than 5 pages" in refused(few).message
    assert len(server.requests) == 5


def test_a_busy_server_is_asked_again(server, source, impatient):
    server.busy = 3
    assert len(source.read("fhir", ["Patient"])["Patient"]["entry"]) == PATIENTS
    server.busy = 1000
    assert "a trouble of its own (503)" in refused(source).message
    assert server.busy == 996


def test_silent_servers_are_waited_for_with_limits(server, impatient):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for port in (9, listener.getsockname()[1]):
            source = FhirSource(f"fhir+http://127.0.0.1:{port}/fhir", "data source 1")
            started = time.monotonic()
            assert "no answer from the FHIR server within" in refused(source).message
            with pytest.raises(DataError, match="no answer from the FHIR server within"):
                source.check()
            assert time.monotonic() - started < 15


def test_only_its_ca_vouches_for_a_server(certificates, impatient):
    with FhirServer(certificates=certificates) as server:
        trusting = FhirSource(server.url, "s", ca_file=certificates / "ca.crt")
        trusting.check()
        assert len(trusting.read("fhir", ["Patient"])["Patient"]["entry"]) == PATIENTS
        assert (
            "no trusted TLS connection" in refused(FhirSource(server.url, "data source 1")).message
        )
    with pytest.raises(ConfigError, match="`ca-file` names no file with certificates"):
        FhirSource(server.url, "s", ca_file=certificates / "server.key")


def test_a_server_that_drips_is_given_up(impatient, monkeypatch):
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
                for _ in range(200):
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
        assert time.monotonic() - started < 8
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=20)


def test_check_tries_only_what_will_be_searched(server):
    server.token = "t-1"
    source = FhirSource(server.url, "data source 1", bearer("t-1"))
    source.check(
        "fhir", ["Observation?_count=10", "Observation", "$export", "Patient/p1/$everything"]
    )
    assert server.requests == [
        "/fhir/metadata?",
        "/fhir/Observation?_count=10&_summary=count",
        "/fhir/Observation?_summary=count",
    ]


def test_where_counting_is_forbidden_one_is_asked_for(server, source):
    class TooCostly(Response):
        async def __call__(self, scope, receive, send):
            forbidden = outcome(403, "too-costly", "Maria Muster")
            answer = forbidden if b"_summary" in scope["query_string"] else Response("{}")
            await answer(scope, receive, send)

    server.trouble = {1: TooCostly()}
    source.check("fhir", ["Patient?gender=female"])
    assert server.requests[1:] == [
        "/fhir/Patient?gender=female&_summary=count",
        "/fhir/Patient?gender=female&_count=1",
    ]


@pytest.mark.parametrize("status", [400, 404, 405, 429, 500, 501, 503])
def test_a_server_need_not_count(server, source, status):
    server.trouble = {1: outcome(status, "not-supported", "Maria Muster")}
    source.check()


@pytest.mark.parametrize(
    ("below", "trouble", "said"),
    [
        ("", RedirectResponse("http://127.0.0.1:9/login"), "sends elsewhere (307)"),
        ("", outcome(403, "forbidden", "Maria Muster"), "may not search there (403)"),
        ("", outcome(401, "login", "Maria Muster"), "has none for it"),
        ("/Patient", None, "has nothing there (404)"),
    ],
)
def test_check_finds_what_cannot_be_searched(server, below, trouble, said):
    server.trouble = {1: trouble}
    with pytest.raises(DataError) as raised:
        FhirSource(f"{server.url}{below}", "data source 1").check()
    assert said in raised.value.message


def test_a_server_may_count_for_long(server, source, monkeypatch):
    class Slow(Response):
        async def __call__(self, *scope):
            await asyncio.sleep(1.5)
            await super().__call__(*scope)

    monkeypatch.setattr(module, "_PROBE_TIMEOUT", httpx.Timeout(0.3))
    server.trouble = {1: Slow("")}
    started = time.monotonic()
    source.check()
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    "url",
    [
        "fhir+https://",
        "fhir+https://host/fhir?token=hunter2",
        "fhir+https://host:port/",
    ],
)
def test_a_wrong_url_is_not_repeated(url, context):
    with pytest.raises(ConfigError) as raised:
        open_data(url, context())
    assert "must be like fhir+https://fhir.example.org/fhir" in raised.value.message
    assert "hunter2" not in str(raised.value)


def test_http_elsewhere_must_be_allowed(context, monkeypatch):
    for host in ("127.0.0.1:9", "localhost", "[::1]:9"):
        open_data(f"fhir+http://{host}/fhir", context())
    with pytest.raises(ConfigError, match="set FHIR_ALLOW_HTTP=true in its environment where"):
        open_data("fhir+http://fhir.example.org/fhir", context())
    monkeypatch.setenv("FHIR_ALLOW_HTTP", "true")
    open_data("fhir+http://fhir.example.org/fhir", context())


@pytest.mark.parametrize("token", ["hunter2\nX: y", "hunter2 hunter2", "hünter2", "hunter2\x00"])
def test_a_token_for_no_header_is_not_repeated(context, monkeypatch, token):
    monkeypatch.setattr(module.httpx, "Client", None)  # nobody is asked
    monkeypatch.setattr("os.environ", {**os.environ, "FHIR_TOKEN": token})
    with pytest.raises(ConfigError) as raised:
        open_data("fhir+https://fhir.example.org/fhir", context())
    assert raised.value.message.startswith("data source 1: ")
    assert "nter2" not in str(raised.value)


def test_a_tokens_line_end_is_cut_off(server, context, monkeypatch):
    server.token = "t-1"
    monkeypatch.setenv("FHIR_TOKEN", "t-1\n")
    open_data(server.url, context()).check("fhir", "Patient")


@pytest.mark.parametrize(
    "query",
    [
        "https://other/Patient",
        "//other/Patient",
        "/Patient",
        "../Patient",
        "Patient/../x",
        "#a",
        "",
        "Patient/%2e%2e/%2e%2e/admin",
        "%2E%2E/admin",
        "Patient/%252e%252e/admin",
        "Patient/..%2fadmin",
        "Patient\\..\\admin",
        "Patient\n",
    ],
)
def test_a_search_stays_below_the_base(server, source, query):
    assert "must be relative to the server's base" in refused(source, query).message
    with pytest.raises(DataError, match="must be relative to the server's base"):
        source.check("fhir", [query])
    assert server.requests == []


@pytest.mark.parametrize("query", ["?_type=Patient", "Patient/p1/$everything", "Patents"])
def test_other_paths_below_the_base_are_asked(server, source, query):
    assert "has nothing there (404)" in refused(source, query).message
    assert [asked.rstrip("?") for asked in server.requests] == [f"/fhir/{query}"]


def test_a_fhir_server_has_no_files(source):
    for ask in (source.read, source.check):
        with pytest.raises(DataError, match="is a FHIR server and has no files"):
            ask("s3", [])
