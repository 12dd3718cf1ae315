"""One answer of another form than the others': its sender is told, and nothing else changes.

The others' result is computed a second time without the odd node, and compared to the bit.
"""

import itertools

import numpy as np
import pandas as pd
import pytest
from flwr.serverapp.strategy import FedAdam, FedMedian

from flame_flwr.aggregation import (
    Concat,
    FlowerReduction,
    Max,
    Mean,
    Merge,
    MergeCounts,
    PerNode,
    Reduction,
    Sum,
    WeightedMean,
)
from flame_flwr.aggregation.merged_round import MergedRound
from flame_flwr.aggregation.reductions.tree import declare
from flame_flwr.errors import AnswerError
from flame_flwr.statistics import Histogram, Moments, Total

NODES = ["node-1", "node-2", "node-3", "node-10"]
ENDS = NODES[0], NODES[-1]  # in the order of their names, which is not that of arrival


class Listed(Reduction):
    """One of a user's own, that says nothing about forms and does not merge."""

    def collector(self, place):
        return Lists()


class Lists:
    def __init__(self):
        self.values = []

    def add(self, node, value, weight):
        self.values.append((node, value.tolist()))

    def result(self):
        return sorted(self.values)


BESIDE = {
    "sum": Sum(),
    "mean": WeightedMean("n"),
    "n": Sum(),
    "most": Max(),
    "counts": MergeCounts(),
    "age": Merge(),
    "rows": Concat(),
    "kept": PerNode(),
    "own": Listed(),
}


def beside(place):
    x = np.random.default_rng(place).normal(size=5) * 10.0 ** (3 * place)
    return {
        "sum": x,
        "mean": [x, float(x[0])],
        "n": 3 + place,
        "most": x,
        "counts": {"f": place, str(place): 2},
        "age": {"t": Total.from_data(x), "m": Moments.from_data(x)},
        "rows": x,
        "kept": x,
        "own": x,
    }


def table(*columns):
    return pd.DataFrame({column: [1.0, 2.5] for column in columns})


HISTOGRAM = Histogram.from_data([1.0], edges=[0.0, 2.0])
ODD = {
    "shape": (Sum(), np.ones(3), np.ones(4)),
    "keys": (Sum(), {"a": 1, "b": 2}, {"a": 1}),
    "a number for an array": (Mean(), np.ones(3), 1.0),
    "complex": (Sum(), np.ones(3), np.ones(3, complex)),
    "complex in a table": (Sum(), table("a"), table("a").astype(complex)),
    "columns": (Mean(), table("a", "b"), table("a", "c")),
    "labels": (Max(), pd.Series([1.0], index=["a"]), pd.Series([1.0], index=["b"])),
    "weighted": (WeightedMean("n"), np.ones(3), np.ones((3, 1))),
    "a step": (FlowerReduction(FedAdam(), by="n"), np.ones(3), np.ones(2)),
    "a median": (FlowerReduction(FedMedian(), by="n"), [np.ones(3)], (np.ones(3),)),
    "a list's type": (Concat(), [1], (1,)),
    "rows of an array": (Concat(), np.ones((1, 2)), np.ones((2, 3))),
    "rows of dates": (Concat(), np.ones(1), np.array(["2024-01-01"], "M8[D]")),
    "columns of a table": (Concat(), table("a"), table("b")),
    "edges": (Merge(), HISTOGRAM, Histogram.from_data([1.0], edges=[0.0, 3.0])),
    "a statistic": (Merge(), HISTOGRAM, Total.from_data([1.0])),
    "a statistic's key": (Merge(), {"a": HISTOGRAM, "b": HISTOGRAM}, {"b": HISTOGRAM}),
    "a list's length": (Merge(), [HISTOGRAM], [HISTOGRAM] * 2),
    "inner edges": (
        Merge(missing="skip"),
        {"a": [HISTOGRAM]},
        {"a": [Histogram.from_data([1.0], edges=[0.0, 3.0])]},
    ),
}


def merged(declared, answers, order, last=None):
    """Return the errors by node, and the result."""
    one = MergedRound(2, NODES, declare(declared), last)
    odd = {}
    for node in order:
        try:
            one.add(node, answers[node])
        except AnswerError as error:
            odd[node] = error
    odd |= one.odd_answers()
    return odd, one.result()


