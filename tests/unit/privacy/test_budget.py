"""The budget of filters, also where there is hardly any noise: no sum overflows."""

import math

import mpmath
import pytest

from flame_flwr.privacy.budget import Mechanism, spent


def exact_epsilon(shift, delta):
    """Solve for the epsilon of one Gaussian mechanism, by halving: Balle and Wang, theorem 5."""
    mpmath.mp.dps = 60
    normal, low, high = mpmath.ncdf, mpmath.mpf(0), mpmath.mpf(shift) ** 2 * 2 + 1000
    for _ in range(200):
        middle = (low + high) / 2
        first = normal(shift / mpmath.mpf(2) - middle / shift)
        second = mpmath.exp(middle) * normal(-shift / mpmath.mpf(2) - middle / shift)
        low, high = (middle, high) if first - second > delta else (low, middle)
    return float(high)


@pytest.mark.parametrize("delta", [1e-6, 1e-12])
@pytest.mark.parametrize(("multiplier", "rounds"), [(0.001, 100), (0.02, 1), (1e-9, 10**9)])
def test_a_budget_of_hardly_any_noise_is_said(multiplier, rounds, delta):
    budget = spent([(Mechanism("gaussian", multiplier, delta), rounds)])
    shift = rounds**0.5 / multiplier
    if shift < 1e6:
        exact = exact_epsilon(shift, delta)
        assert exact <= budget.epsilon <= exact * 1.005
    assert shift**2 / 2 < budget.epsilon < shift**2


def test_budgets_go_on_where_they_are_computed_otherwise():
    below, above = (
        spent([(Mechanism("gaussian", 1 / shift, 1e-6), 1)]).epsilon for shift in (39.9, 40.1)
    )
    assert below < above < below * 1.02


def test_a_budget_without_delta_is_infinite_then():
    assert spent([(Mechanism("gaussian", 0.001, 0.0), 100)]).epsilon == math.inf
