"""The arithmetic of the meta-analysis: published numbers, and the same by least squares."""

import math

import numpy as np
import pytest

from fedstats.meta import combine, normal_interval, normal_p, weights

# Thirteen trials of the BCG vaccine against tuberculosis (Colditz et al. 1994, JAMA 271, 698-702):
# vaccinated with and without the disease, not vaccinated with and without.
BCG = np.array(
    [
        *([4, 119, 11, 128], [6, 300, 29, 274], [3, 228, 11, 209], [62, 13536, 248, 12619]),
        *([33, 5036, 47, 5761], [180, 1361, 372, 1079], [8, 2537, 10, 619]),
        *([505, 87886, 499, 87892], [29, 7470, 45, 7232], [17, 1699, 65, 1600]),
        *([186, 50448, 141, 27197], [5, 2493, 3, 2338], [27, 16886, 29, 17825]),
    ],
    dtype=float,
)


def test_the_bcg_trials_as_published():
    """The equal-effects model of these trials in Viechtbauer (2010), J Stat Softw 36(3)."""
    a, b, c, d = BCG.T
    log_risk = np.log(a / (a + b)) - np.log(c / (c + d))
    error = np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))
    found = combine(log_risk[:, None], error[:, None])
    assert found["estimate"][0] == pytest.approx(-0.4303, abs=5e-5)
    assert found["error"][0] == pytest.approx(0.0405, abs=5e-5)
    assert (found["low"][0], found["high"][0]) == pytest.approx((-0.5097, -0.3509), abs=5e-5)
    assert found["q"][0] == pytest.approx(152.2330, abs=5e-5)
    assert found["df"] == 12
    assert found["i2"][0] == pytest.approx(0.9212, abs=5e-5)
    assert found["p"][0] < 1e-20
    assert found["q_p"][0] < 1e-20


@pytest.fixture
def numbers():
    rng = np.random.default_rng(3)
    return rng.normal(0.3, 0.4, (5, 3)), rng.uniform(0.1, 0.6, (5, 3))


def test_it_is_weighted_least_squares_on_a_constant(numbers):
    estimates, errors = numbers
    found = combine(*numbers)
    for i in range(3):
        design, target = 1 / errors[:, [i]], estimates[:, i] / errors[:, i]
        (fit,), (residual,), *_ = np.linalg.lstsq(design, target)
        assert found["estimate"][i] == pytest.approx(fit, rel=1e-12)
        assert found["q"][i] == pytest.approx(residual, rel=1e-12)
        assert found["error"][i] == pytest.approx(np.linalg.inv(design.T @ design)[0, 0] ** 0.5)


def test_p_values_by_error_function_and_by_sum(numbers):
    found = combine(*numbers)
    for i in range(3):
        z = found["estimate"][i] / found["error"][i]
        assert found["p"][i] == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), rel=1e-12)
        half = found["q"][i] / 2  # chi-squared on 4 degrees of freedom has a closed form
        assert found["q_p"][i] == pytest.approx(math.exp(-half) * (1 + half), rel=1e-12)
        expected = max(0.0, (found["q"][i] - 4) / found["q"][i])
        assert found["i2"][i] == pytest.approx(expected, rel=1e-12)


def test_the_interval_is_196_errors_wide():
    low, high = normal_interval(np.array([1.0]), np.array([0.5]))
    assert (low[0], high[0]) == pytest.approx((1 - 0.97998, 1 + 0.97998), abs=1e-5)
    assert normal_p(np.array([1.959963985]), np.array([1.0]))[0] == pytest.approx(0.05, abs=1e-9)


def test_hospitals_that_agree():
    found = combine(np.full((3, 2), 0.7), np.full((3, 2), 0.3))
    np.testing.assert_allclose(found["estimate"], 0.7, rtol=1e-15)
    np.testing.assert_allclose(found["error"], 0.3 / 3**0.5, rtol=1e-15)
    np.testing.assert_allclose(found["q"], 0, atol=1e-25)
    assert found["i2"].tolist() == [0, 0]


def test_one_hospital_alone():
    found = combine(np.array([[0.7, -1.0]]), np.array([[0.3, 0.2]]))
    np.testing.assert_allclose(found["estimate"], [0.7, -1.0], rtol=1e-15)
    np.testing.assert_allclose(found["error"], [0.3, 0.2], rtol=1e-15)
    assert found["df"] == 0
    assert np.isnan(found["q_p"]).all()
    assert np.isnan(found["i2"]).all()


@pytest.mark.parametrize(
    ("estimates", "errors", "message"),
    [
        ([1.0], [1.0], "must both have the shape"),
        ([[1.0]], [[1.0, 2.0]], "must both have the shape"),
        (np.empty((0, 1)), np.empty((0, 1)), "must both have the shape"),
        ([[1.0]], [[0.0]], "finite and above 0"),
        ([[1.0]], [[-1.0]], "finite and above 0"),
        ([[1.0]], [[np.inf]], "finite and above 0"),
        ([[np.nan]], [[1.0]], "estimates must be finite"),
    ],
)
def test_numbers_that_cannot_be(estimates, errors, message):
    with pytest.raises(ValueError, match=message):
        weights(np.asarray(estimates), np.asarray(errors))
