"""Rounds on the grid, against sums of Python's whole numbers and fractions."""

import itertools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame_flwr.aggregation import Grid, Mean, Sum, WeightedMean
from flame_flwr.aggregation.merged_round import merge_values
from flame_flwr.aggregation.reductions.tree import declare
from flame_flwr.errors import AnswerError, DataError
from flame_flwr.privacy.secure.declaration import SecureDeclaration
from flame_flwr.privacy.secure.fields import fields_of, runs_of, views_of
from flame_flwr.privacy.secure.grid_round import GridRound
from flame_flwr.privacy.secure.layout import lay_out
from flame_flwr.statistics import Moments

from .grid_rounds import FLOATS, merged, on_grid


def rounded_once(fraction):
    return fraction.numerator / fraction.denominator


@given(st.lists(FLOATS, min_size=3, max_size=20), st.randoms())
def test_sum_of_floats_is_that_of_fractions(values, shuffler):
    order = list(range(len(values)))
    shuffler.shuffle(order)
    wanted = rounded_once(sum(on_grid(value, 128) for value in values))
    assert merged({"x": Sum()}, [{"x": value} for value in values], order) == {"x": wanted}


@given(st.lists(st.integers(-(2**58), 2**58), min_size=3, max_size=20))
def test_sum_of_whole_numbers_never_passes_floats(values):
    answers = [{"n": value, "a": np.array([value, -value])} for value in values]
    result = merged({"n": Sum(), "a": Sum()}, answers)
    assert result["n"] == sum(values)
    assert result["a"].tolist() == [sum(values), -sum(values)]


@given(st.lists(st.tuples(FLOATS, st.integers(0, 10**6)), min_size=3, max_size=20))
def test_weighted_mean_is_two_sums_divided(pairs):
    answers = [{"coef": np.array([value]), "n": weight} for value, weight in pairs]
    total = sum(weight for _, weight in pairs)
    if not total:
        with pytest.raises(DataError, match="weights of all nodes together are zero"):
            merged({"coef": WeightedMean("n", grid=Grid(128, 64))}, answers)
        return
    # each product is rounded once to a float, then to the grid
    products = sum(on_grid(value * float(weight), 64) for value, weight in pairs)
    wanted = rounded_once(products) / float(total)
    assert merged({"coef": WeightedMean("n", grid=Grid(128, 64))}, answers)["coef"][0] == wanted


@pytest.mark.parametrize(
    ("value", "weight"), [(3.0, 2**53 + 1), (np.array([3.0]), 2**53 + 1), (2**53 + 1, 3.0)]
)
def test_product_of_large_numbers_is_rounded_once(value, weight):
    """As a float, 2**53 + 1 is 2**53."""
    declared = {"x": WeightedMean("n", grid=Grid(128, 32)), "n": Sum(grid=Grid(128, 32))}
    found = merged(declared, [{"x": value, "n": weight}, *[{"x": value, "n": weight * 0}] * 2])
    assert np.ravel(found["x"])[0] == float(3 * (2**53 + 1)) / float(weight)


@settings(max_examples=15)
@given(st.lists(FLOATS, min_size=3, max_size=4))
def test_every_order_of_arrival_gives_one_bits(values):
    answers = [{"coef": np.array([value, -value / 3]), "n": 3} for value in values]
    declared = {"coef": WeightedMean("n", grid=Grid(128, 64))}
    results = {
        merged(declared, answers, order)["coef"].tobytes()
        for order in itertools.permutations(range(len(values)))
    }
    assert len(results) == 1


def test_error_is_within_half_a_step_each():
    values = [0.1, 0.2, 0.7, 1 / 3]
    answers = [{"x": np.array([value])} for value in values]
    result = merged({"x": Sum(grid=Grid(64, 32))}, answers)["x"][0]
    assert abs(Fraction(result) - sum(map(Fraction, values))) <= len(values) * Fraction(1, 2**33)


def test_types_are_those_of_sums_without_grid():
    answers = [
        {"m": [np.float32([1.5]), np.int64([2])], "n": 2, "s": 1.0, "t": (np.zeros((2, 0)), True)},
        {"m": [np.float32([0.5]), np.int64([5])], "n": 1, "s": 2.5, "t": (np.zeros((2, 0)), False)},
        {"m": [np.float32([2.0]), np.int64([1])], "n": 1, "s": 0.5, "t": (np.zeros((2, 0)), True)},
    ]
    declared = {"m": WeightedMean("n"), "n": Sum(), "s": Sum(), "t": Sum()}
    plain, gridded = merge_values(declared, answers), merged(declared, answers)
    assert repr(plain) == repr(gridded)


