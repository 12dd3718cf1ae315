"""The hospitals' files: all patients, each once, the same bytes always."""

from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from forked_python import run_python
from sklearn.datasets import load_breast_cancer

from flame_flwr.errors import ConfigError
from pancreas.hospitals import HOSPITALS, MEASUREMENTS, hospital_csv, node_files
from pancreas.table import FILE


def context(**config):
    return SimpleNamespace(node_config=config)


def test_every_patient_is_at_one_hospital(contents):
    pooled = pd.concat([pd.read_csv(BytesIO(content)) for content in contents])
    source = load_breast_cancer()
    ours = np.array(sorted(pooled.to_numpy().tolist()))
    theirs = np.column_stack([source.data, 1 - source.target])
    np.testing.assert_allclose(ours, np.array(sorted(theirs.tolist())), rtol=1e-14)


def test_sizes_and_shares(contents):
    for content, hospital in zip(contents, HOSPITALS, strict=True):
        disease = pd.read_csv(BytesIO(content))["disease"]
        assert (disease == 1).sum() == hospital.malignant
        assert (disease == 0).sum() == hospital.benign


def test_the_columns_are_the_sources():
    theirs = [
        name.replace(" error", "").replace(" ", "_") for name in load_breast_cancer().feature_names
    ]
    ours = [name.removeprefix("error_") for name in MEASUREMENTS]
    assert ours == theirs


def test_the_same_bytes_without_and_with_files(tmp_path, contents):
    hospital_csv.cache_clear()
    assert [hospital_csv(k) for k in range(3)] == contents
    done = run_python("-m", "pancreas.hospitals", tmp_path, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    for k, content in enumerate(contents):
        assert (tmp_path / f"hospital-{k}" / FILE).read_bytes() == content
        assert node_files(context(**{"partition-id": k})) == {FILE: content}
    assert "hospital-0/pancreasData.csv: 300 patients, 150 of them malignant" in done.stdout


def test_a_fourth_node_is_told_the_number():
    with pytest.raises(ConfigError, match=r'over 3 hospitals.*say --federation-config "num-sup'):
        node_files(context(**{"partition-id": 3}))


def test_a_real_node_must_name_its_folder():
    with pytest.raises(ConfigError, match=r"the folder with its pancreasData\.csv"):
        node_files(context(name="hospital-a"))
