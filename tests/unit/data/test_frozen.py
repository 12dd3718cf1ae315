"""Frozen data: read once before round 1, and the same to the bit from then on."""

import hashlib
import hmac
import json
import os
import sqlite3
from pathlib import Path

import pandas as pd
import pytest
from flwr.app import Context, RecordDict
from typer.testing import CliRunner

from flame_flwr.cli import commands, frozen_commands
from flame_flwr.config import NodeSettings, RunSettings
from flame_flwr.data import configured, frozen_store
from flame_flwr.data.configured import open_configured
from flame_flwr.data.frozen_manifest import FrozenTotals, Manifest, Wanted
from flame_flwr.data.frozen_source import FrozenSource
from flame_flwr.data.frozen_store import FrozenStore
from flame_flwr.data.table_pieces import cells_of, pack
from flame_flwr.data.table_query import TableQuery
from flame_flwr.errors import ConfigError, DataError, UnavailableError

duckdb = pytest.importorskip("duckdb")

ROWS = b"person,age\na,61\nb,47\na,62\n"
BUNDLE = {
    "resourceType": "Bundle",
    "type": "searchset",
    "entry": [
        {"resource": {"resourceType": "Observation", "subject": {"reference": f"Patient/{who}"}}}
        for who in "aab"
    ],
}


class Paged:
    """A FHIR server that answers in two pages, and counts how often it is asked."""

    name, type, where, asked = "data source 1", "fhir", "https://fhir.example/", 0

    def fetch(self, kind, keys, write):
        self.asked += 1
        entries = BUNDLE["entry"]
        pages = [{**BUNDLE, "entry": part} for part in (entries[:2], entries[2:])]
        return {key: [write(json.dumps(page).encode()) for page in pages] for key in keys}


@pytest.fixture
def node(tmp_path):
    """A node whose registry has a folder."""

    class Node:
        folder, state = tmp_path / "ward", tmp_path / "state"
        config = {
            "name": "a",
            "state-dir": str(tmp_path / "state"),
            "datasets": str(tmp_path / "datasets.toml"),
        }
        store = FrozenStore(tmp_path / "state", 365, 1e9)

        def register(self, more=""):
            text = f'[[dataset]]\nname = "ward"\ntype = "s3"\nurl = "{self.folder}"\n'
            Path(self.config["datasets"]).write_text(text + f'projects = ["covid", "flu"]\n{more}')

        def open(self, project="covid", **run):
            settings = NodeSettings.from_config(self.config)
            run = RunSettings.from_config({"project-id": project, **run})
            context = Context(7, 1, {}, RecordDict(), {})
            return open_configured("s3", settings, run, context)

        def manifests(self):
            return [manifest for _, manifest in self.store.all()]

    Node.folder.mkdir()
    (Node.folder / "ward.csv").write_bytes(ROWS)
    (Node.folder / "more.bin").write_bytes(bytes(range(256)))
    made = Node()
    made.register("freeze = true\n")
    return made


def test_what_was_frozen_stays(node):
    expected = [{"more.bin": bytes(range(256)), "ward.csv": ROWS}]
    data = node.open()
    data.check("s3", None)
    [manifest] = node.manifests()
    assert (manifest.rows, manifest.columns) == (3, ("person", "age"))
    assert manifest.nbytes == len(ROWS) + 256
    (node.folder / "ward.csv").write_bytes(b"person,age\n")
    assert data.load("s3", None) == expected
    assert node.open().load("s3", None) == expected
    assert [list(files) for files in node.open().load("s3", None)] == [["more.bin", "ward.csv"]]
    assert node.manifests() == [manifest]


def test_the_digest_has_the_manifests_own_key(node):
    node.open().check("s3", None)
    [manifest] = node.manifests()
    told = b"".join(
        len(part).to_bytes(8, "big") + part
        for part in (b"more.bin", bytes(range(256)), b"ward.csv", ROWS)
    )
    assert manifest.hmac == hmac.digest(bytes.fromhex(manifest.key), told, "sha256").hex()
    query = hashlib.sha256(b'["s3", []]').hexdigest()
    assert manifest.query == query
    node.open(freeze="other").check("s3", None)
    one, two = node.manifests()
    assert (one.key != two.key, one.hmac != two.hmac) == (True, True)


