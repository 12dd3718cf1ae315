"""Declared strategies in real runtimes: users' subclasses of each, in packages of their own."""

import ast
import json
import pickle

import numpy as np
import pytest
from flower_app import write_package

pytestmark = pytest.mark.simulation

# The data of the node of partition k is the number k + 1, which is also its weight.
NODES = """
import numpy as np

from flame_flwr.aggregation import *
from flame_flwr.strategies import *


class Towards(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        at = np.zeros(2) if aggregator_results is None else aggregator_results["model"]["w"]
        target = np.array([data, data**2])
        loss = float(np.sum((at - target) ** 2))
        n = int(10 * data)
        return {"model": {"w": at + 0.5 * (target - at)}, "local_n_samples": n, "loss": loss}
"""

AVERAGE = (
    NODES
    + """

class Mine(WeightedFedAvg):
    metrics = ["loss"]
    convergence = MaxRounds(50) | DeltaNorm("model.w", 1e-3)
    outputs = [
        ("model.pkl", "pickle", lambda final: final["model"]["w"]),
        ("loss.txt", "str", lambda final: repr(final["loss"])),
        ("model.bin", "bytes", lambda final: final["model"]["w"]),
    ]

    def update(self, merged, last):
        self.rounds = getattr(self, "rounds", 0) + 1
        return {**merged, "rounds": self.rounds}
"""
)

REDUCE = (
    NODES
    + """

class Kinds(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        if self.id == "node-1" and aggregator_results is not None:
            raise RuntimeError("away for a round")
        return {"n": int(data), "by": {"sex": {"f": int(data), "m": 1}}, "rows": [data] * 2}


class Mine(ReduceStrategy):
    reductions = {
        "n": Sum(),
        "by": {"sex": MergeCounts()},
        "rows": Concat(),
        "largest": Max(missing="skip"),
    }
    convergence = staticmethod(lambda new, last: "enough" if last is not None else "")

    def finalize(self, aggregate, evaluations):
        return repr(aggregate)
"""
)

STATISTICS = (
    NODES
    + """
from dataclasses import astuple, dataclass

from flame_flwr.payload import register_type


@dataclass(frozen=True)
class Tally:
    n: int
    total: float

    def merge(self, other):
        return Tally(self.n + other.n, self.total + other.total)

    def result(self):
        return {"n": self.n, "mean": self.total / self.n}


register_type(Tally, to=astuple, restore=lambda form: Tally(*form))


class Counting(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"age": Tally(int(data), data**2)}


class Mine(MergeStatistics):
    kind = Tally
    outputs = [("age.txt", "str", lambda final: final["age"])]
"""
)


def loop(sites, step, rounds):
    at, path = np.zeros(2), []
    for number in range(1, rounds + 1):
        targets = np.array([[k, k**2] for k in sites], float)
        at = step(number, at, np.average(at + 0.5 * (targets - at), axis=0, weights=sites))
        path.append(at)
    return path


@pytest.mark.exhaustive
def test_a_subclass_of_weighted_fedavg(run_app):
    done = run_app(AVERAGE, model="StarModel(Towards, Mine, 's3')")
    assert done.succeeded, done.log
    path = [np.zeros(2), *loop([1, 2, 3], lambda number, at, mean: mean, 50)]
    rounds = next(k for k in range(2, 51) if np.linalg.norm(path[k] - path[k - 1]) <= 1e-3)
    assert done.run["rounds"] == rounds
    assert done.run["reason"].startswith("`model.w` changed by 0.000")
    assert done.run["reason"] in done.log
    model = pickle.loads((done.folder / "model.pkl").read_bytes())
    np.testing.assert_allclose(model, path[rounds], rtol=1e-12)
    assert (done.folder / "model.bin").read_bytes() == model.tobytes()
    losses = [np.sum((path[rounds - 1] - [k, k**2]) ** 2) for k in (1, 2, 3)]
    loss = float((done.folder / "loss.txt").read_text())
    assert loss == pytest.approx(np.average(losses, weights=[1, 2, 3]), rel=1e-12)


@pytest.mark.exhaustive
def test_a_reduce_subclass_with_a_node_away(run_app):
    done = run_app(
        REDUCE, model="StarModel(Kinds, Mine, 's3')", **{"on-failure": "skip", "min-nodes": 2}
    )
    assert done.succeeded, done.log
    assert ast.literal_eval((done.folder / "result").read_text()) == {
        "n": 4,
        "by": {"sex": {"f": 4, "m": 2}},
        "rows": [1.0, 1.0, 3.0, 3.0],
        "largest": None,
    }
    assert done.run["reason"] == "enough"
    assert [f["node"] for f in done.run["failures"]] == ["node-1"]


@pytest.mark.exhaustive
def test_a_subclass_of_merge_statistics(run_app):
    done = run_app(STATISTICS, model="StarModel(Counting, Mine, 's3')")
    assert done.succeeded, done.log
    got = ast.literal_eval((done.folder / "age.txt").read_text())
    assert got == {"n": 6, "mean": 14 / 6}
    assert done.run["reason"] == "a simple analysis has one round"


DEPLOYED = """
from flwr.serverapp.strategy import FedAdam

from flame_flwr.star import StarAnalyzer, StarModel
"""

DEPLOYED += (
    NODES
    + """

class Mine(WeightedFedAvg):
    server = FedAdam(eta=0.2)
    initial = {"model": {"w": np.zeros(2)}}
    convergence = MaxRounds(3)
    outputs = [("model.pkl", "pickle", lambda final: final["model"]["w"])]


class There(Towards):
    def analysis_method(self, data, aggregator_results):
        return super().analysis_method(1.0, aggregator_results)


model = StarModel(There, Mine, "s3")
server_app = model.server_app
client_app = model.client_app
"""
)


class Adam:
    def __init__(self):
        self.m, self.v = np.zeros(2), np.zeros(2)

    def __call__(self, number, at, mean):
        delta = mean - at
        self.m = 0.9 * self.m + 0.1 * delta
        self.v = 0.99 * self.v + 0.01 * delta**2
        rate = 0.2 * np.sqrt(1 - 0.99 ** (number + 1)) / (1 - 0.9 ** (number + 1))
        return at + rate * self.m / (np.sqrt(self.v) + 1e-3)


@pytest.mark.deployed
@pytest.mark.exhaustive
def test_a_deployment_resumes_what_an_optimiser_remembers(deployment, tmp_path):
    """Two runs at one hospital, whatever its data is: it is the server that remembers.

    ``tests/unit/strategies/test_reduce_strategy.py`` resumes from its checkpoint over messages, and
    ``failures`` resumes on a deployment.
    """
    keys = {"nodes": 1, "data": "", "results": "", "checkpoint": "", "resume": False}
    app = write_package(tmp_path / "app", "mine", DEPLOYED, {**keys, "max-rounds": 50})
    config = {"checkpoint": str(tmp_path / "checkpoint"), "results": str(tmp_path / "results")}
    with deployment.nodes("hospital-a"):
        ended, log = deployment.run(app, "hospital-a", **config, max_rounds=1)
        assert not ended.succeeded
        assert "not converged after 1 round (" in log
        ended, log = deployment.run(app, "hospital-a", **config, resume=True)
        assert ended.succeeded, log + deployment.logs()
    folder = max((tmp_path / "results").iterdir())
    run = json.loads((folder / "run.json").read_text())
    assert (run["resumed_after"], run["reason"]) == (1, "3 rounds are done")
    model = pickle.loads((folder / "model.pkl").read_bytes())
    np.testing.assert_allclose(model, loop([1], Adam(), 3)[-1], rtol=1e-11)
