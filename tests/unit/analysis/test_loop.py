"""Every rule of STAR.md's "The loop, exactly", one test each (or more)."""

import numpy as np
import pytest

from flame_flwr.errors import ModelError
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester


class Analyzer(StarAnalyzer):
    """Adds its data to the last aggregate."""

    def analysis_method(self, data, aggregator_results):
        return data + (aggregator_results or 0)


class Aggregator(StarAggregator):
    """Sums; stops after `stop_at` finished rounds."""

    def __init__(self, flame, stop_at=2):
        super().__init__(flame)
        self.stop_at = stop_at
        self.calls = []

    def aggregation_method(self, analysis_results):
        self.calls.append(("aggregation", self.num_iterations))
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        self.calls.append(("converged", self.num_iterations, last_result))
        return self.num_iterations >= self.stop_at


class Keep:
    """Instances that a run made, to look at afterwards."""

    def __init__(self):
        self.made = []

    def of(self, cls):
        keep = self

        class Kept(cls):
            def __init__(self, flame, **kwargs):
                super().__init__(flame, **kwargs)
                keep.made.append(self)

        return Kept


def run(splits, analyzer=Analyzer, aggregator=Aggregator, **kwargs):
    kwargs.setdefault("simple_analysis", False)
    return StarModelTester(splits, analyzer, aggregator, "s3", **kwargs)


# 1. num_iterations


def test_counters_are_0_throughout_the_first_round():
    seen = []

    class Counting(Analyzer):
        def analysis_method(self, data, aggregator_results):
            seen.append(("analysis", self.num_iterations))
            return 1

    keep = Keep()
    assert run([1], Counting, keep.of(Aggregator)).rounds == 3  # `>= 2` stops after 3
    assert keep.made[0].num_iterations == 3
    assert seen == [("analysis", 0), ("analysis", 1), ("analysis", 2)]
    calls = [call[:2] for call in keep.made[0].calls]
    assert calls == [(what, i) for i in range(3) for what in ("aggregation", "converged")]


def test_ten_iterations_of_the_seeds_are_eleven_rounds():
    class Pancreas(Aggregator):
        max_iter = 10

        def has_converged(self, result, last_result):
            return last_result is not None and self.num_iterations > (self.max_iter - 1)

    assert run([1, 2], aggregator=Pancreas).rounds == 11


# 2. has_converged exactly once per round


@pytest.mark.parametrize("simple", [True, False])
def test_has_converged_is_called_once_per_round(simple):
    keep = Keep()
    tester = run([1, 2], aggregator=keep.of(Aggregator), simple_analysis=simple)
    converged = [call for call in keep.made[0].calls if call[0] == "converged"]
    assert len(converged) == tester.rounds == (1 if simple else 3)


def test_users_may_call_has_converged_themselves():
    class Halta(Aggregator):
        def aggregation_method(self, analysis_results):
            result = sum(analysis_results)
            return [result] if self.has_converged(result, self.latest_result) else result

    keep = Keep()
    tester = run([1], aggregator=keep.of(Halta), aggregator_kwargs={"stop_at": 1})
    assert tester.result == [2]
    assert len([c for c in keep.made[0].calls if c[0] == "converged"]) == 2 * tester.rounds


# 3. at least two rounds, or exactly one


def test_true_in_the_first_round_is_ignored():
    tester = run([1], aggregator_kwargs={"stop_at": 0})
    assert tester.rounds == 2
    assert tester.converged


def test_simple_mode_has_one_round():
    tester = run([1, 2], simple_analysis=True, aggregator_kwargs={"stop_at": 99})
    assert (tester.rounds, tester.result, tester.converged) == (1, 3, True)


# 4. last_result and latest_result on the aggregator


def test_latest_result_is_updated_after_has_converged():
    seen = []

    class Looks(Aggregator):
        def has_converged(self, result, last_result):
            seen.append((self.latest_result, last_result, result))
            return self.num_iterations >= 2

    run([1], aggregator=Looks)
    assert seen == [(None, None, 1), (1, 1, 2), (2, 2, 3)]


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


# 9. numbering


def test_rounds_count_from_1_outside_user_code(caplog):
    class Logs(Analyzer):
        def analysis_method(self, data, aggregator_results):
            self.flame.flame_log(f"iteration {self.num_iterations}")
            return 1

    with caplog.at_level("INFO", logger="flame_flwr"):
        tester = run([1], Logs, quiet=False)
    assert [entry.round for entry in tester.record.history] == [1, 2, 3]
    lines = [record.getMessage() for record in caplog.records]
    assert "[node-0, round 1] iteration 0" in lines
    assert "[node-0, round 3] iteration 2" in lines


# 10. what has_converged may return


@pytest.mark.parametrize(
    ("yes", "no"),
    [(True, False), (1, 0), (np.bool_(True), np.bool_(False)), ("yes", ""), (np.array([1]), None)],
)
def test_has_converged_may_return_anything_truthy(yes, no):
    class Truthy(Aggregator):
        def has_converged(self, result, last_result):
            return yes if self.num_iterations >= 3 else no

    tester = run([1], aggregator=Truthy)
    assert tester.rounds == 4
    assert tester.converged is True


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


def _older_converged(self, result, last_result, num_iterations):
    return num_iterations >= 3 and last_result is not None


def test_a_third_parameter_of_older_scripts_gets_the_rounds():
    """The published scripts of FLAME's guides have it."""

    class Older(Aggregator):
        has_converged = _older_converged

    assert StarModelTester([1, 2], Analyzer, Older, "s3", simple_analysis=False).rounds == 4
    assert StarModelTester([1, 2], Analyzer, Older, "s3").rounds == 1

    class Free(Aggregator):
        def has_converged(self, result, last_result, num_iterations="not given"):
            return num_iterations == "not given" and self.num_iterations >= 2

    assert StarModelTester([1, 2], Analyzer, Free, "s3", simple_analysis=False).rounds == 3

    class Four(Aggregator):
        def has_converged(self, result, last_result, num_iterations, more):
            return True

    with pytest.raises(ModelError, match=r"Write def has_converged\(self, result, last_result\)"):
        StarModelTester([1, 2], Analyzer, Four, "s3")
