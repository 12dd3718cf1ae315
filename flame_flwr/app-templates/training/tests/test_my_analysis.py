"""The coefficients, by a loop without the framework; and what would break on Flower."""

import json

import numpy as np
import pytest
from my_analysis.analysis import FEATURES, SETTINGS, Aggregator, Analyzer, read
from my_analysis.app import DECLARED
from my_analysis.local import run
from my_analysis.sample import files
from sklearn.linear_model import SGDClassifier

from flame_flwr.testing import check_analysis


@pytest.fixture(scope="module")
def tester():
    return run()


def test_the_model_is_that_of_a_plain_loop(tester):
    coef, intercept = np.zeros((1, len(FEATURES))), np.zeros(1)
    for _ in range(tester.rounds):
        fitted, rows = [], []
        for hospital in range(3):
            features, labels = read([files(hospital)])
            train = np.arange(len(labels)) % 4 != 0
            start = {"coef_init": coef.copy(), "intercept_init": intercept.copy()}
            model = SGDClassifier(**SETTINGS).fit(features[train], labels[train], **start)
            fitted.append(np.append(model.coef_, model.intercept_))
            rows.append(train.sum())
        average = np.average(fitted, axis=0, weights=rows)
        coef, intercept = average[None, :-1], average[-1:]
    found = json.loads(tester.result[0])
    np.testing.assert_allclose(list(found["coefficients"].values()), coef[0], rtol=1e-12)
    assert found["intercept"] == pytest.approx(intercept[0], rel=1e-12)


def test_it_converges_and_judges_most_held_out_patients_rightly(tester):
    assert tester.converged
    right = sum(scores["right"] for scores in tester.evaluations.values())
    assert right / sum(scores["tested"] for scores in tester.evaluations.values()) > 0.7


def test_nothing_in_it_would_break_on_flower():
    check_analysis(Analyzer, Aggregator, [[files(0)], [files(1)]], **DECLARED)
