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
from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.results.aggregate_change import Change
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
from flame_flwr.strategies import ReduceStrategy, StarStrategy, WeightedFedAvg

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
def test_without_a_measure_the_arrays_of_floats_count_and_no_bookkeeping(client):
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


def test_it_is_that_of_its_key_also_where_that_is_one_number():
    strategy = Declared(convergence=DeltaNorm("intercept", 1e-9) & MaxRounds(9) | MaxRounds(4))
    means = [sum(data / number for data in SPLITS) / 2 for number in range(1, 5)]
    expected = [None, *(abs(b - a) for a, b in pairwise(means))]
    assert changes(strategy) == pytest.approx(expected)


def test_a_models_convergence_beside_an_aggregator_measures_too():
    found = changes(Study, convergence=DeltaNorm("intercept", 1e-12) | MaxRounds(3))
    sums = [sum(data / number for data in SPLITS) for number in range(1, 4)]
    assert found == pytest.approx([None, *(abs(b - a) for a, b in pairwise(sums))])


def test_a_convergence_that_measures_no_change_leaves_it_to_the_arrays():
    strategy = Declared(convergence=Plateau("loss", 9) | MaxRounds(4))

    class Plain(Declared):
        convergence = strategy.convergence

        def update(self, merged, last):
            return merged

    assert changes(Plain) == pytest.approx(norms(coefs(4)))


def test_nothing_is_shown_in_a_round_that_has_nothing_to_compare():
    class TwoKinds(ReduceStrategy):
        first = {"n": Sum()}
        reductions = {"coef": WeightedMean("n")}
        convergence = MaxRounds(4) | DeltaNorm("coef", 1e-9)

        def update(self, merged, last):
            return {"coef": np.zeros(3), "extra": np.ones(2)} if last is None else merged

    assert changes(TwoKinds) == pytest.approx(norms([np.zeros(3), *coefs(3)]))

    class Later(TwoKinds):
        def update(self, merged, last):
            return merged if last is None else {**merged, "n": 20}

        first = {"n": Sum()}

    class Fresh(Weights):
        def analysis_method(self, data, aggregator_results):
            known = (
                aggregator_results if aggregator_results and "coef" in aggregator_results else None
            )
            return super().analysis_method(data, known)

    tester = StarModelTester(
        SPLITS, Fresh, Later(convergence=DeltaNorm("coef", 1e-9) | MaxRounds(4)), "s3"
    )
    assert [entry.change for entry in tester.record.history][:2] == [None, None]


def test_a_convergence_of_ones_own_says_what_it_measured():
    class Angle(Convergence):
        def check(self, number, aggregate, last):
            self.angle = math.nan if last is None else float(aggregate["coef"] @ last["coef"])

        def measured(self):
            return self.angle

    found = changes(Declared(convergence=Angle() | MaxRounds(3)))
    expected = coefs(3)
    assert found == pytest.approx([None, *(float(b @ a) for a, b in pairwise(expected))])


def test_an_aggregation_of_ones_own_says_what_it_measured():
    class Counting:
        def __init__(self, with_change):
            self.with_change, self.number = with_change, 0

        def begin(self, number):
            self.number = number

        def add(self, node, value):
            pass

        def finish(self):
            aggregate = {"coef": np.full(3, float(self.number))}
            done = self.number == 3
            said = (aggregate, done, "three" if done else "")
            return Finished(*said, change=self.number / 10) if self.with_change else said

        def final(self, aggregate, evaluations):
            return aggregate

    class Own(StarStrategy):
        with_change = True

        def make_aggregation(self, flame, nodes, simple_analysis):
            return Counting(self.with_change)

    class Plain(Own):
        with_change = False

    assert changes(Own(None)) == [0.1, 0.2, 0.3]
    assert changes(Plain(None)) == pytest.approx([None, math.sqrt(3), math.sqrt(3)])


def test_an_averaged_models_change_is_the_models():
    strategy = WeightedFedAvg("coef", by="n", metrics=["loss"], convergence=MaxRounds(4))
    assert changes(strategy) == pytest.approx(norms(coefs(4)))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_never_shown_and_that_is_said_once(bad, caplog, tmp_path):
    class Odd(Study):
        def aggregation_method(self, analysis_results):
            result = super().aggregation_method(analysis_results)
            return {**result, "coef": np.array([1.0, bad if self.num_iterations else 0.0, 2.0])}

    assert changes(Odd, quiet=False, filename=tmp_path / "r.txt") == [None] * 5
    assert caplog.text.count("holds NaN or infinity, so that its change is not known") == 1
    with (tmp_path / "history.csv").open(newline="") as file:
        assert {row["change"] for row in csv.DictReader(file)} == {""}


def test_over_a_grid_that_goes_on_with_a_record_it_is_the_same():
    with LocalGrid(NodePlan(Weights, data_type="s3"), SPLITS) as grid:
        record = Declared().start(grid, simple_analysis=False).record
    assert [entry.change for entry in record.history] == pytest.approx(norms(coefs(4)))


def test_arrays_are_told_apart_by_where_they_are():
    change = Change()
    assert change.to({"a": np.zeros(2), "b": np.ones(2)}) is None
    assert change.to({"b": np.zeros(2), "a": np.ones(2)}) is None
    assert change.to([{"a": np.zeros(2)}, 5, np.arange(3)]) is None
    assert change.to([{"a": np.full(2, 3.0)}, 6, np.arange(1, 4)]) == pytest.approx(math.sqrt(18))
    assert change.to([{"a": np.zeros(2, np.complex64)}]) is None
    assert change.to([{"a": np.full(2, 1j, np.complex64)}]) == pytest.approx(math.sqrt(2))
    assert change.to(2.5) is None
    assert change.to(np.float32(4.5)) == 2.0
    assert change.to(7) is None
    assert change.to(True) is None
    assert change.to({"n": 1, "mean": 2.5}) is None
