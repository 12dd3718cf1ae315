"""Tables of SQLite and DuckDB: what comes, that nothing is written, and what is said of mistakes.

PostgreSQL's are in ``tests/servers/test_sql_postgres.py``.
"""

import os
import sqlite3

import duckdb
import numpy as np
import pytest

from flame_flwr.data.data_size import evidence_of
from flame_flwr.data.open_data import check_dataset, open_data, open_dataset
from flame_flwr.data.registry import read_registry
from flame_flwr.data.sql_source import SqlSource
from flame_flwr.data.table_pieces import as_frame, unpack
from flame_flwr.data.table_query import TableQuery
from flame_flwr.errors import ConfigError, DataError, ModelError
from flame_flwr.star import StarModel

from .summed_ages import Ages, Total

PEOPLE = [(number, 18 + number % 70, "fm"[number % 2]) for number in range(12_000)]

SECRET = "value-of-a-row"

CREATE = "CREATE TABLE people (id BIGINT, age INTEGER, sex VARCHAR(9))"

KINDS = ["sqlite", "duckdb"]


def fill(kind, path, statements=(), rows=PEOPLE):
    connection = sqlite3.connect(path) if kind == "sqlite" else duckdb.connect(str(path))
    connection.execute(CREATE)
    for first in range(0, len(rows), 5000):
        some = ", ".join(map(str, rows[first : first + 5000]))
        connection.execute(f"INSERT INTO people VALUES {some}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("databases")
    for kind in KINDS:
        more = [
            "CREATE TABLE odd (a VARCHAR, b INTEGER, c BOOLEAN)",
            f"INSERT INTO odd VALUES (NULL, NULL, NULL), ('{SECRET}', 3, true)",
        ]
        fill(kind, folder / kind, more)
    return folder


@pytest.fixture
def dataset(files, tmp_path):
    """Write an entry for a kind of database, with these lines; return it as it is read."""

    def write(kind, lines="", sql="", tables=""):
        (tmp_path / "people.sql").write_text(sql)
        path = tmp_path / "datasets.toml"
        what = tables or f'query = "{tmp_path / "people.sql"}"'
        url = f"{kind}:///{files / kind}"
        start = '[[dataset]]\nname = "n"\ntype = "sql"\nprojects = ["*"]'
        path.write_text(f'{start}\nurl = "{url}"\n{what}\n{lines}\n')
        [made] = read_registry(path)
        return made

    return write


@pytest.fixture
def source(dataset, context):
    return lambda *args, **more: open_dataset(dataset(*args, **more), "data source 1", context())


def read(source, query=None, columns=None):
    return source.read("sql", TableQuery.declared(query, columns).keys())


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_comes_whole_also_in_children(source, kind):
    people, pieces = source(kind, tables="tables.people = ['id', 'age', 'sex']"), []
    frame = read(people)["people"]
    assert list(frame.itertuples(index=False, name=None)) == PEOPLE
    keys = TableQuery().keys()
    found = people.fetch("sql", keys, lambda piece: pieces.append(piece) or len(pieces) - 1)
    child = as_frame([unpack(pieces[number]) for number in found["people"]])
    assert child.equals(frame)
    child["age"] += 1  # an analyzer may change what it gets
    assert evidence_of([{"people": frame}], "sql").words() == f"rows ({len(PEOPLE)},)"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_and_nothing_at_all(source, kind):
    frame = read(source(kind, tables="tables.odd = ['a', 'b', 'c']"))["odd"]
    assert frame["a"].isna().tolist() == [True, False]
    assert frame["b"].dtype == float
    assert np.isnan(frame["b"][0])
    assert frame["c"].tolist()[1] == 1
    none = read(source(kind, sql="select id, age from people where id < 0"))["people"]
    assert (list(none), len(none)) == (["id", "age"], 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_named_twice_is_read_once(source, kind):
    people = source(kind, sql="select id, age from people")
    assert list(read(people, columns=["age", "people.age"])["people"]) == ["age"]


LATER = "parameters.least = { type = 'whole', low = 18, default = 50 }\n"


LATER += "parameters.sex = { type = 'text', values = ['f', 'm'] }"

SQL = "SELECT id, age FROM people WHERE age >= :least AND sex = :sex; -- :commented"


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_takes_the_parameters_that_it_declares(source, kind):
    people = source(kind, LATER, SQL.partition(";")[0] + ";")
    people.check()
    for query, least in (({"sex": "f"}, 50), ({"sex": "f", "least": 80}, 80)):
        ids = [number for number, age, sex in PEOPLE if age >= least and sex == "f"]
        assert read(people, query, ["id"])["people"]["id"].tolist() == ids
    for query, message in (
        ({}, "needs a value for the parameter 'sex'"),
        ({"sex": "f' OR 1=1 --"}, "'sex' must be one of f, m: this node allows nothing else"),
        ({"sex": "f", "least": 17}, "'least' must be a whole number from 18"),
        ({"sex": "f", "least": 18.5}, "'least' must be a whole number from 18"),
        ({"sex": "f", "least": 2**70}, "'least' must be a whole number from 18"),
        ({"sex": "f", "more": 3}, "has no parameter 'more', which the query names"),
    ):
        with pytest.raises(DataError) as raised:
            read(people, query)
        assert message in raised.value.message


FAILS = [
    ("sqlite", "delete from people", "", "it must be one SELECT"),
    ("duckdb", "delete from people returning id", "", "it must be one SELECT"),
    ("duckdb", "select 1 as n) q; drop table people; --", "", "it must be one SELECT"),
    ("duckdb", "select content from read_text('/etc/passwd')", "", "something beside the database"),
    ("sqlite", "select load_extension('x') as n", "", "something beside the database"),
    ("sqlite", "select * from absent", "", "a table or column that is read is not there"),
    ("duckdb", "select * from absent", "", "a table or column that is read is not there"),
    ("sqlite", "select absent from people", "", "a table or column that is read is not there"),
    ("duckdb", "select absent from people", "", "a table or column that is read is not there"),
    ("duckdb", "select cast(a as int) as n from odd", "", "fails at a value"),
    ("duckdb", "select [1] as n", "", "column 1 of what is read has a type that pandas has not"),
    ("sqlite", "select x'00' as n", "", "column 1 of what is read has a type that pandas has not"),
    ("sqlite", "select 1 as n union all select 'x'", "", "or more than one, or"),
    ("duckdb", "create table n (n int)", "", "it must be one SELECT"),
    ("duckdb", "select * from people", "max-rows = 9000", "has more than 9000 rows: ask for less"),
    ("sqlite", "select * from people", "max-mb = 0.1", "has more than 0.1 MB: ask for less"),
]

ENDLESS = (
    "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) as c from n"
)


@pytest.mark.parametrize(("kind", "sql", "lines", "message"), FAILS)
def test_what_fails_has_a_message_of_its_own(source, kind, sql, lines, message, files):
    before = (files / kind).read_bytes()
    with pytest.raises(DataError) as raised:
        read(source(kind, lines, sql))
    assert message in raised.value.message
    for word in (SECRET, "people", "from", "/etc"):
        assert word not in raised.value.message
    assert (files / kind).read_bytes() == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_that_never_ends_is_stopped(source, kind):
    with pytest.raises(DataError, match="took longer than `timeout` allows"):
        read(source(kind, "timeout = 0.3", ENDLESS))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_none(tmp_path, dataset, context, files, kind):
    made = dataset(kind, tables="tables.people = ['id']")
    said = "may write" if os.access(files / kind, os.W_OK) else ""
    assert said in check_dataset(made, "n", context())
    (files / kind).rename(tmp_path / "away")
    try:
        with pytest.raises(DataError, match=r"no such database, or it cannot be opened"):
            check_dataset(made, "n", context())
        assert not (files / kind).exists()
    finally:
        (tmp_path / "away").rename(files / kind)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("3", "must be a table with `type`"),
        ("{ type = 'bool' }", "must be a table with `type`"),
        ("{ type = 'date', lowest = 2020-01-01 }", "must be a table with `type`"),
        ("{ type = 'date', low = 3 }", "must be of its type, date"),
        ("{ type = 'whole', low = true }", "must be of its type, whole"),
        ("{ type = 'text' }", "a text has `values`"),
        ("{ type = 'whole', low = 3, default = 2 }", "its default must be one that it allows"),
        ("{ type = 'whole', low = 3, high = 2 }", "its `low` must not be above its `high`"),
        ("{ type = 'number', low = nan }", "must be of its type, number"),
    ],
)
def test_wrong_parameters(dataset, parameter, message):
    with pytest.raises(ConfigError, match=message):
        dataset("sqlite", f"parameters.p = {parameter}", SQL)


