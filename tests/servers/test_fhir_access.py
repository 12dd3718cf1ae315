"""Who may search a FHIR server, where, and what is found out before the first round."""

import asyncio
import os
import time
import traceback

import httpx
import pytest
from fhir_server import PATIENTS, FhirServer, outcome
from starlette.responses import RedirectResponse, Response

from flame_flwr.data import SourceData, open_data
from flame_flwr.data import fhir_http as module
from flame_flwr.data.fhir_http import basic, bearer
from flame_flwr.data.fhir_server import FhirSource
from flame_flwr.data.open_data import open_dataset
from flame_flwr.data.registry import read_registry
from flame_flwr.errors import ConfigError, DataError, UnavailableError
from flame_flwr.identity import Identity
from flame_flwr.star.handle import FlameHandle

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


def test_a_registry_names_credentials_and_limits(refused, server, context, tmp_path):
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


def test_a_token_and_a_password_together_are_refused(refused, server, context, monkeypatch):
    for name in ("FHIR_TOKEN", "FHIR_USER", "FHIR_PASSWORD"):
        monkeypatch.setenv(name, "hunter2")
    with pytest.raises(ConfigError, match="gets a token, or a user with a password"):
        open_data(server.url, context())


@pytest.mark.parametrize("authorization", ["", bearer("hunter2"), basic("ada", "hunter2")])
def test_wrong_and_missing_credentials_are_told_apart(refused, server, authorization):
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
        flame = FlameHandle(Identity("node-0", ("node-0",), "a", "p"), SourceData([made]))
        assert asyncio.run(ask(flame.get_data_client("1"))) == PATIENTS
        assert other.authorizations == [""]
        with pytest.raises(UnavailableError, match="has none of this id"):
            flame.get_data_client("2")


# ---- before the first round -----------------------------------------------------------------


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
            await asyncio.sleep(3)
            await super().__call__(*scope)

    monkeypatch.setattr(module, "_PROBE_TIMEOUT", httpx.Timeout(0.3))
    server.trouble = {1: Slow("")}
    started = time.monotonic()
    source.check()
    assert time.monotonic() - started < 3


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
def test_a_search_stays_below_the_base(refused, server, source, query):
    assert "must be relative to the server's base" in refused(source, query).message
    with pytest.raises(DataError, match="must be relative to the server's base"):
        source.check("fhir", [query])
    assert server.requests == []


@pytest.mark.parametrize("query", ["?_type=Patient", "Patient/p1/$everything", "Patents"])
def test_other_paths_below_the_base_are_asked(refused, server, source, query):
    assert "has nothing there (404)" in refused(source, query).message
    assert [asked.rstrip("?") for asked in server.requests] == [f"/fhir/{query}"]


def test_a_fhir_server_has_no_files(source):
    for ask in (source.read, source.check):
        with pytest.raises(DataError, match="is a FHIR server and has no files"):
            ask("s3", [])