def test_each_project_name_and_query_freezes_alone(node):
    node.register()
    assert type(node.open().sources[0]).__name__ == "FolderSource"
    node.open(freeze="2026").load("s3", "ward.csv")
    (node.folder / "ward.csv").write_bytes(b"new")
    [first] = node.open(freeze="2026").load("s3", "ward.csv")
    assert first == {"ward.csv": ROWS}
    for changed in ({"freeze": "2027"}, {"freeze": "2026", "project": "flu"}, {}):
        assert node.open(**changed).load("s3", "ward.csv") == [{"ward.csv": b"new"}]
    assert node.open(freeze="2026").load("s3", None)[0]["ward.csv"] == b"new"
    assert len(node.manifests()) == 4


def test_nobody_else_reads_it_and_it_is_parquet(node):
    node.open().check("s3", None)
    paths = list((node.state / "frozen").rglob("*"))
    assert {path.stat().st_mode & 0o077 for path in paths} == {0}
    [table] = [path for path in paths if path.suffix == ".parquet"]
    found = duckdb.sql(f"SELECT key, octet_length(content) FROM '{table}'").fetchall()
    assert found == [("more.bin", 256), ("ward.csv", len(ROWS))]
    assert not [path for path in paths if path.name.startswith(".part-")]


def test_pages_of_a_server_are_asked_for_once(node):
    live = Paged()
    frozen = FrozenSource(live, "fhir", node.store, "covid", "2026", "register")
    frozen.check("fhir", ["Observation"])
    assert frozen.read("fhir", ["Observation"])["Observation"]["entry"] == BUNDLE["entry"]
    assert live.asked == 1
    [manifest] = node.manifests()
    assert (manifest.rows, manifest.people) == (3, 2)
    with pytest.raises(UnavailableError, match="is frozen"):
        frozen.forward("https://fhir.example/Patient")


def test_large_contents_take_several_files(node, monkeypatch):
    monkeypatch.setattr(frozen_store, "_CHUNK", 100)
    node.open().check("s3", None)
    [manifest] = node.manifests()
    assert len(manifest.files) == 2
    assert node.open().load("s3", None)[0]["ward.csv"] == ROWS


def test_what_was_changed_is_not_read(node):
    node.open().check("s3", None)
    [(path, manifest)] = node.store.all()
    table = path.with_name(manifest.files[0])
    duckdb.sql(f"COPY (SELECT 'ward.csv' AS key, 'x'::BLOB AS content) TO '{table}'")
    with pytest.raises(DataError, match="is not what was frozen"):
        node.open().load("s3", None)
    table.write_bytes(b"no Parquet")
    with pytest.raises(DataError, match="cannot be read: `flame-flwr data drop`"):
        node.open().load("s3", None)
    path.write_bytes(b"{}")
    with pytest.raises(DataError, match="damaged"):
        node.open().load("s3", None)


def test_it_ends_after_its_days(node):
    node.open().check("s3", None)
    [(path, manifest)] = node.store.all()
    old = json.loads(path.read_bytes()) | {"time": manifest.time - 366 * 86400}
    path.write_text(json.dumps(old))
    assert node.store.find(Wanted("covid", "study", "ward", "s3", ())) is None
    assert not [*path.parent.iterdir()]


def test_all_of_it_has_a_limit(node):
    node.config = {**node.config, "freeze-gb": 1e-7}
    with pytest.raises(DataError, match="larger than `freeze-gb`"):
        node.open().check("s3", None)
    assert node.manifests() == []
    assert not [path for path in (node.state / "frozen").rglob("*") if path.is_file()]