def bits(value):
    """Return a value in which arrays are their bytes."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, dict):
        return [(key, bits(part)) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return [bits(part) for part in value]
    return value.to_json() if hasattr(value, "to_json") else repr(value)


@pytest.mark.parametrize("odd_node", ENDS)
@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_costs_its_sender_only(name, odd_node):
    reduction, usual, odd = ODD[name]
    declared = {**BESIDE, "x": reduction}
    answers = {
        node: {**beside(place), "x": odd if node == odd_node else usual}
        for place, node in enumerate(NODES)
    }
    others = [node for node in NODES if node != odd_node]
    none, expected = merged(declared, answers, others)
    assert not none
    texts = set()
    for order in itertools.islice(itertools.permutations(NODES), 0, None, 5):
        found, result = merged(declared, answers, order)
        assert list(found) == [odd_node]
        texts.add(found[odd_node].message)
        assert bits(result) == bits(expected)
    [text] = texts
    assert text.startswith("round 2, key `x")
    assert f", {odd_node}: " in text


LARGE = {
    "floats": (Sum(), np.array([1e308, 1.0]), np.array([-1.0, 1.7e308])),
    "float16": (Sum(), np.array([9e3, 1], "f2"), np.array([1, 6.5e4], "f2")),
    "complex": (Sum(), np.array([1e308j]), np.array([1.7e308j])),
    "a float": (Sum(), 1e308, 1.7e308),
    "whole numbers": (Sum(), np.array([2**61]), np.array([2**63 - 1])),
    "unsigned": (Sum(), np.array([2**61]), np.array([2**64 - 1], "u8")),
    "a whole number": (Sum(), 0.5, 10**400),
    "a mean": (Mean(), 0.5, 10**400),
    "a largest": (Max(), 0.5, 10**400),
}


@pytest.mark.parametrize("odd_node", ENDS)
@pytest.mark.parametrize("name", LARGE)
def test_the_largest_that_is_too_much_goes(name, odd_node):
    reduction, usual, odd = LARGE[name]
    second = NODES[NODES.index(odd_node) - 1]
    small = np.zeros_like(usual) if isinstance(usual, np.ndarray) else 0.0
    declared = {**BESIDE, "x": reduction}
    answers = {
        node: {**beside(place), "x": {odd_node: odd, second: usual}.get(node, small)}
        for place, node in enumerate(NODES)
    }
    if name in ("floats", "float16"):  # at one place, where both are large
        answers[odd_node]["x"] = odd[::-1].copy()
    none, expected = merged(declared, answers, [node for node in NODES if node != odd_node])
    assert not none
    for order in itertools.islice(itertools.permutations(NODES), 0, None, 5):
        found, result = merged(declared, answers, order)
        assert list(found) == [odd_node]
        assert f"round 2, key `x`, {odd_node}: " in found[odd_node].message
        assert bits(result) == bits(expected)


def test_large_numbers_that_fit_all_count():
    rows = [[1.7e308, 0.0], [1.7e308, 1.0], [-1.7e308, 2.0], [-1.0, 1.5e308]]
    answers = {node: {"x": np.array(row)} for node, row in zip(NODES, rows, strict=True)}
    for order in itertools.permutations(NODES):
        found, result = merged({"x": Sum()}, answers, order)
        assert not found
        assert result["x"].tolist() == [1.7e308, 1.5e308]


def test_of_equal_ones_the_last_nodes_goes():
    answers = {node: {"x": 1.0 + place, "w": 1e308} for place, node in enumerate(NODES[:2])}
    answers |= {node: {"x": 9.0, "w": 3.0} for node in NODES[2:]}
    declared = {"x": WeightedMean("w"), "y": FlowerReduction(FedAdam(), by="w")}
    answers = {node: {**each, "y": np.ones(2)} for node, each in answers.items()}
    for order in itertools.permutations(NODES):
        found, result = merged(declared, answers, order)
        assert list(found) == ["node-2"]
        assert "node-2: the weights of all nodes together" in found["node-2"].message
        assert result["x"] == 1.0


def test_of_two_the_last_aggregates_form_counts():
    answers = {"node-1": {"x": np.ones(2)}, "node-2": {"x": np.ones(3)}}
    for last, odd in ((None, "node-2"), ({"x": np.zeros(3)}, "node-1"), ({"x": None}, "node-2")):
        for order in (["node-1", "node-2"], ["node-2", "node-1"]):
            found, _ = merged({"x": Sum()}, answers, order, last)
            assert list(found) == [odd]


def test_missing_keys_leave_a_node_in_any_form():
    declared = {"x": Sum(missing="skip"), "y": Sum(missing="skip"), "z": WeightedMean("n")}
    rows = [np.array([0.1, 1e16]), np.array([0.2, -1e16]), np.array([0.3, 1.0])]
    answers = {
        "node-1": {"x": rows[0], "z": 1e-3, "n": 1},
        "node-2": {"y": rows[0], "z": 0.1, "n": 2},
        "node-3": {"x": rows[1], "y": rows[1], "z": 0.7, "n": 0},
        "node-10": {"x": rows[2], "y": np.ones(3), "z": 1e9, "n": 7},
    }
    results = []
    for order in itertools.permutations(NODES):
        found, result = merged(declared, answers, order)
        assert list(found) == ["node-10"]
        results.append(bits(result))
    assert all(result == results[0] for result in results)
    without = {node: answers[node] for node in NODES[:3]}
    assert results[0] == bits(merged(declared, without, NODES[:3])[1])
    assert result["x"].tolist() == [0.1 + 0.2, 0.0]


def test_an_unasked_odd_answer_ends_the_merging():
    one = MergedRound(1, ["a", "b"], declare({"x": Sum()}))
    one.add("a", {"x": 1})
    one.add("b", {"x": [1]})
    with pytest.raises(AnswerError, match="key `x`, b: the nodes' values differ"):
        one.result()


@pytest.mark.parametrize("declared", [Sum(), PerNode(), Concat(), Merge(), len])
@pytest.mark.parametrize("kind", [list, dict])
def test_a_deeply_nested_answer_costs_its_sender(declared, kind):
    """More levels travel than Python copies; the round goes on without that answer."""
    value = Total.from_data([2.0]) if isinstance(declared, Merge) else 2.0
    value = deep = [value] if isinstance(declared, Concat) else value
    for _ in range(900):
        deep = [deep] if kind is list else {"a": deep}
    merged = MergedRound(1, NODES[:3], declare({"x": declared}), finite="error")
    merged.add(NODES[0], {"x": value})
    with pytest.raises(AnswerError, match="node-2: it is nested more than 200 levels deep"):
        merged.add(NODES[1], {"x": deep})
    merged.add(NODES[2], {"x": value})
    assert merged.odd_answers() == {}
    assert merged.result()["x"] is not None
