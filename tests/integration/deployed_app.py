"""An app for the failure tests, and what it computes, as a plain loop.

Its analyzers do what files in the node's own folder tell them to: wait, fail.
"""

import numpy as np
from flower_app import write_package

SOURCE = """
import os
import time
from pathlib import Path

import numpy as np

from flame_flwr.clients import StarClient
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


def told(folder, what, number):
    # Say that this place is reached, and stay in it as long as the test wants.
    Path(folder, f"{what}-{number}.reached").write_text(str(os.getpid()))
    while Path(folder, f"{what}-{number}.hold").exists():
        time.sleep(0.05)


class Analyzer(StarAnalyzer):
    def __init__(self, flame):
        super().__init__(flame)
        self.rng = np.random.default_rng(7)
        self.sums = []

    def analysis_method(self, data, aggregator_results):
        [files] = data
        folder, number = files["folder"].decode(), self.num_iterations + 1
        told(folder, "round", number)
        if Path(folder, f"fail-{number}").exists():
            raise ValueError("Maria Muster, born 1961")
        before = self.sums[-1] if self.sums else 0.0
        mean = 0.0 if aggregator_results is None else aggregator_results[-1]
        self.sums.append(before + float(files["value"]) * self.rng.normal() + 0.1 * mean)
        return self.sums[-1]


class Aggregator(StarAggregator):
    def __init__(self, flame):
        super().__init__(flame)
        self.rng = np.random.default_rng(8)
        self.means = []
        self.seen = []

    def aggregation_method(self, analysis_results):
        self.means.append(sum(analysis_results) / len(analysis_results) + self.rng.normal())
        self.seen.append(list(self.answered_node_ids))
        return list(self.means)

    def has_converged(self, result, last_result):
        return self.num_iterations >= ROUNDS - 1

    def final_method(self, result, evaluations):
        return {"means": result, "seen": self.seen}


class Client(StarClient):
    def fit(self, parameters, config):
        answer = super().fit(parameters, config)  # the analyzer is saved by now
        folder = self.context.node_config["data"]
        told(folder, "saved", config["round"])
        return answer


model = StarModel(
    Analyzer, Aggregator, "s3", simple_analysis=False, output_type="pickle", filename="means.pkl",
    client=Client,
)
server_app = model.server_app
client_app = model.client_app
"""

KEYS = {
    "nodes": 3,
    "on-failure": "abort",
    "min-nodes": 2,
    "round-timeout": 300,
    "node-timeout": 60,
    "results": "",
    "checkpoint": "",
    "resume": False,
    "analysis-id": "analysis",
    "data": "",
}
VALUES = {"a": 1.0, "b": 2.5, "c": -4.0}
ROUNDS = 3


def write_app(folder, package, version="1.0.0"):
    """Write the app; the package's name makes it another app to Flower."""
    source = SOURCE.replace("ROUNDS", str(ROUNDS))
    return write_package(folder, package, source, KEYS, version)


def expected(nodes, missing=()):
    """Compute the means in a plain loop; `missing` are (node, round) that are not counted."""
    generators = {node: np.random.default_rng(7) for node in nodes}
    last = dict.fromkeys(nodes, 0.0)
    noise, means = np.random.default_rng(8), []
    for number in range(1, ROUNDS + 1):
        answers = []
        for node in nodes:
            value = VALUES[node]
            if (node, number) in missing:
                continue
            mean = means[-1] if means else 0.0
            last[node] = last[node] + value * generators[node].normal() + 0.1 * mean
            answers.append(last[node])
        means.append(sum(answers) / len(answers) + noise.normal())
    return means