def test_who_comes_second_takes_what_is_there(node, monkeypatch):
    """Another process may have frozen the same meanwhile."""
    wanted = Wanted("covid", "study", "ward", "s3", ())
    first = node.store.freeze(wanted, lambda write: {"a": [write(b"1")]})
    assert node.store.freeze(wanted, lambda write: {"a": [write(b"2")]}) == first
    assert list(node.store.contents(wanted, first)) == [("a", b"1")]
    [path] = [path for path, _ in node.store.all()]
    assert sorted(each.name for each in path.parent.iterdir()) == sorted([path.name, *first.files])


def test_a_node_needs_a_folder_and_duckdb(node, monkeypatch):
    node.config = {key: value for key, value in node.config.items() if key != "state-dir"}
    with pytest.raises(ConfigError, match="set `state-dir`"):
        node.open()
    monkeypatch.setattr(frozen_store, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"flame-flwr\[freeze\]"):
        node.store.freeze(Wanted("covid", "study", "ward", "s3", ()), lambda write: {})


def test_functions_are_not_frozen(node):
    class Function:
        name, type = "data source 1", "function"

    with pytest.raises(DataError, match="is a function"):
        FrozenSource(Function(), "s3", node.store, "covid", "2026", "ward")


def test_a_failed_read_freezes_nothing(node):
    def fails(write):
        write(b"some")
        raise DataError("gone away")

    with pytest.raises(DataError, match="gone away"):
        node.store.freeze(Wanted("covid", "study", "ward", "s3", ()), fails)
    assert node.manifests() == []


@pytest.mark.parametrize("key", ["time", "nbytes", "key", "hmac", "files"])
def test_a_manifest_is_read_whole_or_not(node, key):
    node.open().check("s3", None)
    [(_, manifest)] = node.store.all()
    said = json.loads(manifest.to_json())
    assert Manifest.from_json(json.dumps(said).encode()) == manifest
    for wrong in (None, [1], {}):
        if key != "files" or wrong is None:
            with pytest.raises(DataError, match="damaged"):
                Manifest.from_json(json.dumps({**said, key: wrong}).encode())


def test_the_commands(node, tmp_path, capsys):
    lines = (f"{key} = {json.dumps(value)}\n" for key, value in node.config.items())
    (tmp_path / "node.toml").write_text("".join(lines))

    def say(*words):
        done = CliRunner().invoke(commands._app, ["data", *words, "--node", str(tmp_path)])
        return done.exit_code, " ".join((done.output + str(done.exception or "")).split())

    assert "nothing is frozen" in say("list")[1]
    code, text = say("freeze", "ward", "--project", "covid", "--name", "2026")
    assert code == 0
    [manifest] = node.manifests()
    assert f"3 rows, columns person, age; query {manifest.query[:16]}" in text
    assert node.open(freeze="2026").load("s3", None)
    assert node.manifests() == [manifest]
    assert "no dataset 'ward' for 'sepsis'" in say("freeze", "ward", "--project", "sepsis")[1]
    assert "say --project" in say("freeze", "ward")[1]
    capsys.readouterr()
    frozen_commands.show_frozen(tmp_path)
    table = capsys.readouterr().out
    assert max(map(len, table.splitlines())) <= 80
    assert manifest.hmac[:8] in table
    assert "none of the frozen data" in say("drop", "00" + manifest.hmac[:4])[1]
    assert say("drop", manifest.hmac[:12])[0] == 0
    assert node.manifests() == []
    assert os.listdir(node.state / "frozen")


