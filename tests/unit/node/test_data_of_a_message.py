"""The node reads stores, servers and databases; a message's process has no key and no network."""

import contextlib
import hashlib
import os
import sqlite3
import subprocess
from itertools import count

import pytest
from fhir_server import FhirServer

from flame_flwr.config import NodeSettings, RunSettings
from flame_flwr.data.configured import open_configured
from flame_flwr.errors import FlameError
from flame_flwr.failure.failure import Failure
from flame_flwr.flower_node_state import RAISED
from flame_flwr.node.message_host import MessageHost
from flame_flwr.payload import decode, from_record

NO_SECRET = "words-that-are-no-secret"

RUNS = count(100)

APP = """
import asyncio, gc, hashlib, os, re, sys
from flame_flwr.data import served_data
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel

class Looks(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
{body}

class Keeps(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return True

app = StarModel(Looks, Keeps, {kind!r}, query={query!r}, columns={columns!r}).client_app
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory, source_keys):
    """A node whose environment has the keys, and a secret that a function reads."""
    patch = pytest.MonkeyPatch()
    patch.setattr(
        "flame_flwr.node.forks.subprocess", subprocess
    )  # keys are looked for from outside
    patch.setenv("FLWR_HOME", str(tmp_path_factory.mktemp("home")))
    patch.setenv("LC_ROWS", NO_SECRET)
    modules = tmp_path_factory.mktemp("modules")
    code = "import os\ndef rows(context):\n    return {'rows': [os.environ['LC_ROWS']]}\n"
    (modules / "hospitals_rows.py").write_text(code)
    patch.setenv("PYTHONPATH", str(modules))
    patch.syspath_prepend(modules)
    host = MessageHost()
    yield host
    host.close()
    patch.undo()


@pytest.fixture
def look(host, fab_of, node_message):
    """Have an analyzer with this body look at the data; return its value, or the failure."""

    def ask(body, data, kind="s3", query=None, run=None, columns=None, **config):
        lines = "".join(f"        {line}\n" for line in body.splitlines())
        fab = fab_of("looks", APP.format(body=lines, kind=kind, query=query, columns=columns))
        asked = node_message("looks", fab, None, node={"data": data, **config})
        asked.context.run_id = next(RUNS) if run is None else run
        asked.context.run_config.clear()
        reply = host.answer(asked).reply
        if reply.has_error():
            return reply.error
        metrics = reply.content["fitres.metrics"]
        if "failure" in metrics:
            return str(Failure.from_json(metrics["failure"]))
        return decode(from_record(reply.content["fitres.parameters"]))

    return ask


def directly(context, data, kind, query):
    """Read as a process that reads by itself."""
    settings = NodeSettings.from_config({"data": data})
    return open_configured(kind, settings, RunSettings.from_config({}), context()).load(kind, query)


FILES = {"b/c 1.csv": b"", "a": b"1,2\n" * 5000, "ü.bin": bytes(range(256))}

SEARCHES = [
    "Patient?_count=200&gender=male",
    "Observation?_count=1000&_include=Observation:subject",
]


@pytest.mark.parametrize(
    ("kind", "query"), [("s3", None), ("s3", ["ü.bin", "a"]), ("fhir", SEARCHES)]
)
def test_values_are_those_of_a_direct_read(look, store, fhir, tmp_path, context, kind, query):
    if kind == "s3":
        (tmp_path / "files").mkdir()
        for name in ("a", "ü.bin"):
            (tmp_path / "files" / name).write_bytes(b"local")
        data = f"{tmp_path}/files; s3://{store.server.bucket(FILES)}"
        data += "; hospitals_rows:rows" if query is None else ""
    else:
        data = fhir.url
    expected = directly(context, data, kind, query)
    got = look("return data", data, kind, query)
    assert got == expected
    assert [list(files) for files in got] == [list(files) for files in expected]
    assert look("return self.flame.get_data_sources()", data, kind, query) == [
        {"id": str(i), "name": f"data source {i}", "type": each}
        for i, each in enumerate(
            ["fhir"] if kind == "fhir" else ["folder", "s3", "function"][: len(expected)], 1
        )
    ]


def test_a_source_is_read_once_a_run(look, store, fhir, tmp_path):
    size = 3_000_000
    bucket = store.server.bucket({"large": os.urandom(size)})
    for data, kind, query in (
        (f"s3://{bucket}", "s3", None),
        (fhir.url, "fhir", "Patient?_count=100"),
    ):
        store.received, fhir.requests[:] = 0, []
        run = next(RUNS)
        values = {
            look(
                "return hashlib.sha256(str(data).encode()).hexdigest()",
                data,
                kind,
                query,
                run=run,
                **{"cache-dir": str(tmp_path / "files")},
            )
            for _ in range(3)
        }
        assert len(values) == 1
        if kind == "s3":
            assert size < store.received < 1.2 * size
        else:
            assert len(fhir.requests) == 6
    # what is kept has no name, so that nobody finds it, and nothing is left when the node ends
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["objects"]


SECRETS = """
def has(content, half, digest):
    place = -1
    while (place := content.find(half, place + 1)) >= 0:
        if hashlib.sha256(content[place:place + 2 * len(half)]).digest() == digest:
            return True
    return False

