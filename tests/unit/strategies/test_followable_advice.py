"""Errors advise to declare something else only where the strategy can be told so."""

import inspect
import re

import numpy as np
import pytest

from flame_flwr.aggregation import MaxRounds, Mean, MergeCounts, WeightedMean
from flame_flwr.cross_site import CrossSiteFedAvg
from flame_flwr.errors import FlameError
from flame_flwr.sklearn import SklearnAnalyzer, SklearnFedAvg
from flame_flwr.star import StarAnalyzer, StarModelTester
from flame_flwr.strategies import (
    CyclicTraining,
    FedNova,
    ReduceStrategy,
    Scaffold,
    WeightedFedAvg,
)

WHOLE = {
    "model": {"x": np.zeros(2)},
    "local_n_samples": 10,
    "loss": 0.5,
    "control_change": {"x": np.zeros(2)},
    "local_steps": 2,
    "rows_per_step": 5.0,
    "buffer_values": {},
    "start": {"x": np.zeros(2)},
}
FAULTS = {
    "no weight": {"local_n_samples": None},
    "a wrong weight": {"local_n_samples": -1},
    "no number": {"loss": None},
    "another shape": {"model": {"x": np.zeros(3)}},
    "weights of zero": {"local_n_samples": 0},
    "a NaN": {"loss": np.nan},
}


class Sends(StarAnalyzer):
    """Sends what the split says in place of a whole answer's parts; None: without it."""

    def analysis_method(self, data, aggregator_results):
        return {key: part for key, part in {**WHOLE, **data}.items() if part is not None}


def message(strategy, splits, analyzer=Sends):
    with pytest.raises(FlameError) as caught:
        StarModelTester(splits, analyzer, strategy, "s3", quiet=True)
    return caught.value.message


def advised(text):
    return set(re.findall(r"declare (\w+)=", text))


def takes(strategy):
    return {
        name
        for kind in type(strategy).__mro__
        if "__init__" in vars(kind)
        for name in inspect.signature(kind.__init__).parameters
    }


TRAINED_FOR = {
    CyclicTraining: "fedavg",
    Scaffold: "scaffold",
    FedNova: "fednova",
    WeightedFedAvg: "fedavg",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", TRAINED_FOR)
def test_no_unknown_argument_is_advised(kind, fault):
    analyzer = type("Trains", (Sends,), {"algorithm": TRAINED_FOR[kind]})
    strategy = kind(metrics=["loss"])
    splits = [FAULTS[fault]] * 2 if "zero" in fault else [{}, FAULTS[fault]]
    assert advised(message(strategy, splits, analyzer)) <= takes(strategy)


def test_what_one_takes_is_advised():
    said = {
        fault: message(WeightedFedAvg(metrics=["loss"]), [{}, FAULTS[fault]])
        for fault in ("no weight", "no number", "another shape", "a NaN")
    }
    assert [advised(text) for text in said.values()] == [
        {"bad_weight"},
        {"missing"},
        {"differing"},
        {"non_finite"},
    ]
    own = ReduceStrategy({"loss": Mean(), "model": WeightedMean("local_n_samples")})
    assert advised(message(own, [{}, FAULTS["no weight"]])) == {"bad_weight"}


class Forgets(SklearnAnalyzer):
    """Does not agree in the first round, or has no own model."""

    classes = (0, 1)

    def estimator(self):
        from sklearn.linear_model import SGDClassifier

        return SGDClassifier(random_state=0)

    def dataset(self, data):
        return np.array([[0.0], [1.0]]), np.array([0, 1])

    def test_dataset(self, data):
        return self.dataset(data)

    def analysis_method(self, data, aggregator_results):
        return {"local_n_samples": 2, "other": 1}


def test_a_round_of_agreeing_cannot_be_declared_otherwise():
    assert advised(message(SklearnFedAvg(), [1, 2], Forgets)) == set()


def test_rounds_of_scoring_cannot_be_declared_otherwise():
    class Trains(Forgets):
        def analysis_method(self, data, aggregator_results):
            if aggregator_results is None:
                return SklearnAnalyzer.analysis_method(self, data, aggregator_results)
            return {}

    strategy = CrossSiteFedAvg(convergence=MaxRounds(1))
    assert advised(message(strategy, [1, 2], Trains)) == set()


def test_counts_say_so_too():
    text = message(ReduceStrategy({"n": MergeCounts()}), [{}, {}])
    assert advised(text) == {"missing"}
