"""STAR.md's "The loop, exactly": whose object a value is, how long it lives, in which order."""

import numpy as np

from .summing_loop import Aggregator, Analyzer, Keep, run


# 5. instances live, data is loaded once
def test_attributes_live_for_the_whole_analysis():
    class Remembers(Analyzer):
        def __init__(self, flame):
            super().__init__(flame)
            self.history = []
            self.random = np.random.default_rng(7)

        def analysis_method(self, data, aggregator_results):
            self.history.append(float(self.random.random()))
            return len(self.history)

    keep = Keep()
    tester = run([1, 2], keep.of(Remembers), aggregator_kwargs={"stop_at": 4})
    assert tester.result == 10
    expected = np.random.default_rng(7).random(5).tolist()
    assert [node.history for node in keep.made] == [expected, expected]


def test_the_data_is_loaded_once():
    split, seen = [{"a.csv": b"x"}], []

    class Looks(Analyzer):
        def analysis_method(self, data, aggregator_results):
            seen.append(data)
            return 1

    run([split], Looks)
    assert len(seen) == 3
    assert all(data is split for data in seen)


# 6. order
def test_results_are_a_list_in_split_order():
    class Names(Analyzer):
        def analysis_method(self, data, aggregator_results):
            return f"{self.id}:{data}"

    class Order(Aggregator):
        def aggregation_method(self, analysis_results):
            assert type(analysis_results) is list
            return [analysis_results, list(self.answered_node_ids)]

    tester = run(list("abcdefghijkl"), Names, Order)
    results, ids = tester.result
    assert ids == [f"node-{i}" for i in range(12)]
    assert results == [f"node-{i}:{letter}" for i, letter in enumerate("abcdefghijkl")]


# 7. nobody shares objects
def test_nodes_get_writable_copies():
    class Scribbles(Analyzer):
        def analysis_method(self, data, aggregator_results):
            if aggregator_results is not None:
                for array in aggregator_results["arrays"]:
                    assert array.flags.writeable
                    assert array.flags.owndata
                    assert (array == 0).all()
                    array += data + 1
                assert aggregator_results["list"] == []
                aggregator_results["list"].append(self.id)
            return np.zeros(100_000), np.zeros(3)

    class Checks(Aggregator):
        def aggregation_method(self, analysis_results):
            for big, small in analysis_results:
                assert big.flags.writeable
                assert small.flags.owndata
                assert not big.any()
                big += 1
            return {"arrays": [np.zeros(100_000), np.zeros(3)], "list": []}

        def has_converged(self, result, last_result):
            if last_result is not None:
                assert last_result["list"] == []
                assert not last_result["arrays"][0].any()
            return self.num_iterations >= 2

    run([0, 1], Scribbles, Checks)


def test_kwargs_are_not_shared_between_nodes():
    class Appends(Analyzer):
        def __init__(self, flame, seen):
            super().__init__(flame)
            self.seen = seen

        def analysis_method(self, data, aggregator_results):
            self.seen.append(data)
            return len(self.seen)

    given = []
    tester = run([1, 2], Appends, analyzer_kwargs={"seen": given}, simple_analysis=True)
    assert tester.result == 2
    assert given == []


def test_the_aggregator_gets_a_copy_of_results():
    class Grows(Analyzer):
        def __init__(self, flame):
            super().__init__(flame)
            self.rows = []

        def analysis_method(self, data, aggregator_results):
            self.rows.append(self.num_iterations)
            return self.rows

    class KeepsAll(Aggregator):
        def __init__(self, flame):
            super().__init__(flame)
            self.all = []

        def aggregation_method(self, analysis_results):
            self.all.append(analysis_results[0])
            return self.all

    assert run([1], Grows, KeepsAll, simple_analysis=True).result == [[0]]

    class ThreeRounds(KeepsAll):
        def has_converged(self, result, last_result):
            return self.num_iterations >= 2

    assert run([1], Grows, ThreeRounds).result == [[0], [0, 1], [0, 1, 2]]


# 8. nothing after the last round
def test_analyzers_receive_nothing_after_the_last_round():
    keep = Keep()
    run([5], keep.of(Analyzer), aggregator_kwargs={"stop_at": 1})
    assert keep.made[0].latest_result == 10  # its own result; the last aggregate never came


# latest_result on the analyzer
def test_an_analyzers_latest_result_becomes_the_aggregate():
    seen = []

    class Looks(Analyzer):
        def analysis_method(self, data, aggregator_results):
            seen.append((self.latest_result, aggregator_results))
            return data

        def analyze(self, data):
            result = super().analyze(data)
            assert self.latest_result == result == data
            return result

    run([1, 2], Looks)
    assert seen == [(None, None)] * 2 + [(3, 3)] * 4
