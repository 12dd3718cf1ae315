"""What an answer costs: its figures counted by hand, its epsilon as dp-accounting has it."""

import math

import numpy as np
import pandas as pd
import pytest

from flame_flwr.payload import encode, opaque
from flame_flwr.privacy import GaussianNoise, MinCount, NoisyMinMax, SparseVector
from flame_flwr.privacy.answer_cost import DELTA, Cost, cost_of, figures_in, gaussian_epsilon
from flame_flwr.privacy.gate import Gate, Passed
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.statistics import MinMax, Moments, RowCount, describe


def cost(value, *rules, filters=(), beside=0):
    passed = Gate("a", rules, filters).result(encode(value), Study(), 1)
    return cost_of(passed, beside)


@pytest.mark.parametrize("shift", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("delta", [1e-5, 1e-9])
def test_epsilon_is_as_dp_accounting_has_it(shift, delta):
    losses = pytest.importorskip("dp_accounting.pld.privacy_loss_distribution")
    known = losses.from_gaussian_mechanism(1 / shift, value_discretization_interval=1e-3)
    assert gaussian_epsilon(shift, delta) == pytest.approx(
        known.get_epsilon_for_delta(delta), abs=2e-3
    )


def test_epsilon_ends():
    assert gaussian_epsilon(0.0, 1e-5) == 0
    assert gaussian_epsilon(1e-9, 1e-5) == 0  # such noise alone is within delta
    assert gaussian_epsilon(math.inf, 1e-5) == math.inf
    assert gaussian_epsilon(80.0, 1e-5) == pytest.approx(80**2 / 2 + 80 * 4.2648907939, rel=1e-3)


@pytest.mark.parametrize(
    ("value", "figures"),
    [
        (None, 0),
        ({"n": 3, "names": ["a", "b"], "none": None}, 3),
        (np.zeros((300, 30)), 9000),
        (pd.DataFrame({"a": [1, 2, 3], "b": [4.0, 5.0, 6.0]}), 6),
        ((b"12345678", b"123456789"), 3),
        ({1: 2.0}, 2),
        (RowCount(31), 1),
        (Moments.from_data([1.0, 2.0, 4.0]), 3),
    ],
)
def test_figures_are_counted(value, figures):
    assert figures_in(value) == figures
    assert cost(value, beside=2).figures == figures + 2


def test_too_large_values_count_by_their_bytes(monkeypatch):
    monkeypatch.setattr(opaque, "LIMITS", opaque.LIMITS._replace(header=1000))
    passed = Passed(encode("a" * 1000))
    assert cost_of(passed) == Cost(passed.payload.nbytes // 8, exact=1)


def test_noise_of_filters_is_added_up():
    noise = GaussianNoise(1.0, 2.0, keys="coef")  # 2 deviations per norm, 1 per sensitivity
    rare = SparseVector(0.01, bound=1.0, threshold=0.5, epsilon_select=0.25, epsilon_values=0.5)
    value = {"coef": np.array([0.3, 0.4]), "n": 7}
    once = cost(value, filters=[noise])
    assert (once.figures, once.shift, once.exact) == (3, 1.0, 0)
    assert (once + once).epsilon == gaussian_epsilon(math.sqrt(2.0), 1e-5)
    both = cost(value, filters=[noise, rare])
    assert both.epsilon == pytest.approx(once.epsilon + rare.mechanism().value)
    assert cost(value, filters=[GaussianNoise(1.0, 2.0, keys="coef", seed=1)]).exact == 1


def test_the_smallest_delta_holds_and_none_hides_epsilon():
    value = {"coef": np.array([0.3, 0.4])}
    [wide, narrow] = [cost(value, filters=[GaussianNoise(1.0, 2.0, d)]) for d in (0.5, 1e-9)]
    assert (wide.delta, narrow.delta) == (DELTA, 1e-9)
    assert (wide + narrow).delta == 1e-9


def test_moved_extremes_count_once_an_answer():
    ages = [20.0, 30.0, 40.0, 50.0, 61.0, 70.0]
    rules = (NoisyMinMax(0.1, 0.2), MinCount(5))
    answer = {"all": [MinMax.from_data(ages)] * 3, "n": RowCount(6)}
    assert cost(answer, *rules).extremes == 1
    assert cost(answer, *rules).epsilon == 1
    assert cost(answer, MinCount(5)).extremes == 0  # withheld
    assert cost({"n": RowCount(6)}, *rules).extremes == 0
    table = describe(pd.DataFrame({"age": ages}))
    assert cost(table, *rules).extremes == 1
