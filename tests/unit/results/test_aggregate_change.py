"""The change that a round shows: what a convergence measures, else that of all float arrays."""

import csv
import math
from itertools import pairwise

import numpy as np
import pytest

from flame_flwr.aggregation import (
    Convergence,
    DeltaNorm,
    Finished,
    MaxRounds,
    Mean,
    Plateau,
    Sum,
    WeightedMean,
)
from flame_flwr.clients import StarClient
from flame_flwr.results.aggregate_change import Change
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
from flame_flwr.strategies import ReduceStrategy, StarStrategy

SPLITS = [1.0, 5.0]
CLIENTS = pytest.mark.parametrize("client", [None, StarClient], ids=["plain", "messages"])


class Weights(StarAnalyzer):
    """Half a step from the common weights to the node's own number."""

    def analysis_method(self, data, aggregator_results):
        now = np.zeros(3) if aggregator_results is None else aggregator_results["coef"]
        return {
            "coef": now + (data - now) / 2,
            "intercept": data / (1 + self.num_iterations),
            "n": 10,
            "loss": 7.0 * self.num_iterations,
        }


def coefs(rounds):
    """Return the common weights after each round, by a plain loop."""
    found, now = [], np.zeros(3)
    for _ in range(rounds):
        now = sum(now + (data - now) / 2 for data in SPLITS) / 2
        found.append(now)
    return found


def norms(values, order=2):
    return [None, *(np.linalg.norm(b - a, order) for a, b in pairwise(values))]


def changes(aggregator, client=None, **kwargs):
    kwargs = {"simple_analysis": False, **kwargs}
    tester = StarModelTester(SPLITS, Weights, aggregator, "s3", client=client, **kwargs)
    return [entry.change for entry in tester.record.history]


class Study(StarAggregator):
    """As people write them: the model, and what is known of the run beside it."""

    def aggregation_method(self, analysis_results):
        coef = sum(result["coef"] for result in analysis_results) / len(analysis_results)
        last = self.latest_result
        moved = math.inf if last is None else float(np.linalg.norm(coef - last["coef"]))
        return {
            "coef": coef,
            "intercept": sum(result["intercept"] for result in analysis_results),
            "change": moved,
            "rounds": self.num_iterations + 1,
            "done": self.num_iterations > 2,
            "seen": np.full(4, 100 * self.num_iterations),
            "flags": np.array([self.num_iterations % 2 == 0]),
            "history": [moved] * (self.num_iterations + 1),
            "names": ["a"] * (self.num_iterations + 1),
            "nothing": None,
            "count": np.int64(self.num_iterations * 1000),
            "loss": np.float64(self.num_iterations * 1000),
        }

    def has_converged(self, result, last_result):
        return self.num_iterations >= 4


@CLIENTS
def test_without_a_measure_float_arrays_count(client):
    assert changes(Study, client) == pytest.approx(norms(coefs(5)))


class Declared(ReduceStrategy):
    reductions = {"coef": WeightedMean("n"), "intercept": Mean(), "n": Sum(), "loss": Mean()}
    convergence = MaxRounds(4) | DeltaNorm("coef", 1e-9)

    def update(self, merged, last):
        return {**merged, "change": math.inf, "other": np.full(2, self.flame.get_progress() + 1e6)}


@CLIENTS
@pytest.mark.parametrize("order", [2, 1, math.inf])
def test_what_a_declared_convergence_measures_is_shown(client, order):
    strategy = Declared(convergence=MaxRounds(4) | DeltaNorm("coef", 1e-9, ord=order))
    assert changes(strategy, client) == pytest.approx(norms(coefs(4), order))


