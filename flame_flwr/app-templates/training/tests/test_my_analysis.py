"""The coefficients, by a loop without the framework; and what would break on Flower."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from my_analysis.analysis import FEATURES, SETTINGS, Aggregator, Analyzer, read
from my_analysis.app import DECLARED
from my_analysis.local import run
from my_analysis.sample import files
from sklearn.linear_model import SGDClassifier

from flame_flwr.errors import NodeFailedError
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


def test_it_converges_and_judges_most_patients_rightly(tester):
    assert tester.converged
    right = sum(scores["right"] for scores in tester.evaluations.values())
    tested = right + sum(scores["wrong"] for scores in tester.evaluations.values())
    assert tested == 50 + 75 + 100
    assert right / tested > 0.7
    assert f"right for {right} of {tested} held-out patients" in tester.result[1]


def with_labels(hospital, zero, one):
    """Return a hospital's files with other labels than 0 and 1."""
    table = pd.read_csv(io.BytesIO(files(hospital)["patients.csv"]))
    table["ill"] = table["ill"].map({0: zero, 1: one})
    return [{"patients.csv": table.to_csv(index=False).encode()}]


@pytest.mark.parametrize(("zero", "one"), [(1, 2), (0, 2), ("no", "yes"), (0, 0.5)])
def test_other_labels_are_found_before_round_1(zero, one):
    odd = with_labels(1, zero, one)
    with pytest.raises(NodeFailedError, match="column 'ill' holds other"):
        run(splits=[[files(0)], odd])
    with pytest.raises(ValueError, match=r"ill must be one of \[0, 1\] for every patient"):
        read(odd)


def test_other_spellings_of_the_labels_make_no_difference(tester):
    splits = [[files(0)], with_labels(1, 0.0, 1.0), [files(2)]]
    assert run(splits=splits).result == tester.result


def test_scores_of_few_wrong_judgements_stay_back():
    table = pd.DataFrame({"age": 50, "crp": [0.0, 60.0] * 40, "temperature": [35.0, 41.0] * 40})
    table["ill"] = [1, 1, *[0, 1] * 39]  # the first one is held out, and odd
    found = run(splits=[[files(0)], [{"patients.csv": table.to_csv(index=False).encode()}]])
    assert found.evaluations["node-1"] == {}
    assert found.result[1].endswith("; 1 of 2 hospitals kept theirs back, being few")


def test_nothing_in_it_would_break_on_flower():
    check_analysis(Analyzer, Aggregator, [[files(0)], [files(1)]], **DECLARED)
