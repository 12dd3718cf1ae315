"""Folders of Parquet and CSV files as tables: which columns come, and how much memory it takes."""

import json
import subprocess
import sys

import duckdb
import pytest
from hanging import HANGS

from flame_flwr.data.open_data import check_dataset, open_dataset
from flame_flwr.data.registry import read_registry
from flame_flwr.data.table_query import TableQuery
from flame_flwr.errors import ConfigError, DataError

ROWS = [(number, 18 + number % 70, f"note {number % 3}") for number in range(7000)]
VISITS = "tables.visits = ['id', 'age']"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One table as Parquet, one as CSV, and one in parts."""
    folder = tmp_path_factory.mktemp("tables")
    (folder / "people.csv").write_text(
        "id,age,note\n" + "".join(f"{number},{age},{note}\n" for number, age, note in ROWS)
    )
    (folder / "parts").mkdir()
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t AS FROM read_csv('{folder}/people.csv')")
        connection.execute(f"COPY t TO '{folder}/visits.parquet'")
        for part in range(2):
            where = f"WHERE id % 2 = {part}"
            connection.execute(f"COPY (FROM t {where}) TO '{folder}/parts/{part}.parquet'")
    (folder / "readme.txt").write_text("no table")
    return folder


@pytest.fixture
def source(tmp_path, context, folder):
    def make(lines, url=None):
        path = tmp_path / "datasets.toml"
        start = '[[dataset]]\nname = "n"\ntype = "sql"\nprojects = ["*"]\n'
        path.write_text(f'{start}url = "{url or folder}"\n{lines}\n')
        [dataset] = read_registry(path)
        assert check_dataset(dataset, "n", context()) == ""
        return open_dataset(dataset, "data source 1", context())

    return make


def read(source, query=None, columns=None):
    return source.read("sql", TableQuery.declared(query, columns).keys())


def test_tables_are_files_or_folders_of_parts(source):
    lines = "\n".join(f"tables.{name} = ['id', 'age']" for name in ("people", "visits", "parts"))
    found = read(source(lines))
    for name in ("people", "visits"):
        pairs = list(found[name].itertuples(index=False, name=None))
        assert pairs == [(number, age) for number, age, _ in ROWS]
    assert sorted(found["parts"]["id"]) == [number for number, *_ in ROWS]
    assert list(read(source(lines), "visits", ["age"])["visits"]) == ["age"]
    with pytest.raises(DataError, match="has no 'note'"):
        read(source(lines), "visits", ["note"])


def test_a_query_joins_them_and_reaches_nothing_else(source, tmp_path):
    (tmp_path / "older.sql").write_text(
        "SELECT v.age FROM visits v JOIN people p USING (id) WHERE v.age >= :least"
    )
    lines = f'query = "{tmp_path}/older.sql"\nparameters.least = {{ type = "whole" }}'
    ages = [age for _, age, _ in ROWS if age >= 70]
    assert sorted(read(source(lines), {"least": 70})["older"]["age"]) == sorted(ages)
    for sql in ("FROM read_text('/etc/passwd')", f"FROM '{tmp_path}/other.csv'"):
        (tmp_path / "other.csv").write_text("a\n1\n")
        (tmp_path / "older.sql").write_text(sql)
        with pytest.raises(DataError, match="something beside the database, such as a file"):
            source(f'query = "{tmp_path}/older.sql"')


def test_what_is_wrong_with_a_folder(source, tmp_path, folder):
    with pytest.raises(DataError, match="must have one file for each table") as raised:
        source("tables.absent = ['id']")
    assert "absent" not in raised.value.message
    with pytest.raises(DataError, match="the folder of tables cannot be read"):
        source(VISITS, tmp_path / "nothing")
    for name in ("visits.csv", "visits.parquet"):
        (tmp_path / name).write_text("no Parquet")
    with pytest.raises(DataError, match="must have one file for each table"):
        source(VISITS, tmp_path)
    (tmp_path / "visits.csv").unlink()
    with pytest.raises(DataError, match="a file is not what its name says"):
        source(VISITS, tmp_path)
    with pytest.raises(ConfigError, match="the path in `url` in this node's registry must be abs"):
        source(VISITS, "tables")


PEAK = """
import json, re, sys
import duckdb, pandas as pd
from pathlib import Path
from flame_flwr.data.sql_entry import SqlEntry
from flame_flwr.data.sql_source import SqlSource
from flame_flwr.data.table_files import TableFiles
from flame_flwr.data.table_query import TableQuery

def memory(name):
    return int(re.search(rf"{name}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

pd.Series(["a"])
before = memory("VmRSS")
entry = SqlEntry.of({"tables": {"people": ["age", "r0"]}, "max-rows": 20_000_000}, "entry")
source = SqlSource(TableFiles(Path(sys.argv[1]), "source"), entry, "source")
ages = source.read("sql", TableQuery(columns=("age",)).keys())["people"]["age"]
print(json.dumps([ages.mean(), len(ages), memory("VmHWM") - before]))
"""


@pytest.mark.exhaustive
def test_a_large_files_mean_age_takes_little_memory(tmp_path):
    """2 GB, of which one column is read; ``make test`` sees above that no other is."""
    columns = ", ".join(f"random() AS r{number}" for number in range(21))
    with duckdb.connect(config={"memory_limit": "1GB"}) as connection:
        connection.execute(
            f"COPY (SELECT (i * 7919 % 90)::INT AS age, {columns} FROM range(12000000) t(i)) TO "
            f"'{tmp_path}/people.parquet' (COMPRESSION uncompressed)"
        )
    assert (tmp_path / "people.parquet").stat().st_size > 2e9
    command = [sys.executable, "-c", PEAK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, check=True)
    mean, rows, megabytes = json.loads(done.stdout)
    assert rows == 12_000_000
    assert mean == sum(number * 7919 % 90 for number in range(12_000_000)) / rows
    assert megabytes < 300
