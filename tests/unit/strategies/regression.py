"""A regression at three hospitals, run as an analysis and as a plain loop."""

import numpy as np

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.results import RunRecord
from flame_flwr.star import StarAnalyzer

RNG = np.random.default_rng(11)
SPLITS = [
    (x, x @ np.array([1.0, -2.0, 0.5]) + RNG.normal(size=len(x)))
    for x in (RNG.normal(size=(n, 3)) for n in (7, 150, 31))
]
RATE = 0.1


class Regression(StarAnalyzer):
    """Three gradient steps from the common model."""

    def analysis_method(self, data, aggregator_results):
        x, y = data
        coef = np.zeros(3) if aggregator_results is None else aggregator_results["model"]["coef"]
        loss = float(np.mean((y - x @ coef) ** 2))
        for _ in range(3):
            coef = coef - RATE * x.T @ (x @ coef - y) / len(y)
        return {"model": {"coef": coef}, "local_n_samples": len(y), "loss": loss}

    def evaluation_method(self, data, result):
        x, y = data
        return {"mse": float(np.mean((y - x @ result["model"]["coef"]) ** 2))}


def plain_round(coef, splits=SPLITS, weights=None):
    """The same, as a loop in NumPy: the mean of the nodes' models after one round."""
    models = []
    for x, y in splits:
        own = coef
        for _ in range(3):
            own = own - RATE * x.T @ (x @ own - y) / len(y)
        models.append(own)
    return np.average(models, axis=0, weights=weights or [len(y) for _, y in splits])


def plain(rounds, weights=None, splits=SPLITS):
    """Return the coefficients after every round."""
    coef, path = np.zeros(3), []
    for _ in range(rounds):
        coef = plain_round(coef, splits, weights)
        path.append(coef)
    return path


class Shuffled(LocalGrid):
    """Replies come in another order, one at a time."""

    def pull_messages(self, message_ids):
        ids = list(message_ids)
        return super().pull_messages(ids[-1:])


def start(strategy, grid, settings, **more):
    record = RunRecord()
    strategy.start(grid, settings=RunSettings.from_config(settings), record=record, **more)
    return record


def over_messages(strategy, splits=SPLITS, analyzer=Regression, grid_class=LocalGrid, **more):
    settings = more.pop("settings", {})
    with grid_class(NodePlan(analyzer, data_type="s3"), splits) as grid:
        return start(strategy, grid, settings, **more)


class Nothing(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"n": data}
