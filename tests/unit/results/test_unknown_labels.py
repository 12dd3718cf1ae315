"""Values that fit no label are said to the analyst, by node, once, and no withheld number."""

import logging

import pandas as pd
import pytest

from flame_flwr.privacy import MinCount
from flame_flwr.results.unknown_labels import UnknownLabels
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
from flame_flwr.statistics import LogRank, ValueCounts, describe

KINDS = {
    "ValueCounts": lambda sex: ValueCounts.from_data(sex, ["f", "m"]),
    "LogRank": lambda sex: LogRank.from_data(
        [1] * len(sex), [1] * len(sex), sex, ["f", "m"], [1, 2]
    ),
    "Description": lambda sex: describe(pd.DataFrame({"sex": sex}), {"sex": ["f", "m"]}),
}
GOOD = ["f", "F", "m"] * 20


class Last(StarAggregator):
    def aggregation_method(self, analysis_results):
        first, *others = (result["nested"][0] for result in analysis_results)
        for other in others:
            first = first.merge(other)
        return first

    def has_converged(self, result, last_result):
        return self.num_iterations >= 2


def run(kind, splits, **arguments):
    class Counts(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return {"nested": [KINDS[kind](data)]}

    return StarModelTester(splits, Counts, Last, "s3", simple_analysis=False, **arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_said_once_with_the_node(kind, caplog):
    with caplog.at_level(logging.WARNING, "flame_flwr"):
        run(kind, [[*GOOD, None], [*GOOD, "x", "w"], [*GOOD, "x"]])
    said = [line for line in caplog.messages if line.startswith("round")]
    assert said == [
        f"round 1, node-1: in a {kind} at nested 2 values fit no label: counted as `other`",
        f"round 1, node-2: in a {kind} at nested 1 value fits no label: counted as `other`",
    ]


def test_each_column_is_named_up_to_a_limit(caplog):
    counts = KINDS["ValueCounts"](["f", "x"])
    warnings = UnknownLabels()
    warnings.note("node-0", 1, {"smoker\x1b": {"yes": counts}, "sex": (counts,), 7: GOOD})
    warnings.note("node-0", 2, {"sex": [counts]})
    said = [line for line in caplog.messages if line.startswith("round")]
    assert [line.partition(" 1 value ")[0] for line in said] == [
        "round 1, node-0: in a ValueCounts at smoker?.yes",
        "round 1, node-0: in a ValueCounts at sex",
    ]
    warnings.note("node-0", 3, {f"column {number}": counts for number in range(100)})
    assert len([line for line in caplog.messages if line.startswith("round")]) == 20


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_withheld_is_not_said(kind, caplog):
    with caplog.at_level(logging.WARNING, "flame_flwr"):
        run(kind, [GOOD, [*GOOD, "x", "w"]], disclosure=[MinCount(5)])
    said = [line for line in caplog.messages if line.startswith("round")]
    assert said == [
        f"round 1, node-1: in a {kind} at nested values may fit no label: how many is withheld"
    ]


def test_a_statistic_withheld_whole_asserts_nothing(caplog):
    with caplog.at_level(logging.WARNING, "flame_flwr"):
        run("ValueCounts", [GOOD, ["f", "m"]], disclosure=[MinCount(5)])
    assert [line for line in caplog.messages if line.startswith("round")] == [
        "round 1, node-1: in a ValueCounts at nested values may fit no label: how many is withheld"
    ]