def test_tables_of_a_database_are_frozen(node, tmp_path):
    """A row that is added later is in no run of the study; the live database has it."""
    place = tmp_path / "ward.db"
    with sqlite3.connect(place) as ward:
        ward.execute("CREATE TABLE person (id INTEGER, age REAL, sex TEXT)")
        ward.executemany("INSERT INTO person VALUES (?, ?, ?)", [(1, 61, "f"), (2, None, "m")])
    ward.close()
    entry = '[[dataset]]\nname = "ward"\ntype = "sql"\nprojects = ["covid"]\n'
    entry += f'url = "sqlite:///{place}"\ntables.person = ["id", "age", "sex"]\n'

    def people(freeze):
        Path(node.config["datasets"]).write_text(f"{entry}freeze = {freeze}\n")
        settings = NodeSettings.from_config(node.config)
        run, context = RunSettings.from_config({"project-id": "covid"}), Context(7, 1, {}, {}, {})
        data = open_configured("sql", settings, run, context)
        return data.load("sql", TableQuery().keys())[0]["person"]

    before = people("true")
    with sqlite3.connect(place) as ward:
        ward.execute("INSERT INTO person VALUES (3, 47, 'f')")
    ward.close()
    pd.testing.assert_frame_equal(people("true"), before)
    assert [len(before), len(people("false"))] == [2, 3]
    [manifest] = node.manifests()
    assert (manifest.rows, manifest.columns) == (2, ("id", "age", "sex"))


def test_nodes_of_a_simulation_freeze_each_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(configured, "runtime", lambda: "simulation")
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "ward.csv").write_text(f"age\n{60 + number}\n")
    state = str(tmp_path / "state")
    said = {"project-id": "covid", "freeze": "2026", "state-dir": state}
    run = RunSettings.from_config({**said, "data": f"{tmp_path}/{{partition-id}}"})
    for number in (0, 1, 0):
        node = {"partition-id": number, "num-partitions": 2}
        context = Context(7, number, node, RecordDict(), {})
        data = open_configured("s3", NodeSettings.from_config(node), run, context)
        assert data.load("s3", None) == [{"ward.csv": b"age\n%d\n" % (60 + number)}]


def test_a_dashed_name_is_not_another_projects(node):
    node.register()
    text = Path(node.config["datasets"]).read_text()
    Path(node.config["datasets"]).write_text(text.replace('"flu"', '"covid-a"'))
    assert node.open(freeze="a-b").load("s3", None)[0]["ward.csv"] == ROWS
    (node.folder / "ward.csv").write_bytes(b"new")
    assert node.open(project="covid-a", freeze="b").load("s3", None)[0]["ward.csv"] == b"new"


@pytest.mark.parametrize("kind", ["s3", "sql"])
def test_a_manifest_has_how_many_people(node, tmp_path, kind):
    """By the column that the registry names: two, one with two rows."""
    node.register('freeze = true\nsubject = "person"\n')
    if kind == "sql":
        with sqlite3.connect(tmp_path / "ward.db") as ward:
            ward.execute("CREATE TABLE visits (person TEXT, age REAL)")
            ward.executemany("INSERT INTO visits VALUES (?, ?)", [("a", 61), ("b", 47), ("a", 62)])
        ward.close()
        Path(node.config["datasets"]).write_text(
            '[[dataset]]\nname = "ward"\ntype = "sql"\nprojects = ["covid"]\nfreeze = true\n'
            f'url = "sqlite:///{tmp_path}/ward.db"\ntables.visits = ["person", "age"]\n'
            'subject = "person"\n'
        )
    settings = NodeSettings.from_config(node.config)
    run, context = RunSettings.from_config({"project-id": "covid"}), Context(7, 1, {}, {}, {})
    keys = None if kind == "s3" else TableQuery().keys()
    open_configured(kind, settings, run, context).check(kind, keys)
    [manifest] = node.manifests()
    assert (manifest.rows, manifest.people) == (3, 2)
    assert "3 rows, 2 people" in manifest.words()


@pytest.mark.parametrize("ids", [["a", None, "a"], [1, None, 1], [1.5, None, 1.5]])
def test_an_empty_cell_is_nobody_in_a_manifest(ids):
    table = FrozenTotals("sql", "id")
    table.add("visits", pack({"id": cells_of(ids)}))
    table.close()
    file = FrozenTotals("s3", "id")
    lines = "\n".join(f"{'' if each is None else each},1" for each in ids)
    file.add("visits.csv", f"id,n\n{lines}\n".encode())
    file.close()
    assert (table.rows, table.people) == (file.rows, file.people) == (3, 1)
