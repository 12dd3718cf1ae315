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

from flame_flwr.errors import NodeFailedError
from flame_flwr.testing import check_analysis


def test_the_numbers_are_those_of_all_patients_together():
    contents = [files(hospital)["laboratory.csv"] for hospital in range(3)]
    pooled = pd.concat(pd.read_csv(io.BytesIO(content)) for content in contents)[COLUMN]
    text, _, figures = run().result
    moments, histogram = figures["moments"], figures["histogram"]
    assert f"{pooled.count()} values" in text
    assert moments["mean"] == pytest.approx(pooled.mean(), rel=1e-12)
    assert moments["variance"] == pytest.approx(pooled.var(), rel=1e-12)
    assert histogram["counts"] == np.histogram(pooled.dropna(), bins=EDGES)[0].tolist()
    assert histogram["missing"] == pooled.isna().sum()


def test_few_patients_do_not_leave_their_hospital():
    values = "".join(f"{value}\n" for value in [4, 4.5, 5, *[13.2] * 30])
    few = {"laboratory.csv": f"haemoglobin\n{values}".encode()}
    text, _, figures = run(splits=[[files(0)], [few]]).result
    assert figures["histogram"]["withheld_at"][0] >= 1
    assert figures["histogram"]["counts"][0] is None
    assert "some bins: without" in text


def test_another_unit_is_found_before_round_1():
    grams_per_litre = {"laboratory.csv": b"haemoglobin\n" + b"134\n151\n" * 10}
    with pytest.raises(NodeFailedError, match="has values outside 2 to 25 g/dl"):
        run(splits=[[files(0)], [grams_per_litre]])


def test_files_are_text_picture_and_numbers(tmp_path):
    tester = run(filename=[tmp_path / name for name in FILES])
    text, picture, numbers = ((tmp_path / name).read_bytes() for name in FILES)
    assert f"{tester.result[2]['moments']['n']} values" in text.decode()
    assert picture.startswith(b"\x89PNG")
    assert pickle.loads(numbers) == tester.result[2]


def test_nothing_in_it_would_break_on_flower():
    check_analysis(Analyzer, Aggregator, [[files(0)], [files(1)]], **DECLARED)
