"""Reading PostgreSQL: what comes, what may be asked, and what is said when it fails."""

from datetime import date

import psycopg
import pytest
from postgres import PASSWORD, READER, postgres

from flame_flwr.cli.registry_table import try_datasets
from flame_flwr.data.open_data import check_dataset, open_datasets
from flame_flwr.data.registry import choose, read_registry
from flame_flwr.data.table_pieces import as_frame, unpack
from flame_flwr.data.table_query import TableQuery
from flame_flwr.errors import DataError

ROWS = [(number, 20 + number % 60, date(2020, 1, 1 + number % 28)) for number in range(25_000)]
SECRET = "value-of-a-row"
SETUP = f"""
CREATE SCHEMA ward;
CREATE TABLE ward.visits (visit_id int PRIMARY KEY, age int, start date, "Odd "" % :name" int);
CREATE TABLE notes (note text, doc jsonb);
INSERT INTO notes VALUES ('{SECRET}', '{{}}');
CREATE TABLE written (n int);
CREATE FUNCTION writes() RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO written VALUES (1); RETURN 1; END $$;
CREATE TABLE closed (n int);
CREATE ROLE narrow LOGIN;
"""


@pytest.fixture(scope="module")
def server():
    with postgres() as server:
        with psycopg.connect(server.admin) as connection:
            connection.execute(SETUP)
            with connection.cursor().copy("COPY ward.visits FROM STDIN") as copy:
                for row in ROWS:
                    copy.write_row((*row, None))
        yield server


@pytest.fixture
def registry(server, tmp_path, monkeypatch):
    """Write an entry with these lines, and a query; return it as it is read."""
    monkeypatch.setenv("WARD_USER", READER)
    monkeypatch.setenv("WARD_PASSWORD", PASSWORD)

    def write(lines="", sql="", tables="", user="{ env = 'WARD_USER' }", password=None):
        (tmp_path / "visits.sql").write_text(sql)
        what = tables or f'query = "{tmp_path / "visits.sql"}"'
        path = tmp_path / "datasets.toml"
        path.write_text(
            f'[[dataset]]\nname = "ward"\ntype = "sql"\nprojects = ["*"]\nurl = "{server.url}"\n'
            f"user = {user}\npassword = {password or '{ env = ' + repr('WARD_PASSWORD') + ' }'}\n"
            f"{what}\n{lines}\n"
        )
        return read_registry(path)

    return write


@pytest.fixture
def source(registry, context):
    def make(*args, **more):
        [source] = open_datasets(choose(registry(*args, **more), "sql", [], "p"), context()).sources
        return source

    return make


def read(source, query=None, columns=None):
    return source.read("sql", TableQuery.declared(query, columns).keys())


def refused(source, query=None, columns=None):
    """Return the message of an error, which may leave the node: nothing of the data is in it."""
    with pytest.raises(DataError) as raised:
        read(source, query, columns)
    for word in (PASSWORD, SECRET, "FROM", "select", "visit_id", "ward", READER):
        assert word not in raised.value.message
    assert PASSWORD not in str(raised.value)
    return raised.value.message


VISITS = "tables.'ward.visits' = ['visit_id', 'age', 'start']"
SINCE = "parameters.since = { type = 'date', low = 2020-01-01, high = 2020-12-31 }"
OLDER = "select visit_id, age from ward.visits where start >= :since and :since > '2000-01-01'"


def test_tables_come_whole_and_as_they_are(source):
    ward = source(tables=VISITS)
    ward.check("sql", TableQuery().keys())
    frame = read(ward)["visits"]
    assert frame.dtypes.astype(str).to_dict() == {
        **dict.fromkeys(("visit_id", "age"), "int64"),
        "start": "datetime64[us]",
    }
    rows = [(visit, age, start.date()) for visit, age, start in frame.itertuples(index=False)]
    assert rows == ROWS


def test_a_childs_table_is_the_same(source):
    ward, pieces = source(tables=VISITS), []
    keys = TableQuery.declared("visits", ["age", "visits.start"]).keys()
    found = ward.fetch("sql", keys, lambda piece: pieces.append(piece) or len(pieces) - 1)
    served = as_frame([unpack(pieces[number]) for number in found["visits"]])
    assert served.equals(ward.read("sql", keys)["visits"])
    assert len(pieces) > 3
    assert list(served) == ["age", "start"]


def test_parameters_are_bound(source):
    frame = read(source(SINCE, OLDER), {"since": date(2020, 1, 20)}, ["age"])["visits"]
    ages = [age for _, age, start in ROWS if start >= date(2020, 1, 20)]
    assert sorted(frame["age"]) == sorted(ages)
    assert list(frame) == ["age"]


TYPES = """select true as b, 3::smallint as s, 2.5::numeric as d, 1.1::real as r,
    'ä'::char(2) as t,
    '7b5b1ea4-3e0c-4b53-8dd6-9d1a3f9c7b00'::uuid as u, '2020-01-01 00:30+02'::timestamptz as z,
    null::int as n, null::date as y,
    '1850-05-06 07:08'::timestamp as w, 9007199254740993 as big -- no
;"""


def test_types(source):
    row = read(source(sql=TYPES))["visits"].iloc[0]
    assert row["b"].dtype == bool
    assert row["b"]
    assert [row["s"], row["d"], row["t"], row["big"]] == [3, 2.5, "ä ", 2**53 + 1]
    assert str(row["u"]) == "7b5b1ea4-3e0c-4b53-8dd6-9d1a3f9c7b00"
    assert row["z"].isoformat() == "2019-12-31T22:30:00+00:00"
    assert row["w"].isoformat() == "1850-05-06T07:08:00"
    assert row["n"] != row["n"]
    assert row["y"] != row["y"]
    assert float(row["r"]) == pytest.approx(1.1)


