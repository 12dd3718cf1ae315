"""The numbers: in process, in a plain loop, and by the tutorial's own classes."""

import warnings

import numpy as np
import pytest
from pancreas_reference import TutorialAggregator, TutorialAnalyzer, halves, reference_run
from sklearn.exceptions import ConvergenceWarning

from flame_flwr.errors import ConfigError, DataError
from flame_flwr.star import StarModelTester
from pancreas.analysis import PancreasAnalyzer, coefficients
from pancreas.table import FILE

SCALINGS = ["none", "site", "merged"]


def hits(evaluations):
    return [(score["correct"], score["n_test"]) for score in evaluations]


@pytest.mark.parametrize("scaling", SCALINGS)
def test_in_process_it_is_the_plain_loop(run, splits, contents, scaling):
    tester = run(splits, scaling=scaling)
    coef, scores = reference_run(contents, scaling)
    # "merged" comes to the same scaling by another order of sums, hence not to the last bit
    np.testing.assert_allclose(
        coefficients(tester.result), coef, rtol=1e-9 if scaling == "merged" else 1e-12
    )
    assert hits(tester.evaluations.values()) == scores
    assert (tester.rounds, tester.converged) == (11, True)


def test_without_test_share_bits_are_the_tutorials(run, splits, contents):
    ours = run(splits, test_share=0)
    with pytest.warns(ConvergenceWarning):
        theirs = StarModelTester(
            splits, TutorialAnalyzer, TutorialAggregator, "s3", simple_analysis=False
        )
    np.testing.assert_array_equal(ours.result, theirs.result)
    assert ours.rounds == theirs.rounds == 11
    np.testing.assert_allclose(ours.result, reference_run(contents, share=0)[0], rtol=1e-12)
    assert hits(ours.evaluations.values()) == [(0, 0)] * 3


def test_nobody_kept_aside_is_nobody_to_scale(run, splits):
    tester = run(splits, scaling="site", test_share=0)
    assert hits(tester.evaluations.values()) == [(0, 0)] * 3


def test_one_step_a_round_brings_no_warning(run, splits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(splits, scaling="merged")


def test_with_merged_scaling_it_also_holds_the_scaling(run, splits, contents):
    result = run(splits, scaling="merged").result
    rows = np.vstack([halves(content)[0] for content in contents])
    np.testing.assert_allclose(result["means"], rows.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(result["deviations"], rows.std(axis=0), rtol=1e-12)
    assert result["coef"].shape == (1, 30)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_it_stops_when_the_coefficients_stand_still(run, splits, scaling):
    tester = run(splits, scaling=scaling, aggregator_kwargs={"tolerance": 0.6})
    assert 2 <= tester.rounds < 11
    assert tester.converged


def test_fewer_iterations_are_fewer_rounds(run, splits):
    assert run(splits, aggregator_kwargs={"max_iter": 3}).rounds == 4


def test_scaling_agreed_on_judges_better_than_none(run, splits):
    right = {
        scaling: sum(
            score["correct"] for score in run(splits, scaling=scaling).evaluations.values()
        )
        for scaling in SCALINGS
    }
    assert right["merged"] > right["site"] > right["none"]
    assert right["merged"] >= 0.95 * 140


def test_hospitals_with_different_columns_are_named(run, splits):
    text = splits[1][0][FILE].decode().splitlines()
    shorter = "\n".join(line.split(",", 1)[1] for line in text).encode()
    for scaling in SCALINGS:
        with pytest.raises(DataError) as caught:
            run([splits[0], [{FILE: shorter}]], columns=None, scaling=scaling)
        assert caught.value.message == (
            "The hospitals have different numbers of measurements, so their coefficients cannot be "
            "averaged: node-0 30, node-1 29. Give every pancreasData.csv the same columns."
        )


def test_a_hospital_refuses_unexpected_columns_before_training(run, splits):
    text = splits[1][0][FILE].decode().splitlines()
    shorter = "\n".join(line.split(",", 1)[1] for line in text).encode()
    trained = []

    class Watched(PancreasAnalyzer):
        def analysis_method(self, data, aggregator_results):
            result = super().analysis_method(data, aggregator_results)
            trained.append(self.id)
            return result

    with pytest.raises(DataError, match="has 30 columns, and 31 are expected") as caught:
        run([splits[0], [{FILE: shorter}]], analyzer=Watched)
    assert trained == ["node-0"]
    assert "node-1" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scaling": "global"}, "scaling is 'none', 'site' or 'merged', not 'global'"),
        ({"test_share": 1}, "test_share must be at least 0 and below 1, not 1"),
        ({"test_share": -0.1}, "test_share must be at least 0 and below 1, not -0.1"),
    ],
)
def test_options_that_cannot_be(run, splits, options, message):
    with pytest.raises(ConfigError) as caught:
        run(splits, **options)
    assert caught.value.message == message