@pytest.mark.parametrize(
    ("kwargs", "over"),
    [
        ({"aggregator": Declared(convergence=DeltaNorm("intercept", 1e-9) | MaxRounds(3))}, 2),
        ({"aggregator": Study, "convergence": DeltaNorm("intercept", 1e-12) | MaxRounds(3)}, 1),
    ],
)
def test_a_key_may_be_one_number(kwargs, over):
    values = [sum(data / number for data in SPLITS) / over for number in range(1, 4)]
    expected = [None, *(abs(b - a) for a, b in pairwise(values))]
    assert changes(**kwargs)[:3] == pytest.approx(expected)


def test_a_convergence_may_measure_no_change():
    class Plain(Declared):
        convergence = Plateau("loss", 9) | MaxRounds(4)

        def update(self, merged, last):
            return merged

    assert changes(Plain) == pytest.approx(norms(coefs(4)))


def test_a_round_with_nothing_to_compare_has_none():
    class TwoKinds(ReduceStrategy):
        first = {"n": Sum()}
        reductions = {"coef": WeightedMean("n")}
        convergence = MaxRounds(4) | DeltaNorm("coef", 1e-9)

        def update(self, merged, last):
            return {"coef": np.zeros(3), "extra": np.ones(2)} if last is None else merged

    assert changes(TwoKinds) == pytest.approx(norms([np.zeros(3), *coefs(3)]))


def test_an_own_convergence_says_what_it_measured():
    class Angle(Convergence):
        def check(self, number, aggregate, last):
            self.angle = math.nan if last is None else float(aggregate["coef"] @ last["coef"])

        def measured(self):
            return self.angle

    found = changes(Declared(convergence=Angle() | MaxRounds(3)))
    expected = coefs(3)
    assert found == pytest.approx([None, *(float(b @ a) for a, b in pairwise(expected))])


@pytest.mark.parametrize(
    ("measures", "expected"),
    [(True, [0.1, 0.2, 0.3]), (False, [None, math.sqrt(3), math.sqrt(3)])],
)
def test_an_own_aggregation_says_what_it_measured(measures, expected):
    class Counting:
        def begin(self, number):
            self.number = number

        def add(self, node, value):
            pass

        def finish(self):
            done = self.number == 3
            said = ({"coef": np.full(3, float(self.number))}, done, "three" if done else "")
            return Finished(*said, change=self.number / 10) if measures else said

        def final(self, aggregate, evaluations):
            return aggregate

    class Own(StarStrategy):
        def make_aggregation(self, flame, nodes, simple_analysis):
            return Counting()

    assert changes(Own(None)) == pytest.approx(expected)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_change_not_finite_is_told_once(bad, caplog, tmp_path):
    class Odd(Study):
        def aggregation_method(self, analysis_results):
            result = super().aggregation_method(analysis_results)
            return {**result, "coef": np.array([1.0, bad if self.num_iterations else 0.0, 2.0])}

    assert changes(Odd, quiet=False, filename=tmp_path / "r.txt") == [None] * 5
    assert caplog.text.count("holds NaN or infinity, so that its change is not known") == 1
    with (tmp_path / "history.csv").open(newline="") as file:
        assert {row["change"] for row in csv.DictReader(file)} == {""}


def test_arrays_are_told_apart_by_where_they_are():
    change = Change()
    assert change.measure({"a": np.zeros(2), "b": np.ones(2)}) is None
    assert change.measure({"b": np.zeros(2), "a": np.ones(2)}) is None
    assert change.measure([{"a": np.zeros(2)}, 5, np.arange(3)]) is None
    assert change.measure([{"a": np.full(2, 3.0)}, 6, np.arange(1, 4)]) == pytest.approx(
        math.sqrt(18)
    )
    assert change.measure([{"a": np.zeros(2, np.complex64)}]) is None
    assert change.measure([{"a": np.full(2, 1j, np.complex64)}]) == pytest.approx(math.sqrt(2))
    assert change.measure(2.5) is None
    assert change.measure(np.float32(4.5)) == 2.0
    assert change.measure(7) is None
    assert change.measure(True) is None
    assert change.measure({"n": 1, "mean": 2.5}) is None
