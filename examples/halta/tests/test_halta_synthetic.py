"""The generator: the same bytes every time, and the facts the study relies on."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from forked_python import run_python
from halta_reference import read

from flame_flwr.errors import ConfigError
from halta import synthetic
from halta.features import is_symptom
from halta.synthetic import hospital_files, node_files

NAMES = ["hospital_labeled.csv", "unlabeled.csv"]


def test_the_same_bytes_every_time():
    first = hospital_files(1)
    hospital_files.cache_clear()
    np.random.seed(7)
    assert hospital_files(1) == first


def test_another_seed_and_another_hospital_give_other_patients():
    assert hospital_files(0, seed=1) != hospital_files(0)
    assert hospital_files(3) != hospital_files(4)


def test_the_command_writes_what_simulated_nodes_read(tmp_path):
    root = Path(synthetic.__file__).parents[1]
    path = os.pathsep.join([str(root), str(root.parents[1])])
    done = run_python("-m", "halta.synthetic", tmp_path, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    for partition in range(3):
        files = node_files(SimpleNamespace(node_config={"partition-id": partition}))
        folder = tmp_path / f"hospital-{partition}"
        assert sorted(path.name for path in folder.iterdir()) == NAMES
        assert {name: (folder / name).read_bytes() for name in NAMES} == files


def test_a_node_without_partition_is_told():
    with pytest.raises(ConfigError, match="needs a partition-id"):
        node_files(SimpleNamespace(node_config={}))


def test_shapes(contents):
    tables = [read(content) for content in contents]
    assert [len(table) for table in tables] == [1240, 610, 270]
    assert all(205 <= table.shape[1] <= 215 for table in tables)
    assert all(table["patient_id"].is_unique for table in tables)


def test_the_trap_has_no_labels_and_other_patients():
    files = hospital_files(0)
    labeled, trap = (read(files[name]) for name in NAMES)
    assert list(trap.columns) == [name for name in labeled.columns if name != "pasc"]
    assert not set(trap["patient_id"]) & set(labeled["patient_id"])


def test_hospitals_differ_in_age_labels_gaps_and_symptoms(contents):
    tables = [read(content) for content in contents]
    ages = [table["age"].mean() for table in tables]
    assert ages[2] < 50 < ages[0] < 62 < ages[1]
    rates = [table["pasc"].mean() for table in tables]
    assert rates == pytest.approx([0.43, 0.51, 0.33], abs=0.03)
    gaps = [float(table.isna().mean().mean()) for table in tables]
    assert gaps[0] < gaps[1] < gaps[2]
    symptoms = [{name for name in table.columns if is_symptom(name)} for table in tables]
    everywhere = set.intersection(*symptoms)
    assert len(everywhere) > 60
    assert all(found - everywhere for found in symptoms)


def test_a_few_labels_are_missing(contents):
    assert all(1 <= read(content)["pasc"].isna().sum() <= 40 for content in contents)


@pytest.mark.parametrize("partition", [3, 17])
def test_further_hospitals_follow_the_same_recipe(partition):
    table = read(hospital_files(partition)["hospital_labeled.csv"])
    assert 240 <= len(table) < 900
    assert 0.3 < table["pasc"].mean() < 0.6
    assert table["center"].unique().tolist() == [f"hospital-{partition}"]