def test_buffers_of_whole_numbers_stay_whole():
    def answer(seen, n):
        return {"model": {"w": np.ones(2), "num_batches_tracked": np.array(seen)}, "n": n}

    answers = [answer(10, 1), answer(20, 1), answer(31, 1)]
    result = merged({"model": WeightedMean("n")}, answers)["model"]["num_batches_tracked"]
    assert result.dtype == np.int64
    assert result == 20  # 61 / 3


def test_adjacent_fields_are_one_view():
    """Of a hundred arrays a mask is made at once, and not a hundred times."""
    declared = {"m": Mean(), "s": Moments, "none": Sum(), "n": Sum()}
    of = SecureDeclaration.of(declare(declared))
    value = {"m": [np.ones(3), np.ones(2)], "s": Moments.from_data([1.0]), "none": [], "n": 7}
    forms, words = lay_out(of, value, 3)
    fields = fields_of(of, forms)
    runs = runs_of(fields, words)
    assert [run.shape for run in runs] == [(1 + 5 + 2, 1), (2, 4), (1, 1)]
    assert all(np.shares_memory(run, words) for run in runs)
    flat = [np.concatenate([each.ravel() for each in of]) for of in (runs, views_of(fields, words))]
    assert (flat[0] == flat[1]).all()
    assert (flat[0] == words).all()


def test_a_round_needs_one_sums_memory():
    tree = declare({"x": Sum(grid=Grid(128, 64)), "n": Sum()})
    of, nodes = SecureDeclaration.of(tree), [f"node-{place}" for place in range(4)]
    answer = lay_out(of, {"x": np.ones(200_000), "n": 1}, len(nodes))
    added = GridRound(1, nodes, tree, of, masked=True)
    tracemalloc.start()
    for node in nodes:
        added.add(node, answer)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.words.nbytes <= most < 1.5 * answer.words.nbytes


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (float("nan"), "NaN or infinity"),
        (float("-inf"), "NaN or infinity"),
        (2.0**126, r"too large for a sum of 3 nodes on Grid\(256, 128\): .*Grid\(512, 128\)"),
    ],
)
def test_value_off_the_grid_is_its_nodes_failure(value, why):
    with pytest.raises(AnswerError, match=f"node-1: key x: .*{why}"):
        merged({"x": Sum()}, [{"x": 1.0}, {"x": value}, {"x": 1.0}])


def test_value_that_is_not_whole_is_an_error():
    with pytest.raises(AnswerError, match="not whole"):
        merged({"n": Sum(grid=Grid(64, 0))}, [{"n": 0.5}] * 3)


def test_weight_zero_leaves_the_value_unseen():
    answers = [{"auc": 0.5, "n": 2}, {"n": 0}, {"auc": 0.75, "n": 2}]
    declared = {"auc": WeightedMean("n", like=0.0)}
    assert merged(declared, answers) == {"auc": 0.625}
    nan = [{"auc": 0.5, "n": 2}, {"auc": float("nan"), "n": 0}, {"auc": 0.75, "n": 2}]
    assert merged({"auc": WeightedMean("n")}, nan) == {"auc": 0.625}


def test_weight_zero_without_form_says_the_way_out():
    with pytest.raises(AnswerError, match=r"like=0\.0"):
        merged({"auc": WeightedMean("n")}, [{"n": 0}, {"auc": 0.5, "n": 2}, {"auc": 0.5, "n": 1}])


def test_form_before_serves_weight_zero():
    declared = {"auc": WeightedMean("n")}
    known = lay_out(SecureDeclaration.of(declare(declared)), {"auc": 0.5, "n": 1}, 3).forms
    answers = [{"n": 0}, {"auc": 0.5, "n": 2}, {"auc": 1.0, "n": 2}]
    assert merged(declared, answers, known=known) == {"auc": 0.75}


def test_other_form_than_the_others_is_refused():
    with pytest.raises(AnswerError, match=r"node-1: .*float64 of shape \(3,\).*shape \(2,\)"):
        merged({"a": Sum()}, [{"a": np.zeros(2)}, {"a": np.zeros(3)}])


def test_series_would_send_labels_in_clear():
    import pandas as pd

    with pytest.raises(AnswerError, match="labels, which a secure sum would send in clear"):
        merged({"a": Sum()}, [{"a": pd.Series([1.0, 2.0])}])