def test_places_that_have_no_tables(tmp_path, context, source):
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match="is a folder of files"):
        open_data(str(tmp_path), context()).check("sql", TableQuery().keys())
    with pytest.raises(DataError, match="has no files or bundles"):
        source("sqlite", tables="tables.people = ['id']").read("s3", [])


def test_sources_of_another_project_are_not_confused(source):
    """What was read is kept by where it is: two tables of a database are two."""
    one = source("sqlite", tables="tables.people = ['id']")
    other = source("sqlite", tables="tables.odd = ['a']")
    assert isinstance(one, SqlSource)
    assert one.where != other.where


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["query", "tables"])
def test_whom_a_row_is_about_comes_along(source, kind, form):
    """Else an analysis would have rows counted by leaving that column out."""
    given = {"sql": "SELECT id, age, sex FROM people"}
    if form == "tables":
        given = {"tables": 'tables.people = ["age", "sex", "id"]'}
    of_hospital, live = source(kind, 'subject = "id"', **given), source(kind, **given)
    assert list(read(of_hospital, columns=["age"])["people"]) == ["age", "id"]
    assert list(read(of_hospital, columns=["id", "age"])["people"]) == ["id", "age"]
    assert list(read(live, columns=["age"])["people"]) == ["age"]
    asked = StarModel(Ages, Total, "sql", columns=["age"], subject="id").plan.asked
    assert list(live.read("sql", asked)["people"]) == ["age", "id"]
    if form == "tables":
        other = source(kind, 'subject = "id"', tables='tables.people = ["age", "sex"]')
        assert list(read(other, columns=["age"])["people"]) == ["age"]  # it may not be read


