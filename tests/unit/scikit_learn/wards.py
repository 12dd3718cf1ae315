"""Three hospitals' rows, an analyzer that trains on them and a run: for these tests."""

import numpy as np
from keeping_client import keeps
from sklearn.linear_model import SGDClassifier

from flame_flwr.aggregation import MaxRounds
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.results.checkpoint import Checkpoint
from flame_flwr.results.run_record import RunRecord
from flame_flwr.sklearn import SklearnAnalyzer, SklearnFedAvg
from flame_flwr.star import StarModelTester


def rows(seed, n, shift=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(loc=shift, size=(n, 4)) * [1.0, 3.0, 0.2, 10.0]
    noise = rng.normal(scale=0.5, size=n)
    y = (x @ [1.0, -0.5, 3.0, 0.02] + noise > shift).astype(int)
    return x, y


SPLITS = [[rows(1, 60)], [rows(2, 35, 0.4)], [rows(3, 18, -0.3)]]
SGD = {
    "loss": "log_loss",
    "learning_rate": "constant",
    "eta0": 0.02,
    "alpha": 1e-3,
    "random_state": 7,
}


class Ward(SklearnAnalyzer):
    classes = (0, 1)

    def estimator(self):
        return SGDClassifier(**SGD)

    def dataset(self, data):
        return data[0]


class HeldBack(Ward):
    """Trains on two of three rows."""

    def dataset(self, data):
        x, y = data[0]
        return x[np.arange(len(y)) % 3 > 0], y[np.arange(len(y)) % 3 > 0]

    def test_dataset(self, data):
        x, y = data[0]
        return x[::3], y[::3]


def run(analyzer=Ward, rounds=3, splits=SPLITS, strategy=None, **kwargs):
    strategy = strategy or SklearnFedAvg(convergence=MaxRounds(rounds + 1))
    return StarModelTester(splits, analyzer, strategy, "s3", analyzer_kwargs=kwargs, quiet=True)


def mean(parts, counts):
    """Return a weighted mean, element by element, in Python's own sums."""
    import math

    total = sum(counts)
    flat = zip(*(np.ravel(part) for part in parts), strict=True)
    values = [math.fsum(n * v for n, v in zip(counts, each, strict=True)) / total for each in flat]
    return np.reshape(values, np.shape(parts[0]))


def over_messages(
    strategy, analyzer=Ward, rounds=20, *, checkpoint=None, client=None, splits=SPLITS, **settings
):
    """Run over Flower's messages in this process; return the run's record."""
    record = RunRecord()
    kept = None if checkpoint is None else Checkpoint(str(checkpoint), {"app": "a"})
    plan = NodePlan(analyzer, data_type="s3")
    with LocalGrid(plan, splits, *([client] if client else [])) as grid:
        strategy.start(
            grid,
            num_rounds=rounds,
            settings=RunSettings.from_config(settings),
            record=record,
            simple_analysis=False,
            checkpoint=kept,
        )
    return record


def resumed(strategy, analyzer, folder, rounds, first=2):
    """Run some rounds, and the rest from the checkpoint; return the second run's record."""
    kept = str(folder / "kept")
    plan = NodePlan(analyzer, data_type="s3")
    with LocalGrid(plan, SPLITS, keeps()) as grid:
        for most, resume in ((first, False), (rounds, True)):
            record = RunRecord()
            config = {"resume": True, "checkpoint": kept} if resume else {}
            strategy().start(
                grid,
                num_rounds=most,
                settings=RunSettings.from_config(config),
                record=record,
                simple_analysis=False,
                checkpoint=Checkpoint(kept, {"app": "a"}),
            )
    return record