INJECTED = ["2020-02-01'; DROP TABLE written; --", "1 OR 1=1", "2020-02-30", "2019-12-31", 5, True]


@pytest.mark.parametrize("value", INJECTED)
def test_nothing_but_a_value_is_bound(source, value):
    said = refused(source(SINCE, OLDER), {"since": value})
    assert said.endswith(
        "'since' must be a date like 2026-11-21 from 2020-01-01 to 2020-12-31: this node allows "
        "nothing else"
    )


ODD = ['age" from written; --', "age); DROP TABLE written; --", "%(x)s", ":since"]


@pytest.mark.parametrize("name", ODD)
def test_a_column_is_a_name_and_no_sql(source, name, server):
    said = refused(source(SINCE, OLDER), {"since": "2020-02-01"}, [name])
    assert "a table or column that is read is not there" in said or "does not run" in said
    with pytest.raises(DataError, match=r"table 'visits', has no"):
        read(source(tables=VISITS), None, [name])
    with psycopg.connect(server.admin) as connection:
        assert connection.execute("SELECT count(*) FROM written").fetchone() == (0,)


def test_an_odd_name_that_is_there_is_read(source):
    odd = 'Odd " % :name'
    assert list(read(source(sql="select * from ward.visits"), None, [odd])["visits"]) == [odd]
    listed = f"tables.'ward.visits' = ['''{odd}''']"
    assert list(read(source(tables=listed))["visits"]) == [odd]


FAILS = [
    ("select writes() as n", "", "would write: it is read without writing"),
    ("insert into written values (1) returning n", "", "it must be one SELECT"),
    ("select 1 as n) q; drop table written; --", "", "it must be one SELECT"),
    ("select pg_sleep(60)::text as n", "timeout = 0.5", "took longer than `timeout` allows"),
    ("select 1 as n from generate_series(1, 10000000000)", "timeout = 0.5", "took longer than"),
    ("select * from ward.visits", "max-rows = 24000", "has more than 24000 rows: ask for less, or"),
    ("select repeat('x', 10000) as n from ward.visits", "max-mb = 2", "has more than 2 MB:"),
    ("select * from ward.nothing", "", "a table or column that is read is not there"),
    ("select nothing from ward.visits", "", "a table or column that is read is not there"),
    ("select * from notes", "", "column 2 of what is read has a type that pandas has not"),
    ("select array[1] as n", "", "column 1 of what is read has a type that pandas has not"),
    (
        "select note::int as n from notes",
        "",
        "fails at a value, such as a text that is not a number",
    ),
    ("select 'infinity'::date as n", "", "or a date beyond all calendars"),
    ("select '-infinity'::timestamp as n", "", "or a date beyond all calendars"),
    ("selec 1", "", "it must be one SELECT"),
    ("select 1 as n, 2 as n", "", "two columns of what is read have one name"),
]


@pytest.mark.parametrize(("sql", "lines", "message"), FAILS)
def test_what_fails_has_a_message_of_its_own(source, sql, lines, message, server):
    assert message in refused(source(lines, sql))
    with psycopg.connect(server.admin) as connection:
        assert connection.execute("SELECT count(*) FROM written").fetchone() == (0,)


def test_a_database_that_goes_away(source, server):
    ward = source(sql="select * from ward.visits")

    def end(piece):
        with psycopg.connect(server.admin, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
                [READER],
            )

    with pytest.raises(DataError, match="went away while it was read") as raised:
        ward.fetch("sql", TableQuery().keys(), end)
    assert PASSWORD not in str(raised.value)


def test_who_may_not_come_in(source, tmp_path, monkeypatch, server):
    wrong = tmp_path / "wrong"
    wrong.write_text("another-word")
    said = refused(source(sql=OLDER.partition(" where")[0], password=f"{{ file = '{wrong}' }}"))
    assert said.endswith("refuses this node's user or password: are they right and current?")
    monkeypatch.setenv("NARROW", "narrow")
    said = refused(source(sql="select * from closed", user="{ env = 'NARROW' }"))
    assert said.endswith("this node's role may not read a table that is read")
    monkeypatch.setattr(server, "url", server.url.replace("postgres?", "nothing?"))
    assert "has no such database" in refused(source(sql="select 1 as n"))
    monkeypatch.setattr(server, "url", "postgresql://127.0.0.1:9/x")
    assert "cannot be reached" in refused(source(sql="select 1 as n"))


def test_data_check_says_who_may_write(registry, context, monkeypatch, capsys):
    [ward] = registry(SINCE, OLDER)
    assert check_dataset(ward, "ward", context()) == ""
    monkeypatch.setenv("WARD_USER", "postgres")
    assert try_datasets(registry(SINCE, OLDER))
    assert "its role may write to the database" in " ".join(capsys.readouterr().out.split())
    assert not try_datasets(registry("", OLDER))
    assert "`parameters` must declare those" in " ".join(capsys.readouterr().out.split())


def test_all_tables_are_of_one_moment(source, server):
    """A row that comes while the first table is read is in none."""
    ward = source(tables=VISITS + "\ntables.written = ['n']")
    added = []

    def add(piece):
        if not added:
            added.append(piece)
            with psycopg.connect(server.admin, autocommit=True) as connection:
                connection.execute("INSERT INTO written VALUES (7)")
        return piece

    try:
        pieces = ward.fetch("sql", TableQuery().keys(), add)["written"]
        assert as_frame(list(map(unpack, pieces))).empty
    finally:
        with psycopg.connect(server.admin, autocommit=True) as connection:
            connection.execute("DELETE FROM written")