found = [[] for _ in {wanted!r}]

def look_at(place, content):
    for places, each in zip(found, {wanted!r}):
        if has(content, *each):
            places.append(place)

look_at("environment", open("/proc/self/environ", "rb").read())
look_at("arguments", open("/proc/self/cmdline", "rb").read())
look_at("variables", repr(dict(os.environ)).encode())
with open("/proc/self/mem", "rb", 0) as memory:
    for line in open("/proc/self/maps").read().splitlines():
        begin, end = (int(each, 16) for each in line.split()[0].split("-"))
        if line.split()[1].startswith("rw"):
            memory.seek(begin)
            look_at(line, memory.read(end - begin))
return found
"""


def half_and_hash(secret):
    """Return what a secret is looked for with: the code that looks must not have it itself."""
    text = secret.encode()[: len(secret) // 2 * 2]
    return text[: len(text) // 2], hashlib.sha256(text).digest()


@pytest.fixture
def registry(store, tmp_path):
    """A registry whose variables have names that say nothing."""
    url = f"s3://{store.server.bucket({'a': b'1'})}"
    (tmp_path / "datasets.toml").write_text(
        f'[[dataset]]\nname = "n"\ntype = "s3"\nprojects = ["*"]\nurl = "{url}"\n'
        'key-id = {env = "WARD"}\nsecret = {env = "PASC"}\n'
    )
    return str(tmp_path / "datasets.toml")


@pytest.mark.parametrize("place", ["s3", "fhir", "registry"])
def test_no_secret_is_in_the_process(look, store, fhir, registry, place):
    secrets = [store.server.secret, fhir.token]
    body = SECRETS.format(wanted=[half_and_hash(each) for each in [*secrets, NO_SECRET]])
    if place == "s3":
        found = look(body, f"s3://{store.server.bucket({'a': b'1'})}")
    elif place == "fhir":
        found = look(body, fhir.url, "fhir", "Patient?_count=600")
    else:
        found = look(body, "", datasets=registry)
    assert found[:2] == [[], []]
    assert len(found[2]) >= 3  # where a secret would be


def test_a_secret_in_a_config_goes_no_further(look):
    said = look("return data", "fhir+https://me:hunter-22@x/fhir")
    assert "must have no user, key or password in it" in said
    assert "hunter-22" not in said


def test_errors_are_those_of_a_direct_read(look, store, fhir, context, monkeypatch):
    bucket = store.server.bucket({"patient-17.csv": b"1"})
    monkeypatch.setenv("FHIR_TOKEN", "another")
    for data, kind, query in (
        (f"s3://{bucket}", "s3", ["patient-18.csv"]),
        (f"s3://{bucket}-none", "s3", None),
        (f"s3://{bucket}", "fhir", "Patient"),
        (fhir.url, "fhir", "Patient?name=Muster"),
        (fhir.url, "s3", None),
        ("relative", "s3", None),
        ("no_such_module:rows", "s3", None),
    ):
        with pytest.raises(FlameError) as raised:
            directly(context, data, kind, query)
        said = look("return data", data, kind, query)
        assert said == f"{type(raised.value).__name__}: {raised.value.message}"
        shared = look("return data", data, kind, query, **{"share-tracebacks": True})
        assert shared.startswith(f"{type(raised.value).__name__}: {raised.value}")


CLIENT = """
async def ask():
    async with self.flame.get_data_client("1") as client:
        answers = []
        for method, address in {requests!r}:
            try:
                answer = await client.request(method, address)
                answers.append([answer.status_code, answer.json()["resourceType"], str(answer.url)])
            except Exception as error:
                answers.append(type(error).__name__ + ": " + error.args[0])
        return answers
