"""Numbers with which Flower's arithmetic overflows are left out, whichever strategy has it."""

from itertools import product

import numpy as np
import pytest
from flwr.serverapp import strategy as flower

from flame_flwr.aggregation import FlowerReduction, MaxRounds
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import AnswerError
from flame_flwr.results import RunRecord
from flame_flwr.star import StarAnalyzer
from flame_flwr.strategies import ReduceStrategy

NODES = 4
SQUARING = ("FedAdam", "FedAdagrad", "FedYogi")
STRATEGIES = (*SQUARING, "FedAvg", "FedAvgM", "FedMedian", "FedTrimmedAvg")
LARGE = {
    "float64": lambda x: {"coef": np.full(3, 1.7e308)},
    "float32": lambda x: {"coef": np.full(3, 3.3e38, "f4")},
    "a square": lambda x: {"coef": np.array([x[0], -1e200, x[2]])},
    "a weight": lambda x: {"n": 1.7e308},
    "all": lambda x: {"coef": np.full(3, -1.7e308), "n": 1.7e308},
}


class Says(StarAnalyzer):
    """Returns its data; in round 2 the second node's has what is too large, or none at all."""

    def analysis_method(self, data, aggregator_results):
        number, large, kind = data
        x = np.array([0.1, -3.0, 1e-3], kind) * (number + self.num_iterations)
        honest = {"coef": x, "n": 10.0 + number}
        if large is None or self.num_iterations != 1:
            return honest
        if large == "absent":
            raise ValueError
        return honest | large(x)


def run(kind, large, others=None, dtype="f8", **config):
    record = RunRecord()
    declared = {"coef": FlowerReduction(getattr(flower, kind)(), by="n")}
    strategy = ReduceStrategy(declared, convergence=MaxRounds(3))
    settings = RunSettings.from_config({"on-failure": "skip", **config})
    splits = [(k, large if k == 1 else others, dtype) for k in range(NODES)]
    with LocalGrid(NodePlan(Says, data_type="s3"), splits) as grid:
        strategy.start(grid, settings=settings, record=record)
    return record


PAIRS = [*product(STRATEGIES, ["float64", "all"]), *product(["FedYogi", "FedMedian"], LARGE)]


@pytest.mark.parametrize(("kind", "name"), dict.fromkeys(PAIRS))
def test_what_overflows_costs_its_sender_only(kind, name):
    """Left out, it is as if it had failed: to the bit, and in what an optimiser remembers."""
    dtype = "f4" if name == "float32" else "f8"
    found, without = (run(kind, what, dtype=dtype) for what in (LARGE[name], "absent"))
    assert np.isfinite(found.aggregate["coef"]).all()
    failed = list(found.history[1].failed)
    assert failed in ([], ["node-1"])
    if kind in SQUARING and name != "a weight":
        assert failed
    if failed:
        assert found.aggregate["coef"].tobytes() == without.aggregate["coef"].tobytes()
    assert not found.history[2].failed


@pytest.mark.parametrize("kind", ["FedAvg", "FedAdam"])
def test_weights_too_large_together_cost_the_largest(kind):
    def others(x):
        return {"n": 4e307}

    def largest(x):
        return {"n": 1.7e308}

    assert list(run(kind, largest, others).history[1].failed) == ["node-1"]
    with pytest.raises(AnswerError, match=r"round 2, key `coef`, node-1: .* too large"):
        run(kind, largest, others, **{"on-failure": "abort"})
