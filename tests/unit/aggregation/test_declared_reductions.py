"""What is declared about missing keys, weights and shapes, and what is declared wrongly."""

import math

import numpy as np
import pytest

from flame_flwr.aggregation import (
    Concat,
    Function,
    Mean,
    Reduction,
    Sum,
    WeightedMean,
)
from flame_flwr.aggregation.reductions.tree import declare
from flame_flwr.errors import DataError, ModelError

SIZES = [3, 120, 41, 9]


def test_a_missing_key_is_an_error_or_skipped(reduce):
    values = [{"m": {"coef": 1.0}}, {"m": {}}, {"m": {"coef": 4.0}}]
    with pytest.raises(DataError, match=r"round 1, key `m\.coef`, node-1: .*not this key"):
        reduce({"m": {"coef": Mean()}}, values)
    assert reduce({"m": {"coef": Mean(missing="skip")}}, values) == {"m": {"coef": 2.5}}
    assert reduce({"m": {"coef": Mean(missing="skip")}}, [{}, {"m": 3}]) == {"m": {"coef": None}}
    with pytest.raises(DataError, match=r"`m\.coef`, node-0"):
        reduce({"m": {"coef": Mean()}}, [None, None])


def test_positions_of_tuples_have_their_own_reductions(reduce):
    values = [(np.ones(2) * k, n) for k, n in enumerate(SIZES)]
    got = reduce((WeightedMean(by=1), Sum()), values)
    assert type(got) is tuple
    np.testing.assert_allclose(got[0], np.average(range(4), weights=SIZES))
    assert got[1] == sum(SIZES)
    with pytest.raises(DataError, match="key `0`, node-0"):
        reduce((Sum(), Sum()), [(1, 2, 3)])


def test_differing_shapes_are_an_error_or_left_out(reduce):
    values = [{"x": np.ones(2)}, {"x": np.ones(3)}, {"x": 2 * np.ones(3)}]
    with pytest.raises(DataError) as caught:
        reduce({"x": Mean()}, values)
    text = str(caught.value)
    assert "node-1, node-2 sent an array of shape (3,); node-0 sent an array of shape (2,)" in text
    got = reduce({"x": Mean(differing="skip")}, values)
    assert got["x"].tolist() == [1.5] * 3
    tie = reduce({"x": Mean(differing="skip")}, values[:2])
    assert tie["x"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("weight", "what"),
    [
        (-1, "is negative"),
        (math.nan, "is NaN"),
        (math.inf, "is infinite"),
        ("7", "is of type str"),
        (None, "is missing"),
        (True, "is of type bool"),
    ],
)
def test_a_bad_weight_is_an_error_or_skipped(reduce, weight, what):
    values = [{"x": 1.0, "n": 1}, {"x": 7.0, "n": weight}, {"x": 3.0, "n": 3}]
    with pytest.raises(DataError, match=f"key `x`, node-1: its weight `n` {what}"):
        reduce({"x": WeightedMean("n")}, values)
    assert reduce({"x": WeightedMean("n", bad_weight="skip")}, values) == {"x": 2.5}


def test_no_value_is_in_an_error(reduce):
    with pytest.raises(DataError) as caught:
        reduce({"x": WeightedMean("n")}, [{"x": 1.0, "n": -98765}])
    assert "98765" not in str(caught.value)
    with pytest.raises(DataError) as caught:
        reduce({"x": Sum()}, [{"x": "Mrs Miller"}])
    assert "Miller" not in str(caught.value)
    assert "`x`, node-0: what it sent is of type str" in str(caught.value)


def test_weights_of_zero_are_an_error_or_none(reduce):
    values = [{"x": 1.0, "n": 0}, {"x": 2.0, "n": 0.0}]
    with pytest.raises(DataError, match="`x`, node-0, node-1: the weights of all nodes"):
        reduce({"x": WeightedMean("n")}, values)
    assert reduce({"x": WeightedMean("n", zero_total="none")}, values) == {"x": None}
    got = reduce({"x": WeightedMean("n")}, [*values, {"x": 5.0, "n": 0.1}])
    assert got == {"x": 5.0}


def test_weights_stand_beside_the_value_or_further_out(reduce):
    values = [{"m": {"c": k, "n": 1}, "n": n, "q": {"s": n}} for k, n in enumerate(SIZES)]
    assert reduce({"m": {"c": WeightedMean("n")}}, values)["m"]["c"] == 1.5
    outer = [{**v, "m": {"c": v["m"]["c"]}} for v in values]
    expected = np.average(range(4), weights=SIZES)
    for by in ("n", "q.s", lambda value: value["n"]):
        got = reduce({"m": {"c": WeightedMean(by)}}, outer)["m"]["c"]
        assert got == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("declared", "what"),
    [
        (lambda: declare({"a": 3}), r"reductions\['a'\]: 3 is no reduction"),
        (lambda: declare({}), "reductions is empty"),
        (lambda: declare({"a": {"b": None}}), r"\['a'\]\['b'\]: None"),
        (lambda: Sum(missing="ignore"), "Sum: missing must be one of 'error', 'skip'"),
        (lambda: Mean(differing="x"), "Mean: differing"),
        (lambda: WeightedMean(by=None), "by must be a key"),
        (lambda: Concat(columns="outer"), "columns must be one of"),
        (lambda: Function(3), "is no function"),
    ],
)
def test_a_wrong_declaration_is_found_at_once(declared, what):
    with pytest.raises(ModelError, match=what):
        declared()


def test_a_reduction_of_ones_own(reduce):
    class Last:
        def __init__(self, place):
            self.place, self.values = place, {}

        def add(self, node, value, weight):
            self.values[node] = value

        def result(self):
            return list(self.place.in_order(self.values).values())[-1]

    class LastNode(Reduction):
        def collector(self, place):
            return Last(place)

    assert reduce({"x": LastNode}, [{"x": 1}, {"x": 2}]) == {"x": 2}
