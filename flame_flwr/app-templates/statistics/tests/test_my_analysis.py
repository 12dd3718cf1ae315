"""The numbers, over all patients together; the files; and what would break on Flower."""

import io
import pickle

import numpy as np
import pandas as pd
import pytest
from my_analysis.analysis import COLUMN, EDGES, Aggregator, Analyzer
from my_analysis.app import DECLARED, FILES
from my_analysis.local import run
from my_analysis.sample import files

from flame_flwr.testing import check_analysis


def test_the_numbers_are_those_of_all_patients_together():
    contents = [files(hospital)["laboratory.csv"] for hospital in range(3)]
    pooled = pd.concat(pd.read_csv(io.BytesIO(content)) for content in contents)[COLUMN]
    found = run().aggregate
    assert found["count"] == pooled.count()
    assert found["empty"] == pooled.isna().sum()
    assert found["mean"] == pytest.approx(pooled.mean(), rel=1e-12)
    assert found["variance"] == pytest.approx(pooled.var(), rel=1e-12)
    np.testing.assert_array_equal(found["counts"], np.histogram(pooled.dropna(), bins=EDGES)[0])


def test_the_files_are_a_text_a_picture_and_the_numbers(tmp_path):
    tester = run(filename=[tmp_path / name for name in FILES])
    text, picture, numbers = ((tmp_path / name).read_bytes() for name in FILES)
    assert f"{tester.aggregate['count']} values" in text.decode()
    assert picture.startswith(b"\x89PNG")
    assert pickle.loads(numbers)["mean"] == tester.aggregate["mean"]


def test_nothing_in_it_would_break_on_flower():
    check_analysis(Analyzer, Aggregator, [[files(0)], [files(1)]], **DECLARED)
