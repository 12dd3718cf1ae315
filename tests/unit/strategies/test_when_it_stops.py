"""When a declared strategy stops: its own convergence, a model's, and an aggregator's."""

import logging

import numpy as np
import pytest

from flame_flwr.aggregation import (
    DeltaNorm,
    MaxRounds,
    Plateau,
)
from flame_flwr.errors import ModelError, NotConvergedError
from flame_flwr.star import StarAggregator, StarModel, StarModelTester
from flame_flwr.strategies import WeightedFedAvg

from .regression import (
    SPLITS,
    Nothing,
    Regression,
    over_messages,
    plain,
)


def test_a_run_stops_when_converged_and_says_why(caplog):
    path = [np.zeros(3), *plain(60)]
    changes = [np.linalg.norm(path[k] - path[k - 1]) for k in range(2, 61)]
    expected = 2 + next(k for k, change in enumerate(changes) if change <= 1e-3)
    with caplog.at_level(logging.INFO, "flame_flwr"):
        tester = StarModelTester(
            SPLITS,
            Regression,
            WeightedFedAvg(convergence=MaxRounds(60) | DeltaNorm("model.coef", 1e-3)),
            "s3",
            quiet=False,
        )
    assert tester.rounds == expected
    assert tester.history[-1].reason.startswith("`model.coef` changed by 0.000")
    lines = [r.getMessage() for r in caplog.records if "`model.coef` changed" in r.getMessage()]
    assert len(lines) == 1
    assert lines[0].startswith(f"round {expected}: ")


class Total(StarAggregator):
    def aggregation_method(self, analysis_results):
        return self.num_iterations

    def has_converged(self, result, last_result):
        return result >= 5


@pytest.mark.parametrize(
    ("convergence", "rounds", "reason"),
    [
        (MaxRounds(3), 3, "3 rounds are done"),
        (MaxRounds(1), 1, "1 rounds are done"),
        (MaxRounds(9), 6, "has_converged returned True"),
        (lambda new, old: new == 5, 6, "has_converged returned True; <lambda> returned True"),
    ],
)
def test_a_models_convergence_is_ored_with_has_converged(convergence, rounds, reason):
    tester = StarModelTester([1, 2], Nothing, Total, "s3", convergence=convergence)
    assert (tester.rounds, tester.history[-1].reason) == (rounds, reason)
    model = StarModel(Nothing, Total, "s3", convergence=convergence)
    record = over_messages(model.strategy(), [1, 2], Nothing, simple_analysis=True)
    assert (len(record.history), record.history[-1].reason) == (rounds, reason)
    assert record.to_json()["reason"] == reason


def test_a_models_convergence_is_ored_with_the_strategys():
    strategy = WeightedFedAvg(convergence=MaxRounds(9))
    tester = StarModelTester(SPLITS, Regression, strategy, "s3", convergence=MaxRounds(2))
    assert tester.rounds == 2
    again = StarModelTester(SPLITS, Regression, strategy, "s3")
    assert again.rounds == 9


def test_two_runs_of_one_strategy_share_no_patience():
    strategy = WeightedFedAvg(metrics=["loss"], convergence=Plateau("loss", 2, min_delta=9.0))
    rounds = {StarModelTester(SPLITS, Regression, strategy, "s3").rounds for _ in range(2)}
    assert rounds == {3}


def test_without_convergence_there_is_one_round():
    assert StarModelTester(SPLITS, Regression, WeightedFedAvg(), "s3").rounds == 1
    with pytest.raises(ModelError, match="WeightedFedAvg has more than one round and no conv"):
        StarModelTester(SPLITS, Regression, WeightedFedAvg(), "s3", simple_analysis=False)
    with pytest.raises(NotConvergedError):
        StarModelTester(
            SPLITS, Regression, WeightedFedAvg(convergence=MaxRounds(9)), "s3", max_rounds=4
        )
