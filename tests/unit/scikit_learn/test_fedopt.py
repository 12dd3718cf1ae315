"""The four of FedOpt, where plain averaging is worse: no other test compares how far they get."""

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAdagrad, FedAdam, FedAvgM, FedYogi
from sklearn.linear_model import SGDClassifier

from flame_flwr.aggregation import MaxRounds
from flame_flwr.strategies import WeightedFedAvg

from .wards import SGD, SPLITS, Ward, mean, run

SHORT = {**SGD, "eta0": 2e-4}
"""Steps that are far too short for so few rounds."""

ROUNDS = 12
PLAIN = [split[0] for split in SPLITS]


class Short(Ward):
    def estimator(self):
        return SGDClassifier(**SHORT)


def trained(weights, x, y):
    estimator = SGDClassifier(**SHORT, max_iter=1, tol=None)
    estimator.fit(x, y, coef_init=weights[None, :-1].copy(), intercept_init=weights[-1:].copy())
    return np.append(estimator.coef_[0], estimator.intercept_)


def averaged(weights):
    return mean([trained(weights, x, y) for x, y in PLAIN], [len(y) for _, y in PLAIN])


def adam(t, change, m, v):
    m, v = 0.9 * m + 0.1 * change, 0.99 * v + 0.01 * change**2
    rate = 0.1 * np.sqrt(1 - 0.99 ** (t + 1)) / (1 - 0.9 ** (t + 1))
    return rate * m / (np.sqrt(v) + 1e-3), m, v


def yogi(t, change, m, v):
    m = 0.9 * m + 0.1 * change
    v = v - 0.01 * change**2 * np.sign(v - change**2)
    return 0.1 * m / (np.sqrt(v) + 1e-3), m, v


def adagrad(t, change, m, v):
    v = v + change**2
    return 0.1 * change / (np.sqrt(v) + 1e-3), m, v


def momentum(t, change, m, v):
    m = 0.9 * m + change
    return m, m, v


FEDOPT = {
    "adam": (FedAdam(eta=0.1), adam),
    "yogi": (FedYogi(eta=0.1), yogi),
    "adagrad": (FedAdagrad(eta=0.1), adagrad),
    "momentum": (FedAvgM(server_momentum=0.9), momentum),
}


def loop(step):
    weights = averaged(np.zeros(5))  # the first round has no aggregate to step from
    m = v = np.zeros(5)
    for t in range(2, ROUNDS + 1):
        change, m, v = step(t, averaged(weights) - weights, m, v)
        weights = weights + change
    return weights


def federated(**more):
    strategy = WeightedFedAvg(convergence=MaxRounds(ROUNDS), **more)
    model = run(Short, strategy=strategy).result["model"]
    return np.append(model["coef"][0], model["intercept"])


def pooled_loss(weights):
    losses = []
    for x, y in PLAIN:
        odds = x @ weights[:-1] + weights[-1]
        losses.append(np.logaddexp(0.0, np.where(y == 1, -odds, odds)))
    return np.concatenate(losses).mean()


@pytest.fixture(scope="module")
def plain_loss():
    return pooled_loss(federated())


@pytest.mark.parametrize("name", FEDOPT)
def test_fedopt_gets_further_where_local_steps_are_short(name, plain_loss):
    server, step = FEDOPT[name]
    weights = federated(server=server)
    np.testing.assert_allclose(weights, loop(step), rtol=1e-12)
    assert pooled_loss(weights) < plain_loss - 0.03 < pooled_loss(np.zeros(5)) - 0.03
