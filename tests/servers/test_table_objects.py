"""Parquet and CSV objects of a real store as tables: on the disk first, then only what is asked."""

import os
import tempfile
from types import SimpleNamespace

import duckdb
import pytest
from flwr.app import Context, RecordDict

from flame_flwr.config import NodeSettings, RunSettings
from flame_flwr.data.cache import OBJECTS, Cache
from flame_flwr.data.configured import open_configured
from flame_flwr.data.open_data import check_dataset
from flame_flwr.data.registry import read_registry
from flame_flwr.data.table_query import TableQuery
from flame_flwr.errors import DataError

ROWS = [(number, 18 + number % 70, f"note {number % 3}") for number in range(5000)]
CSV = ("id,age,note\n" + "".join(f"{n},{age},{note}\n" for n, age, note in ROWS)).encode()


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """One table as Parquet, one as CSV, one in parts; and what is none."""
    folder = tmp_path_factory.mktemp("tables")
    (folder / "people.csv").write_bytes(CSV)
    found = {"study/people.csv": CSV, "study/readme.txt": b"no table", "study/deep/er/x.csv": b"a"}
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t AS FROM read_csv('{folder}/people.csv')")
        for name, where in (("visits", ""), ("parts/0", "id % 2 = 0"), ("parts/1", "id % 2 = 1")):
            path = folder / "made.parquet"
            connection.execute(f"COPY (FROM t WHERE {where or 'true'}) TO '{path}'")
            found[f"study/{name}.parquet"] = path.read_bytes()
    return found


@pytest.fixture
def ward(tmp_path, monkeypatch, s3_server, objects):
    """A node whose registry has a bucket of tables."""
    monkeypatch.setenv("TABLES_KEY_ID", s3_server.key_id)
    monkeypatch.setenv("TABLES_SECRET", s3_server.secret)

    class Ward:
        bucket = s3_server.bucket(objects)
        kept = tmp_path / "cache" / OBJECTS

        def dataset(self, lines):
            path = tmp_path / "datasets.toml"
            path.write_text(
                '[[dataset]]\nname = "n"\ntype = "sql"\nprojects = ["*"]\nallow-http = true\n'
                f'url = "s3://{self.bucket}/study"\nendpoint = "{s3_server.endpoint}"\n'
                'key-id = { env = "TABLES_KEY_ID" }\nsecret = { env = "TABLES_SECRET" }\n'
                f"{lines}\n"
            )
            return read_registry(path)[0]

        def read(self, lines, query=None, columns=None, **node):
            self.dataset(lines)
            settings = NodeSettings.from_config(
                {"datasets": str(tmp_path / "datasets.toml"), **node}
            )
            context = Context(1, 1, {}, RecordDict(), {})
            data = open_configured("sql", settings, RunSettings.from_config({}), context)
            data.check("sql", keys := TableQuery.declared(query, columns).keys())
            return data.load("sql", keys)[0]

        def put(self, **changed):
            s3_server.put(self.bucket, {f"study/{key}": value for key, value in changed.items()})

    made = Ward()
    made.cache = {"cache-dir": str(tmp_path / "cache")}
    return made


TABLES = "\n".join(f"tables.{name} = ['id', 'age']" for name in ("people", "visits", "parts"))
VISITS = "tables.visits = ['id', 'age']"


def test_objects_are_tables_and_are_kept(ward):
    found = ward.read(TABLES, **ward.cache)
    for table in found.values():
        pairs = sorted(table.itertuples(index=False, name=None))
        assert pairs == [(number, age) for number, age, _ in ROWS]
    assert found.keys() == {"people", "visits", "parts"}
    kept = {path: path.stat().st_ino for path in ward.kept.iterdir() if path.name != ".size"}
    assert sorted(path.suffix for path in kept) == [".csv", *[".parquet"] * 3]
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert int((ward.kept / ".size").read_text()) == sum(path.stat().st_size for path in kept)

    assert list(ward.read(TABLES, "visits", ["age"], **ward.cache)["visits"]) == ["age"]
    assert kept == {path: path.stat().st_ino for path in kept}  # nothing came anew
    with pytest.raises(DataError, match="has no 'note'"):
        ward.read(TABLES, "visits", ["note"], **ward.cache)