INJECTED = ["1; DROP TABLE people; --", "1) OR (1=1", "' OR ''='", ":sex", "$1", "f\0", "f' --"]

PARAMETERS = """
parameters.since = { type = "date", low = 2020-01-01, default = 2020-01-01 }
parameters.least = { type = "whole", low = 0, default = 0 }
parameters.share = { type = "number", low = 0, default = 0.5 }
parameters.sex = { type = "text", values = ["f", "m"], default = "f" }
"""

TAKEN = """
SELECT id FROM people
WHERE sex = :sex AND age >= :least AND :share < 2 AND :since > '2019-01-01'
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["since", "least", "share", "sex", "a name", "table", "column"])
def test_nothing_an_analysis_says_is_injected(source, files, kind, place):
    """Each place, with what has a meaning in SQL: refused by what the hospital's entry allows."""
    before, is_name = (files / kind).read_bytes(), place in ("a name", "table", "column")
    if place in ("table", "column"):
        people = source(kind, tables='tables.people = ["id", "age"]')
    else:
        people = source(kind, PARAMETERS, TAKEN)
        assert len(read(people, {"since": "2020-02-01", "least": 60})["people"]) > 1000
    for text in INJECTED:
        asked = {"table": ([text],), "column": (None, [text]), "a name": ({text: 1},)}
        with pytest.raises((DataError, ModelError)) as raised:
            read(people, *asked.get(place, ({place: text},)))
        assert "SELECT" not in raised.value.message
        assert is_name or "allows nothing else" in raised.value.message
    assert (files / kind).read_bytes() == before
