"""The study of sums alone: the numbers of the study, and no hospital's own at the server."""

import json

import numpy as np
import pytest

from flame_flwr.star import StarModelTester
from halta.analysis import RESULT_FILENAMES
from halta.cohort import load_cohort
from halta.features import candidates
from halta.summed import ALL, FEATURES, SummedAnalyzer, SummedStrategy, model


@pytest.fixture(scope="module")
def both(splits, tmp_path_factory):
    """Run the study masked and unmasked; return the testers and where they wrote."""
    runs = {}
    for secure in (True, False):
        place = tmp_path_factory.mktemp("summed")
        strategy = SummedStrategy(secure=secure)
        tester = StarModelTester(splits, SummedAnalyzer, strategy, "s3", filename=place)
        runs[secure] = tester, place
    return runs


@pytest.fixture
def summed(both):
    return both[True]


def test_every_hospitals_features_are_asked_for(splits):
    for split in splits:
        assert set(candidates(load_cohort(split).table)) <= set(FEATURES)


def test_the_numbers_are_those_of_the_study(summed, study):
    tester, _ = summed
    assert tester.aggregate["features"] == study.aggregate["features"]
    for key in ("means", "deviations"):
        np.testing.assert_allclose(tester.aggregate[key], study.aggregate[key], rtol=1e-12)
    np.testing.assert_allclose(tester.aggregate["coef"], study.aggregate["coef"], atol=1e-6)
    assert tester.rounds == study.tester.rounds
    [scores] = tester.evaluations.values()
    for key in ("n_test", "true_positive", "false_negative", "true_negative", "false_positive"):
        assert scores[key] == sum(each[key] for each in study.evaluations)


def test_masked_and_unmasked_write_the_same_files(both):
    for name in RESULT_FILENAMES:
        one, other = ((place / name).read_bytes() for _, place in both.values())
        assert one == other, name


def test_the_report_has_no_hospitals_own_column(summed, study):
    _, place = summed
    report = (place / "dataset_description_federated.txt").read_text()
    assert "node-0" not in report
    assert report.splitlines()[:3] == study.report.splitlines()[:3]  # with all patients
    assert ALL not in report
    assert report.splitlines()[6:8] == ["                      all", "Patients             2120"]
    assert "exist at every hospital" not in report
    assert "no such column at 1 of 3 hospitals" in report or "at 2 of 3 hospitals" in report


def test_the_server_saw_sums(summed):
    _, place = summed
    about = json.loads((place / "run.json").read_text())["secure"]
    assert about["masked"] is True
    assert about["grids"]["coef"] == [64, 32]


def test_the_models_sums_are_masked():
    assert model.plan.secure
