"""Flower's strategies over the arrays of a payload, against their formulas in plain NumPy."""

import numpy as np
import pytest
from flwr.serverapp.strategy import (
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedMedian,
    FedTrimmedAvg,
    FedYogi,
    Krum,
    MultiKrum,
)

from flame_flwr.aggregation import FlowerReduction, MaxRounds
from flame_flwr.errors import DataError, ModelError
from flame_flwr.star import StarAnalyzer, StarModelTester
from flame_flwr.strategies import WeightedFedAvg

SITES = [
    (np.array([[1.0, -2.0]]), 0.5, 30),
    (np.array([[4.0, 0.0]]), -1.0, 5),
    (np.array([[-3.0, 7.0]]), 2.0, 12),
    (np.array([[2.0, 1.0]]), 0.0, 44),
]
"""Where each node pulls the coefficients and the intercept, and how many rows it has."""

START = {"coef": np.zeros((1, 2)), "intercept": 0.0}


class Pull(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        coef, intercept, n = data
        at = START if aggregator_results is None else aggregator_results["model"]
        model = {
            "coef": at["coef"] + 0.5 * (coef - at["coef"]),
            "intercept": at["intercept"] + 0.5 * (intercept - at["intercept"]),
        }
        return {"model": model, "local_n_samples": n}


def flat(model):
    return np.append(model["coef"].ravel(), model["intercept"])


def run(server, rounds, initial=True, **more):
    strategy = WeightedFedAvg(
        server=server,
        convergence=MaxRounds(rounds),
        initial={"model": START} if initial else None,
        **more,
    )
    return flat(StarModelTester(SITES, Pull, strategy, "s3").result["model"])


TARGETS = np.array([np.append(coef.ravel(), intercept) for coef, intercept, _ in SITES])
WEIGHTS = np.array([n for _, _, n in SITES])


def loop(step, rounds, at=None):
    """Run the rounds in NumPy; `step` gets the round, the model and the nodes' models."""
    at = np.zeros(3) if at is None else at
    for number in range(1, rounds + 1):
        at = step(number, at, at + 0.5 * (TARGETS - at))
    return at


def mean(models):
    return np.average(models, axis=0, weights=WEIGHTS)


class Optimizer:
    """Reddi et al., "Adaptive Federated Optimization", ICLR 2021, algorithm 2."""

    def __init__(self, kind, eta, beta_1=0.0, beta_2=0.0, tau=1e-3):
        self.kind, self.eta, self.tau = kind, eta, tau
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.m, self.v = np.zeros(3), np.zeros(3)

    def __call__(self, number, at, models):
        delta, eta = mean(models) - at, self.eta
        self.m = self.beta_1 * self.m + (1 - self.beta_1) * delta
        if self.kind == "adagrad":
            self.v = self.v + delta**2
        elif self.kind == "yogi":
            self.v = self.v - (1 - self.beta_2) * delta**2 * np.sign(self.v - delta**2)
        else:
            self.v = self.beta_2 * self.v + (1 - self.beta_2) * delta**2
            eta *= np.sqrt(1 - self.beta_2 ** (number + 1)) / (1 - self.beta_1 ** (number + 1))
        return at + eta * self.m / (np.sqrt(self.v) + self.tau)


@pytest.mark.parametrize(
    ("server", "step"),
    [
        (FedAdam(eta=0.2), Optimizer("adam", 0.2, 0.9, 0.99)),
        (FedYogi(eta=0.1, tau=0.01), Optimizer("yogi", 0.1, 0.9, 0.99, 0.01)),
        (FedAdagrad(eta=0.3), Optimizer("adagrad", 0.3)),
    ],
)
def test_adaptive_server_optimisation(server, step):
    np.testing.assert_allclose(run(server, 6), loop(step, 6), rtol=1e-11)


def test_server_momentum():
    momentum = np.zeros(3)

    def step(number, at, models):
        nonlocal momentum
        momentum = 0.8 * momentum + (at - mean(models))
        return at - 0.5 * momentum

    server = FedAvgM(server_learning_rate=0.5, server_momentum=0.8)
    np.testing.assert_allclose(run(server, 5), loop(step, 5), rtol=1e-11)


def krum(models, malicious, count=1):
    """Blanchard et al., NeurIPS 2017."""
    distances = ((models[:, None] - models[None]) ** 2).sum(-1)
    closest = max(1, len(models) - malicious - 2)
    scores = [np.sort(row)[1 : closest + 1].sum() for row in distances]
    return np.argsort(scores)[:count]


def chosen(models, count):
    best = krum(models, 1, count)
    return np.average(models[best], axis=0, weights=WEIGHTS[best])


@pytest.mark.parametrize(
    ("server", "merge"),
    [
        (FedMedian(), lambda models: np.median(models, axis=0)),
        (FedTrimmedAvg(beta=0.25), lambda models: np.sort(models, axis=0)[1:3].mean(0)),
        (Krum(num_malicious_nodes=1), lambda models: chosen(models, 1)),
        (MultiKrum(num_malicious_nodes=1, num_nodes_to_select=2), lambda m: chosen(m, 2)),
        (FedAvg(), mean),
    ],
)
@pytest.mark.parametrize("initial", [True, False])
def test_robust_means(server, merge, initial):
    expected = loop(lambda number, at, models: merge(models), 3)
    np.testing.assert_allclose(run(server, 3, initial), expected, rtol=1e-12, atol=1e-15)


def test_without_a_model_to_begin_with_the_first_mean_is_the_first_model():
    optimizer = Optimizer("adam", 0.2, 0.9, 0.99)

    def step(number, at, models):
        return mean(models) if number == 1 else optimizer(number, at, models)

    np.testing.assert_allclose(run(FedAdam(eta=0.2), 4, False), loop(step, 4), rtol=1e-11)


def test_runs_of_one_declared_strategy_share_nothing():
    server = FedAdam(eta=0.2)
    assert run(server, 3).tobytes() == run(server, 3).tobytes()
    assert server.m_t is None
    assert server.fraction_train == 1.0


def test_one_node_and_equal_weights(reduce):
    model = {"w": np.array([1.0, 2.0], np.float32), "b": 3}
    got = reduce({"m": FlowerReduction(FedMedian())}, [{"m": model}])
    assert got["m"]["w"].dtype == np.float32
    assert got["m"] == {"w": pytest.approx([1.0, 2.0]), "b": 3.0}


def test_krum_does_not_show_the_order_of_arrival(reduce):
    models = [{"m": np.array([k % 5, k % 3, 1.0]), "n": k + 1} for k in range(12)]
    reduce({"m": FlowerReduction(Krum(num_malicious_nodes=2), by="n")}, models)


def test_what_goes_wrong_names_round_key_and_node(reduce):
    median = {"m": FlowerReduction(FedMedian(), by="n")}
    with pytest.raises(DataError, match=r"key `m`, node-1: it sent an array of shape \(3,\)"):
        reduce(median, [{"m": np.zeros(2), "n": 1}, {"m": np.zeros(3), "n": 1}])
    with pytest.raises(DataError, match="key `m`, node-1: what it sent is of type str"):
        reduce(median, [{"m": np.zeros(2), "n": 1}, {"m": "a", "n": 1}])
    with pytest.raises(DataError, match="node-0: its weight `n` is negative"):
        reduce(median, [{"m": np.zeros(2), "n": -1}])
    with pytest.raises(DataError, match="the weights of all nodes together are zero"):
        reduce(median, [{"m": np.zeros(2), "n": 0}])
    adam = {"m": FlowerReduction(FedAdam(), by="n")}
    with pytest.raises(DataError, match="the weights of all nodes together are zero"):
        reduce(adam, [{"m": np.zeros(2), "n": 0}])


def test_only_flowers_own_strategies_are_taken():
    for wrong in (3, FedAdam, WeightedFedAvg()):
        with pytest.raises(ModelError, match="FlowerReduction takes one of Flower's strategies"):
            FlowerReduction(wrong)


def test_flowers_lines_about_replies_are_left_out(caplog):
    run(FedMedian(), 2)
    assert "Received" not in caplog.text
