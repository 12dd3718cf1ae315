"""STAR.md's "Bugs in the reference not to copy", one test each."""

import sys
import textwrap
import time

import pytest
from echo import Aggregator, Analyzer
from forked_python import run_python
from hanging import HANGS

from flame_flwr.errors import NodeFailedError
from flame_flwr.star import StarModelTester


def test_nothing_leaks_from_one_run_into_the_next():
    class Grows(Analyzer):
        def __init__(self, flame):
            super().__init__(flame)
            self.count = 0

        def analysis_method(self, data, aggregator_results):
            self.count += 1
            return (self.count, self.num_iterations, aggregator_results is None)

    testers = [
        StarModelTester([1, 2], Grows, Aggregator, "s3", simple_analysis=False) for _ in range(3)
    ]
    assert [tester.rounds for tester in testers] == [2, 2, 2]
    assert {repr(tester.result) for tester in testers} == {repr([(2, 1, False)] * 2)}
    assert len({id(tester.history) for tester in testers}) == 3


def test_an_exception_arrives_with_node_and_round():
    class Own(Exception):
        pass

    class Fails(Analyzer):
        def analysis_method(self, data, aggregator_results):
            if self.num_iterations == 1 and data == 2:
                raise Own("the reason")
            return data

    with pytest.raises(Own, match="the reason") as caught:
        StarModelTester([1, 2], Fails, Aggregator, "s3", simple_analysis=False)
    assert caught.value.__notes__ == ["in node-1, round 2"]


@pytest.mark.parametrize("method", ["aggregation_method", "has_converged"])
def test_an_aggregators_exception_names_aggregator_and_round(method):
    def fails(self, *args):
        raise KeyError("pasc")

    broken = type("Broken", (Aggregator,), {method: fails})
    with pytest.raises(KeyError, match="pasc") as caught:
        StarModelTester([1], Analyzer, broken, "s3")
    assert caught.value.__notes__ == ["in aggregator, round 1"]


def script(body):
    return run_python("-c", textwrap.dedent(body), timeout=HANGS)


HEAD = """
from flame_flwr.star import *
class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        {analysis}
class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results
    def has_converged(self, result, last_result):
        return True
StarModelTester([1, 2], Analyzer, Aggregator, "s3")
"""


@pytest.mark.parametrize(
    ("analysis", "said"),
    [
        ("raise RuntimeError('no such column')", "RuntimeError: no such column"),
        ("import sys; sys.exit(0)", "node-0, round 1: user code called sys.exit at"),
    ],
)
def test_a_failed_analysis_does_not_exit_with_0(analysis, said):
    done = script(HEAD.format(analysis=analysis))
    assert done.returncode == 1
    assert said in done.stderr


def test_sys_exit_in_the_aggregator_is_an_error():
    class Exits(Aggregator):
        def aggregation_method(self, analysis_results):
            sys.exit(3)

    with pytest.raises(NodeFailedError, match=r"aggregator, round 1: user code called sys\.exit"):
        StarModelTester([1], Analyzer, Exits, "s3")


def test_the_end_of_a_run_is_idle():
    tester = StarModelTester([1, 2], Analyzer, Aggregator, "s3")
    before = time.process_time()
    time.sleep(0.3)
    assert tester.rounds == 1
    assert time.process_time() - before < 0.15


def test_a_round_costs_each_node_the_same():
    """Counts calls and bytes, not seconds: every node gets one payload of the same size."""
    sizes = {}
    for nodes in (10, 100):
        tester = StarModelTester([7] * nodes, Analyzer, Sums, "s3", simple_analysis=False)
        last = tester.history[-1]
        assert len(last.node_bytes) == nodes
        sizes[nodes] = sum(last.node_bytes.values())
    assert sizes[100] == 10 * sizes[10]


class Sums(Aggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)
