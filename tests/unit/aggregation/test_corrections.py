"""FedProx and SCAFFOLD as plain functions, against their formulas, and in an analyzer."""

import numpy as np
import pytest

from flame_flwr.aggregation import (
    MaxRounds,
    Mean,
    proximal_gradient,
    proximal_term,
    scaffold_control,
    scaffold_gradient,
    scaffold_update,
    zeros_like,
)
from flame_flwr.errors import ModelError
from flame_flwr.star import StarAnalyzer, StarModelTester
from flame_flwr.strategies import ReduceStrategy

RNG = np.random.default_rng(3)
W, R, C, S = ([RNG.normal(size=(2, 3)), RNG.normal(size=4)] for _ in range(4))


def test_the_proximal_term_and_its_gradient():
    flat = np.concatenate([(w - r).ravel() for w, r in zip(W, R, strict=True)])
    assert proximal_term(W, R, 0.3) == pytest.approx(0.15 * flat @ flat)
    gradient = proximal_gradient(W, R, 0.3)
    for g, w, r in zip(gradient, W, R, strict=True):
        np.testing.assert_allclose(g, 0.3 * (w - r))
    step = 1e-6
    moved = [W[0], W[1] + np.array([step, 0, 0, 0])]
    slope = (proximal_term(moved, R, 0.3) - proximal_term(W, R, 0.3)) / step
    assert slope == pytest.approx(gradient[1][0], rel=1e-4)


def test_control_variates():
    named = {"a": W[0], "b": (W[1],)}
    zero = zeros_like(named)
    assert [zero["a"].shape, zero["b"][0].shape] == [(2, 3), (4,)]
    assert zeros_like(np.array([1, 2])).dtype.kind == "f"
    got = scaffold_gradient(W, C, S)
    np.testing.assert_allclose(got[0], W[0] - C[0] + S[0])
    got = scaffold_control(C, S, R, W, steps=5, learning_rate=0.1)
    np.testing.assert_allclose(got[1], C[1] - S[1] + (R[1] - W[1]) / 0.5)
    new, control = scaffold_update(W, C, R, S, learning_rate=0.5, share=0.25)
    np.testing.assert_allclose(new[0], W[0] + 0.5 * R[0])
    np.testing.assert_allclose(control[0], C[0] + 0.25 * S[0])
    with pytest.raises(ValueError, match="shapes"):
        proximal_gradient(np.zeros(2), np.zeros(3), 1.0)


SITES = [
    (np.array([4.0, 0.2]), np.array([3.0, -1.0])),
    (np.array([0.3, 2.0]), np.array([-2.0, 5])),
    (np.array([1.0, 1.0]), np.array([10.0, 0.0])),
]
"""Curvature and minimum of every node's quadratic loss: the nodes disagree."""

BEST = sum(h * m for h, m in SITES) / sum(h for h, _ in SITES)
RATE, STEPS = 0.1, 20


def test_parts_that_do_not_fit_are_named():
    with pytest.raises(ModelError, match="no dicts with the same keys: give the same part of both"):
        proximal_term({"coef": np.ones(2)}, {"coef": np.ones(2), "n": 7}, 0.1)
    with pytest.raises(ModelError, match="no lists of the same length"):
        proximal_gradient([np.ones(2)], [np.ones(2)] * 2, 0.1)
    for steps, rate in ((0, 0.1), (3, 0.0)):
        with pytest.raises(ModelError, match="steps must be at least 1 and learning_rate above 0"):
            scaffold_control(*[np.ones(2)] * 4, steps=steps, learning_rate=rate)


class Drifting(StarAnalyzer):
    """Local gradient steps on the node's own loss."""

    def __init__(self, flame, scaffold=False):
        super().__init__(flame)
        self.scaffold = scaffold
        self.control = np.zeros(2)

    def analysis_method(self, data, aggregator_results):
        curvature, minimum = data
        at, server = aggregator_results["weights"], aggregator_results["control"]
        weights = at.copy()
        for _ in range(STEPS):
            gradient = curvature * (weights - minimum)
            if self.scaffold:
                gradient = scaffold_gradient(gradient, self.control, server)
            weights = weights - RATE * gradient
        before = self.control
        if self.scaffold:
            self.control = scaffold_control(
                before, server, at, weights, steps=STEPS, learning_rate=RATE
            )
        return {"weights": weights - at, "control": self.control - before}


class Scaffold(ReduceStrategy):
    reductions = {"weights": Mean(), "control": Mean()}
    convergence = MaxRounds(150)
    initial = {"weights": np.zeros(2), "control": np.zeros(2)}

    def update(self, merged, last):
        weights, control = scaffold_update(
            last["weights"], last["control"], merged["weights"], merged["control"]
        )
        return {"weights": weights, "control": control}


def test_scaffold_finds_the_common_minimum():
    plain = StarModelTester(SITES, Drifting, Scaffold, "s3").result["weights"]
    corrected = StarModelTester(
        SITES, Drifting, Scaffold, "s3", analyzer_kwargs={"scaffold": True}
    ).result["weights"]
    assert np.linalg.norm(plain - BEST) > 0.5
    np.testing.assert_allclose(corrected, BEST, atol=1e-6)