def test_a_query_joins_them_and_reaches_nothing_else(ward, tmp_path):
    sql = tmp_path / "older.sql"
    sql.write_text("SELECT v.age FROM visits v JOIN people p USING (id) WHERE v.age >= 70")
    older = ward.read(f'query = "{sql}"', **ward.cache)["older"]["age"]
    assert sorted(older) == sorted(age for _, age, _ in ROWS if age >= 70)
    secret = ward.kept / ("0" * 64 + ".csv")  # an object of another project's
    secret.write_text("a\n1\n")
    sql.write_text(f"FROM '{secret}'")
    with pytest.raises(DataError, match="something beside the database, such as a file"):
        ward.read(f'query = "{sql}"', **ward.cache)


def test_a_withdrawn_key_reads_nothing_kept(ward, monkeypatch):
    ward.read(VISITS, **ward.cache)
    monkeypatch.setenv("TABLES_SECRET", "withdrawn")
    with pytest.raises(DataError, match=r"access denied .*this node was given is wrong") as raised:
        ward.read(VISITS, **ward.cache)
    assert "withdrawn" not in str(raised.value)


def test_changed_and_damaged_files_come_anew(ward, objects):
    ward.read("tables.people = ['id']", **ward.cache)
    [kept] = ward.kept.glob("*.csv")
    kept.write_bytes(b"id\n1\n")
    assert len(ward.read("tables.people = ['id']", **ward.cache)["people"]) == len(ROWS)
    ward.put(**{"people.csv": b"id,age,note\n7,8,9\n"})
    assert ward.read("tables.people = ['id']", **ward.cache)["people"]["id"].tolist() == [7]


@pytest.mark.parametrize("node", [{}, {"cache-gb": 1e-6}])
def test_without_room_in_a_cache_nothing_stays(ward, node, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    os.mkdir(tempfile.tempdir)
    found = ward.read(VISITS, **(node and {**ward.cache, **node}))
    assert len(found["visits"]) == len(ROWS)
    assert os.listdir(tempfile.tempdir) == []
    assert not node or not [path for path in ward.kept.iterdir() if path.suffix]


def test_what_is_wrong_with_objects(ward):
    with pytest.raises(DataError, match="must have one file for each table") as raised:
        ward.read("tables.absent = ['id']")
    assert "absent" not in raised.value.message
    ward.put(**{"visits.csv": CSV})
    with pytest.raises(DataError, match="must have one file for each table"):
        ward.read(VISITS)
    ward.put(**{"people.parquet": b"no Parquet", "odd.parquet": b"no Parquet"})
    with pytest.raises(DataError, match="a file is not what its name says"):
        ward.read("tables.odd = ['id']")


def test_a_full_disk_is_said(ward, monkeypatch):
    def full(path, *how):
        raise OSError(28, os.strerror(28))

    without_room = SimpleNamespace(**{**vars(os), "open": full})
    monkeypatch.setattr("flame_flwr.data.s3_files.os", without_room)
    with pytest.raises(DataError, match=r"cannot keep an object of the store .*: set `cache-dir`"):
        ward.read(VISITS)


def test_data_check_reads_it(ward):
    context = Context(0, 0, {}, RecordDict(), {})
    assert check_dataset(ward.dataset(TABLES), "n", context) == ""


def test_a_full_cache_drops_the_least_used(tmp_path):
    cache = Cache(tmp_path, 250)
    cache.check()
    for number in range(3):
        path = cache.folder / f".part-{number}.csv"
        path.write_bytes(b"x" * 100)
        os.utime(cache.take([str(number)], path, 100, ".csv"), (number, number))
    assert [cache.file([str(number)], 100, ".csv") is None for number in range(3)] == [
        True,
        False,
        False,
    ]
