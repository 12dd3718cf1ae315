"""Runs of every kind, whose reports are read."""

import json

import numpy as np

from flame_flwr.aggregation.convergence import MaxRounds
from flame_flwr.aggregation.delta_norm import DeltaNorm
from flame_flwr.data.expect import Column, Table
from flame_flwr.privacy import Clip, MaxRows, MinCount
from flame_flwr.star import StarAnalyzer
from flame_flwr.statistics import Moments
from flame_flwr.strategies import ReduceStrategy, WeightedFedAvg

from .small_runs import Scalar, full_run


class Steps(StarAnalyzer):
    def __init__(self, flame, rate, layers, fit=None, deep=True):
        super().__init__(flame)

    def analysis_method(self, data, aggregator_results):
        table = next(iter(data[0].values())).decode().split()[1:]
        ages = np.array([float(age) for age in table])
        self.flame.report_metrics(loss=float(ages.mean()) / (1 + self.num_iterations))
        return {"model": [np.array([ages.mean()]), ages[:2]], "n": len(ages)}

    def evaluation_method(self, data, result):
        return {"auc": 0.5}


SPLITS = [
    [{"ages.csv": "age\n{}\n".format("\n".join(map(str, ages))).encode()}]
    for ages in ([31, 47, 52], [68, 71], [25, 39, 44, 60])
]

MANY = {
    "analyzer_kwargs": {"rate": 0.1, "layers": [8, {"a": 1}], "fit": np.mean, "deep": False},
    "convergence": DeltaNorm("model", 1e-3) | MaxRounds(4),
    "filters": [Clip(2.0, keys=["model"])],
    "disclosure": [MaxRows(200)],
    "expects": [Table("*.csv", {"age": Column("number", 0, 120, unit="years")})],
    "query": ["ages.csv"],
    "shown": ["loss"],
}


def page_of(folder, *splits, **kwargs):
    full_run(folder, *splits, tensorboard="off", **kwargs)
    return json.loads((folder / "run.json").read_text()), (folder / "report.html").read_text()


class Counts(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"age": Moments.from_data(data)}


def told(aggregate, last):
    return True


RUNS = {
    "plain": {},
    "a function": {"convergence": told},
    "statistics": {
        "splits": [[31.0, 47.0, 52.0, 60.0, 71.0]] * 3,
        "analyzer": Counts,
        "aggregator": ReduceStrategy({"age": Moments}),
        "disclosure": [MinCount(2)],
        "simple_analysis": True,
    },
    "secure sums": {
        "splits": [[31.0, 47.0, 52.0]] * 3,
        "analyzer": Counts,
        "aggregator": ReduceStrategy({"age": Moments}),
        "secure": True,
        "simple_analysis": True,
    },
    "private": {
        "aggregator": Scalar,
        "epsilon": 1.0,
        "sensitivity": 1.0,
        "convergence": DeltaNorm(None, 9.0) | MaxRounds(2),
    },
    "many": {"splits": SPLITS, "analyzer": Steps, "aggregator": WeightedFedAvg(by="n"), **MANY},
}