return asyncio.run(ask())
"""


def test_a_data_client_gets_and_no_more(look, fhir):
    outside = "a request may go below this server's base only"
    with FhirServer() as other:
        requests = [
            ("GET", "Patient?_count=5"),
            ("GET", f"{fhir.base}/nothing"),
            ("GET", f"{other.base}/Patient"),
            ("GET", f"http://127.0.0.1:{fhir.port}/admin"),
            ("GET", f"{fhir.base}/%2e%2e/admin"),
            ("POST", "Patient"),
            ("DELETE", "Patient/p1"),
        ]
        said = look(CLIENT.format(requests=requests), fhir.url, "fhir", "Patient?_count=600")
        assert other.requests == []
    assert said[:2] == [
        [200, "Bundle", f"{fhir.base}/Patient?_count=5"],
        [404, "OperationOutcome", f"{fhir.base}/nothing"],
    ]
    assert all(outside in each for each in said[2:5])
    assert all("passes on GET requests" in each for each in said[5:])
    assert not [each for each in fhir.requests if "admin" in each]


def test_a_data_client_meets_httpx_errors(look, fhir):
    body, run = CLIENT.format(requests=[("GET", "Patient")]), next(RUNS)
    with FhirServer(token=fhir.token) as gone:
        assert look(body, gone.url, "fhir", "Patient?_count=600", run)[0][0] == 200
    [said] = look(body, gone.url, "fhir", "Patient?_count=600", run)
    assert said.startswith("ConnectError: ")


def test_a_refused_question_ends_its_message(look, store):
    bucket = store.server.bucket({"a": b"1"})
    body = "served_data._ASK[0]({'ask': 'read', 'bucket': 'other'})"
    error = look(body, f"s3://{bucket}")
    assert (error.code, "data that it may not have" in error.reason) == (RAISED, True)
    assert look("return data", f"s3://{bucket}") == [{"a": b"1"}]


@pytest.mark.parametrize("key", ["../other/a", "/a", "a/../../other/a", "%2e%2e/other/a"])
def test_a_key_leads_out_of_no_prefix(look, store, key):
    bucket = store.server.bucket({"mine/a": b"1", "other/a": b"2"})
    said = look(f"return self.flame.get_s3_data([{key!r}])", f"s3://{bucket}/mine")
    assert "cannot be had" in said


def test_the_node_reads_tables_of_databases(look, tmp_path):
    """As DataFrames, with the columns and the rows that the model asks for, once in a run."""
    database = tmp_path / "ward.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE visits (id INTEGER, age INTEGER, note TEXT)")
        rows = [(number, 18 + number % 50, "x") for number in range(30_000)]
        connection.executemany("INSERT INTO visits VALUES (?, ?, ?)", rows)
        connection.commit()
    (tmp_path / "visits.sql").write_text("SELECT id, age, note FROM visits WHERE age >= :least")
    (tmp_path / "datasets.toml").write_text(
        f'[[dataset]]\nname = "n"\ntype = "sql"\nprojects = ["*"]\nurl = "sqlite:///{database}"\n'
        f'query = "{tmp_path / "visits.sql"}"\nparameters.least = {{ type = "whole", low = 18 }}\n'
    )
    given = {"kind": "sql", "datasets": str(tmp_path / "datasets.toml"), "run": next(RUNS)}
    body = "visits = data[0]['visits']\nvisits['age'] += 0\n"
    body += "return [list(visits), len(visits), int(visits['id'].sum())]"
    ids = [number for number, age, _ in rows if age >= 40]
    for _ in range(2):  # the second time without the database
        found = look(body, "", query={"least": 40}, columns=["age", "id"], **given)
        assert found == [["age", "id"], len(ids), sum(ids)]
        database.unlink(missing_ok=True)
    said = look(body, "", query={"least": 40}, **given)
    assert "no such database, or it cannot be opened" in said
    assert str(database) not in said
    said = look(body, "", query={"least": 17}, **given)
    assert "'least' must be a whole number from 18" in said
