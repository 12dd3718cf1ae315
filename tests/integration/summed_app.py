"""An app of secure sums, and what it has written."""

import pickle

import provisioned

HEAD = "from flame_flwr.star import StarAnalyzer, StarModel\n"

TAIL = """
model = StarModel(Steps, Sums, "s3", secure={secure})
client_app = model.client_app
server_app = model.server_app
"""

HOSPITALS = provisioned.IDENTIFIED

APP = """
import numpy as np

from flame_flwr.aggregation import *
from flame_flwr.statistics import Moments
from flame_flwr.strategies import ReduceStrategy


def number(data):
    # of this process and of a simulation the number itself; on a deployment, files of it
    return float(data[0]["value"]) if isinstance(data, list) else data


class Steps(StarAnalyzer):
    # a linear regression of the last column on the others, by steps down its gradient
    def analysis_method(self, data, aggregator_results):
        data = number(data)
        at = np.zeros(3) if aggregator_results is None else aggregator_results["coef"]
        rows = np.random.default_rng(int(data)).normal(data, 1.0, (20 * int(data), 4))
        self.seen = getattr(self, "seen", 0) + len(rows)
        x, y = rows[:, :3], rows[:, 3]
        return {
            "coef": at - 0.02 * (x.T @ (x @ at - y)) / len(rows),
            "n": len(rows),
            "seen": self.seen,
            "first": Moments.from_data(rows[:, 0]),
        }

    def evaluation_method(self, data, result):
        data = number(data)
        return {"off": abs(float(result["coef"][0]) - data), "n": 20 * int(data)}


class Sums(ReduceStrategy):
    reductions = {"coef": WeightedMean("n"), "n": Sum(), "seen": Sum(), "first": Moments}
    score_sums = {"off": WeightedMean("n")}
    convergence = MaxRounds(3)
    outputs = [("all.pkl", "pickle", lambda final: final)]

    def finalize(self, aggregate, evaluations):
        coef, first = aggregate["coef"].tobytes(), aggregate["first"].to_json()
        return coef, aggregate["n"], aggregate["seen"], first, evaluations
"""


def result_of(folder):
    return pickle.loads((folder / "all.pkl").read_bytes())
