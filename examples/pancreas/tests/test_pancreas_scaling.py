"""Merged means and deviations are those of the rows in one place."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from pancreas.scaling import merge, moments


@pytest.fixture
def parts():
    rng = np.random.default_rng(7)
    return [rng.normal(loc, 2, (n, 4)) for loc, n in ((0, 50), (5, 9), (-3, 1))]


def test_they_are_those_of_all_rows(parts):
    means, deviations = merge([moments(part) for part in parts])
    scaler = StandardScaler().fit(np.vstack(parts))
    np.testing.assert_allclose(means, scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(deviations, scaler.scale_, rtol=1e-12)
    np.testing.assert_allclose(
        (parts[0] - means) / deviations, scaler.transform(parts[0]), rtol=1e-9, atol=1e-12
    )


def test_one_hospital_alone(parts):
    means, deviations = merge([moments(parts[0])])
    np.testing.assert_array_equal(means, parts[0].mean(axis=0))
    np.testing.assert_allclose(deviations, parts[0].std(axis=0), rtol=1e-14)


def test_a_large_mean_costs_no_digits(parts):
    shifted = [part + 1e9 for part in parts]
    _, deviations = merge([moments(part) for part in shifted])
    np.testing.assert_allclose(deviations, np.vstack(parts).std(axis=0), rtol=1e-6)


def test_a_constant_column_can_be_divided_by():
    means, deviations = merge([moments(np.full((3, 1), 5.0)), moments(np.full((2, 1), 5.0))])
    assert (means.tolist(), deviations.tolist()) == ([5.0], [1.0])
