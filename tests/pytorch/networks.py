"""A small network, an analyzer that trains it, two nodes' data and a run: for these tests."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flame_flwr.aggregation import MaxRounds  # noqa: E402
from flame_flwr.star import StarModelTester  # noqa: E402
from flame_flwr.strategies import WeightedFedAvg  # noqa: E402
from flame_flwr.torch import TorchAnalyzer  # noqa: E402


def network():
    return torch.nn.Sequential(
        torch.nn.Linear(3, 8),
        torch.nn.BatchNorm1d(8),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.3),
        torch.nn.Linear(8, 1),
    )


class Net(TorchAnalyzer):
    epochs = 2
    batch_size = 8

    def model(self):
        return network()

    def dataset(self, data):
        return data

    def loss(self, batch):
        x, y = batch
        return torch.nn.functional.mse_loss(self.net(x)[:, 0], y)


def data(seed, n):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return x, (x @ np.float32([1, -2, 0.5])).astype(np.float32)


SPLITS = [data(1, 40), data(2, 24)]


def run(analyzer=Net, rounds=3, splits=SPLITS, strategy=None, **kwargs):
    strategy = strategy or WeightedFedAvg(metrics=["loss"], convergence=MaxRounds(rounds))
    return StarModelTester(splits, analyzer, strategy, "s3", analyzer_kwargs=kwargs)


def odd(**methods):
    """Return an analyzer with other methods."""
    return type("Odd", (Net,), methods)
