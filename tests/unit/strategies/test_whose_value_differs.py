"""An error of a user's own code over the nodes' values says whose has another form."""

import numpy as np
import pandas as pd
import pytest

from flame_flwr.aggregation import Function
from flame_flwr.aggregation.merged_round import merge_values
from flame_flwr.aggregation.odd_values import other_forms
from flame_flwr.errors import DataError
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester


class Says(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data


class Adds(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(result["coef"] for result in analysis_results)

    def has_converged(self, result, last_result):
        return True


def values(usual, odd, at=1):
    found = {f"node-{place}": usual for place in range(3)}
    found[f"node-{at}"] = odd
    return found


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"coef": "many"}, "node-1 sent a str as `coef`, and node-0, node-2 an array of numbers"),
        ({"coef": np.ones(3)}, "node-1 sent an array of numbers of shape (3,) as `coef`"),
        ({"age": 1}, "node-1 sent a dict with age, and node-0, node-2 a dict with coef"),
        (None, "node-1 sent None, and node-0, node-2 a dict with coef"),
    ],
)
def test_an_aggregators_error_says_whose_value_differs(odd, said):
    splits = list(values({"coef": np.ones(2)}, odd).values())
    with pytest.raises((TypeError, ValueError, KeyError)) as raised:
        StarModelTester(splits, Says, Adds, "s3", quiet=True)
    assert any(f"the nodes' values differ: {said}" in note for note in raised.value.__notes__)


def test_a_functions_error_says_whose_value_differs():
    answers = [{"x": 1.0}, {"x": 2.0}, {"x": "many"}]
    with pytest.raises(DataError, match=r"node-2 sent a str, and node-0, node-1 a number\)"):
        merge_values({"x": Function(sum)}, answers)


@pytest.mark.parametrize(
    ("usual", "odd"),
    [
        (1, 2.5),
        ([1, 2], [3]),
        ({"a": np.ones(3)}, {"a": np.zeros(3, int)}),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1, 2]})),
    ],
)
def test_equal_forms_are_not_told_of(usual, odd):
    assert other_forms(values(usual, odd)) == ""


def test_without_a_majority_nobody_is_named():
    assert other_forms({"a": 1, "b": "x"}) == ""
    shapes = {f"node-{n}": {"x": np.ones(n), "y": 1} for n in range(3)}
    assert other_forms(shapes) == ""
    shapes["node-2"]["y"] = "text"
    assert other_forms(shapes) == "node-2 sent a str as `y`, and node-0, node-1 a number"


def test_a_nodes_names_are_shown_as_text():
    said = other_forms(values({"a": 1}, {"a": 1, "\x1b[2J" + "k" * 10**6: 2}))
    assert said.startswith("node-1 sent a dict with ?[2J")
    assert len(said) < 1000
