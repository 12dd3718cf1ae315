"""The model's arithmetic."""

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier

from halta.svm import federated_average, score, train

OPTIONS = {"passes": 3, "alpha": 0.01, "earlier_rounds": 0}


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 4))
    return x, (x[:, 0] + 0.3 * rng.normal(size=120) > 0).astype(float)


def test_federated_average_weighs_by_training_rows():
    coefs = [np.array([1.0, -2.0]), np.array([4.0, 0.5]), np.array([0.0, 1.0])]
    coef, intercept = federated_average(coefs, [1.0, 2.0, 6.0], [900, 90, 10])
    np.testing.assert_allclose(coef, [1.26, -1.745], rtol=1e-15)
    assert intercept == pytest.approx(1.14, rel=1e-15)


def test_training_starts_from_the_given_weights(rows):
    x, y = rows
    start = np.array([5.0, -4.0, 3.0, 2.0])
    coef, intercept = train(x, y, start, 0.5, **{**OPTIONS, "passes": 0})
    np.testing.assert_array_equal(coef, start)
    assert intercept == 0.5


def test_training_in_halves_takes_up_the_step(rows):
    x, y = rows
    sgd = SGDClassifier(loss="hinge", alpha=0.01, random_state=np.random.RandomState(4))
    sgd.partial_fit(x[:1], y[:1], classes=[0, 1])
    sgd.coef_, sgd.intercept_, sgd.t_ = np.zeros((1, 4)), np.zeros(1), 1.0 + 4 * 3 * len(y)
    sgd.set_params(random_state=np.random.RandomState(4))
    for _ in range(3):
        sgd.partial_fit(x, y)
    coef, intercept = train(x, y, np.zeros(4), 0.0, **{**OPTIONS, "earlier_rounds": 4})
    np.testing.assert_array_equal(coef, sgd.coef_[0])
    assert intercept == sgd.intercept_[0]


def test_the_same_input_gives_the_same_bits(rows):
    x, y = rows
    start, copies = np.ones(4), (x.copy(), y.copy())
    np.random.seed(1)
    first = train(x, y, start, 0.0, **OPTIONS)[0]
    np.random.seed(2)
    second = train(x, y, start, 0.0, **OPTIONS)[0]
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(start, np.ones(4))
    np.testing.assert_array_equal(x, copies[0])
    np.testing.assert_array_equal(y, copies[1])


def test_score_counts_the_four_outcomes():
    x = np.array([[1.0], [1.0], [-1.0], [-1.0], [-1.0]])
    assert score(x, np.array([1, 0, 1, 0, 0]), np.array([1.0]), 0.0) == {
        "true_positive": 1,
        "false_negative": 1,
        "true_negative": 2,
        "false_positive": 1,
    }
