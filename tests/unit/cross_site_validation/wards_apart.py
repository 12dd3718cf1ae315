"""Three wards that train a model each and one together, and the same in a plain loop."""

import numpy as np
from sklearn.linear_model import SGDClassifier

from flame_flwr.aggregation import MaxRounds
from flame_flwr.sklearn import SklearnAnalyzer, SklearnCrossSite
from flame_flwr.star import StarModelTester

SGD = {"loss": "log_loss", "learning_rate": "constant", "eta0": 0.01, "random_state": 5}

NODES = ["node-0", "node-1", "node-2"]

MODELS = [*(f"{node} alone" for node in NODES), "common"]


def rows(seed, n, gain):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) * gain
    return x, (x @ [1.0, -1.0, 0.5] + rng.normal(size=n) > 0.2).astype(int)


SPLITS = [[rows(1, 90, 1.0)], [rows(2, 60, 2.0)], [rows(3, 45, 0.6)]]


class Ward(SklearnAnalyzer):
    def estimator(self):
        return SGDClassifier(**SGD)

    def dataset(self, data):
        x, y = data[0]
        return x[::2], y[::2]

    def test_dataset(self, data):
        x, y = data[0]
        return x[1::2], y[1::2]


def strategy(rounds=4, **more):
    return SklearnCrossSite(metrics=["accuracy"], convergence=MaxRounds(rounds + 1), **more)


def run(made=None, analyzer=Ward, **more):
    return StarModelTester(SPLITS, analyzer, made or strategy(), "s3", quiet=True, **more)


def fit(weights, x, y):
    model = SGDClassifier(**SGD, max_iter=1, tol=None)
    model.fit(x, y, coef_init=weights[None, :-1].copy(), intercept_init=weights[-1:].copy())
    return np.append(model.coef_[0], model.intercept_)
