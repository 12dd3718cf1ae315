"""The end of an analysis: ``evaluation_method``, ``final_method``, and what need not travel."""

import numpy as np
import pytest

from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester


class Analyzer(StarAnalyzer):
    """Adds its data to the last aggregate."""

    def analysis_method(self, data, aggregator_results):
        return data + (aggregator_results or 0)


class Aggregator(StarAggregator):
    """Sums; stops after three rounds."""

    def aggregation_method(self, analysis_results):
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations >= 2


def run(splits, analyzer=Analyzer, aggregator=Aggregator, simple_analysis=False):
    return StarModelTester(splits, analyzer, aggregator, "s3", simple_analysis=simple_analysis)


def test_evaluation_and_final_method_are_called_once():
    calls = []

    class Scores(Analyzer):
        def evaluation_method(self, data, result):
            calls.append((self.id, data, result, self.num_iterations))
            return {"score": np.float64(result - data), "n": 3}

    class Finishes(Aggregator):
        def final_method(self, result, evaluations):
            calls.append(("final", result))
            return {"last": result, "scores": evaluations, "nodes": self.answered_node_ids}

    tester = run([1, 2], Scores, Finishes)
    last = 21
    assert calls == [("node-0", 1, last, 3), ("node-1", 2, last, 3), ("final", last)]
    assert tester.result == {
        "last": last,
        "scores": [{"score": 20.0, "n": 3}, {"score": 19.0, "n": 3}],
        "nodes": ["node-0", "node-1"],
    }
    assert tester.rounds == 3


def test_final_method_without_evaluation_gets_an_empty_list():
    class Finishes(Aggregator):
        def final_method(self, result, evaluations):
            return evaluations

    assert run([1], aggregator=Finishes, simple_analysis=True).result == []


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        *(
            (bad, "must return a dict of num")
            for bad in (None, 3, {"a": "x"}, {1: 2.0}, {"a": [1]})
        ),
        ({"n": 2**63}, "returned an integer of more than 64 bits"),
    ],
)
def test_an_evaluation_must_be_a_dict_of_numbers(bad, said):
    class Scores(Analyzer):
        def evaluation_method(self, data, result):
            return bad

    with pytest.raises(TypeError, match=rf"Scores\.evaluation_method.* {said}"):
        run([1], Scores, simple_analysis=True)


class Anything:
    """A result that cannot travel."""


@pytest.mark.parametrize("simple", [True, False])
def test_the_last_aggregate_may_be_anything(simple):
    class Builds(Aggregator):
        def aggregation_method(self, analysis_results):
            return Anything() if simple or self.num_iterations == 2 else 0

    assert isinstance(run([1], aggregator=Builds, simple_analysis=simple).result, Anything)


def test_an_aggregate_that_cannot_travel_is_an_error():
    class Builds(Aggregator):
        def aggregation_method(self, analysis_results):
            return Anything()

    with pytest.raises(TypeError, match="cannot travel between nodes") as caught:
        run([1], aggregator=Builds)
    assert caught.value.__notes__ == ["in aggregator, round 1"]

    class Scores(Analyzer):
        def evaluation_method(self, data, result):
            return {}

    with pytest.raises(TypeError, match="cannot travel between nodes"):
        run([1], Scores, Builds, simple_analysis=True)
