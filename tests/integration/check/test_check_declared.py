"""The conformance kit on declared strategies, built and as classes."""

import numpy as np
import pytest

from flame_flwr.aggregation import DeltaNorm, MaxRounds, Mean, Sum
from flame_flwr.star import StarAnalyzer
from flame_flwr.strategies import CyclicTraining, ReduceStrategy, WeightedFedAvg
from flame_flwr.testing import check_analysis

SPLITS = [[1.0, 2.0], [5.0], [3.0, 3.0, 4.0]]


class Pull(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        at = np.zeros(2) if aggregator_results is None else aggregator_results["model"]
        return {"model": at + (np.mean(data) - at) / 2, "local_n_samples": len(data)}


class Declared(ReduceStrategy):
    reductions = {"model": Mean(), "local_n_samples": Sum()}
    convergence = MaxRounds(4) | DeltaNorm("model", 1e-3)
    outputs = (("n.txt", "str", lambda final: final["local_n_samples"]),)


STRATEGIES = [Declared, WeightedFedAvg(convergence=MaxRounds(3)), CyclicTraining(rounds=3)]


@pytest.mark.exhaustive
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_declared_strategy_is_sound(strategy):
    """The template that the README has checked is such a one.

    Where a model goes from node to node, their order makes it.
    """
    assert check_analysis(Pull, strategy, SPLITS) == []
