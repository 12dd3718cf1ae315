"""The declared aggregator beside the hand-written one: equal numbers, equal files, 25 lines."""

import inspect

import numpy as np
import pytest

from flame_flwr.star import StarModelTester
from halta.analysis import RESULT_FILENAMES, HaltaAnalyzer
from halta.declared import HaltaStrategy, model


@pytest.fixture(scope="module")
def declared(splits, tmp_path_factory):
    place = tmp_path_factory.mktemp("declared")
    tester = StarModelTester(splits, HaltaAnalyzer, HaltaStrategy, "s3", filename=place)
    return tester, place


def test_the_numbers_are_equal(declared, study):
    tester, _ = declared
    assert tester.aggregate["features"] == study.aggregate["features"]
    for key in ("means", "deviations"):
        np.testing.assert_array_equal(tester.aggregate[key], study.aggregate[key])
    for key in ("coef", "intercept", "change", "rounds"):
        np.testing.assert_allclose(tester.aggregate[key], study.aggregate[key], rtol=1e-12)
    assert list(tester.evaluations.values()) == study.evaluations
    assert tester.rounds == study.tester.rounds == 11


def test_each_rounds_change_is_the_studys_own_measure(declared, study):
    for tester in (declared[0], study.tester):
        changes = [entry.change for entry in tester.record.history]
        assert changes[0] is None
        assert [f"{change:.4f}" for change in changes[1:3]] == ["1.7525", "0.5069"]
        assert changes[-1] == pytest.approx(study.aggregate["change"], rel=1e-9)
        assert f"{changes[-1]:.4f}" == "0.0470"


def test_the_files_are_equal_byte_by_byte(declared, study, folder):
    _, place = declared
    beside = {"history.csv", "run.json", "report.html", "tensorboard"}
    assert {path.name for path in place.iterdir()} - beside == set(RESULT_FILENAMES)
    for name in RESULT_FILENAMES:
        assert (place / name).read_bytes() == (folder / name).read_bytes(), name


def test_it_stops_as_early_and_says_why(splits, run):
    written = run(splits, aggregator_kwargs={"tolerance": 0.2})
    tester = StarModelTester(
        splits,
        HaltaAnalyzer,
        HaltaStrategy,
        "s3",
        convergence=lambda new, last: new["change"] < 0.2,
    )
    assert tester.rounds == written.tester.rounds < 11
    assert declared_reason(tester) == "<lambda> returned True"


def declared_reason(tester):
    return tester.history[-1].reason


def test_the_reason_of_the_stop_is_said(declared):
    assert declared_reason(declared[0]) == "11 rounds are done"


def test_it_is_at_most_25_lines():
    lines = inspect.getsource(HaltaStrategy).splitlines()
    assert len(lines) <= 25
    assert model.outputs.names == tuple(RESULT_FILENAMES)
