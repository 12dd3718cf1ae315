"""STAR.md's "The loop, exactly": how rounds are counted, and when a run has converged."""

import numpy as np
import pytest

from flame_flwr.errors import ModelError
from flame_flwr.star import StarModelTester

from .summing_loop import Aggregator, Analyzer, Keep, run


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


def _older_converged(self, result, last_result, num_iterations):
    return num_iterations >= 3 and last_result is not None


def test_older_scripts_third_parameter_gets_the_rounds():
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
