"""Exact sums: as ``math.fsum``, bit for bit, in any order, also of what cancels."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame_flwr.aggregation.exact_arrays import ExactSum, exact_sum

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ILL = st.one_of(
    FINITE,
    st.sampled_from([1e16, -1e16, 1.0, 1e-16, 1e308, -1e308, 5e-324, -5e-324, 2.0**53, 1e-300]),
    st.builds(lambda m, e: math.ldexp(m, e), st.floats(-1, 1), st.integers(-1070, 1020)),
)


def summed(rows, weights=None):
    total = ExactSum(rows[0].size)
    for i, row in enumerate(rows):
        total.add(row, None if weights is None else weights[i])
    return total.total()


def fsum(values):
    try:
        return math.fsum(values) + 0.0
    except OverflowError:
        return exact_sum(values)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 5).flatmap(
        lambda n: st.lists(st.lists(ILL, min_size=n, max_size=n), min_size=1, max_size=30)
    ),
    st.randoms(),
)
def test_every_element_is_the_fsum_of_its_values(rows, shuffler):
    expected = [fsum(column) for column in zip(*rows, strict=True)]
    for _ in range(3):
        got = summed([np.array(row) for row in rows])
        assert got.tobytes() == np.array(expected).tobytes()
        shuffler.shuffle(rows)


@pytest.mark.parametrize("spread", [0, 5, 40, 300])
def test_long_arrays_sum_as_fsum_in_any_order(spread):
    rng = np.random.default_rng(spread)
    rows = [
        rng.normal(size=70_000) * 10.0 ** rng.integers(-spread, spread + 1, size=70_000)
        for _ in range(6)
    ]
    rows += [-row for row in rows[:3]]  # what cancels leaves only what was rounded off
    first = summed(rows)
    random.Random(1).shuffle(rows)
    assert summed(rows).tobytes() == first.tobytes()
    some = rng.integers(0, 70_000, size=500)
    expected = [math.fsum(row[i] for row in rows) for i in some]
    assert first[some].tobytes() == np.array(expected).tobytes()


def test_a_compensated_pair_would_not_do():
    rows = [np.array([v]) for v in (1e16, 1.0, 1e-16, -1e16, 1e300, -1e300, 3e-17)]
    assert summed(rows)[0] == summed(rows[::-1])[0] == math.fsum(v[0] for v in rows)


def test_weights_are_rounded_once_per_product():
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=100).astype(np.float32) for _ in range(9)]
    weights = [0.1, 3.0, 1e9, 7.7, 0.0, 2.5, 1.0, 1 / 3, 11.0]
    pairs = list(zip(rows, weights, strict=True))
    expected = [math.fsum(float(row[i]) * w for row, w in pairs) for i in range(100)]
    assert summed(rows, weights).tolist() == expected


def test_what_is_not_finite_spoils_nothing_else():
    rows = [
        np.array([np.inf, np.inf, np.nan, 1.0, 1e308, -0.0]),
        np.array([1.0, -np.inf, 2.0, 2.0, 1e308, -0.0]),
        np.array([1e308, 0.0, 2.0, 4.0, -1e308, -0.0]),
    ]
    for turn in (rows, rows[::-1]):
        got = summed(turn)
        np.testing.assert_array_equal(got, [np.inf, np.nan, np.nan, 7.0, 1e308, 0.0])
        assert not np.signbit(got[5])
    assert summed([np.array([1e308])] * 3)[0] == np.inf
    assert exact_sum([-1e308] * 3) == -np.inf


def test_memory_is_a_model_and_a_half():
    rng = np.random.default_rng(0)
    total = ExactSum(200_000)
    for _ in range(50):
        total.add(rng.normal(size=200_000))
    assert not any(part.layers for part in total._parts)
    assert sum(part.count for part in total._parts) < 200_000 // 16


def test_memory_of_wider_values_is_a_float64_more():
    rng = np.random.default_rng(1)
    total = ExactSum(100_000)
    for node in range(50):
        total.add(rng.normal(size=100_000) * (1e12 if node == 1 else 1.0), 50.0 + 7 * node)
    assert {len(part.layers) for part in total._parts} == {1}
    assert sum(part.count for part in total._parts) < 100_000 // 8


@pytest.mark.parametrize(("position", "scale"), [(0, 1e12), (24, 1e12), (49, 1e-12)])
def test_memory_holds_where_a_node_differs_by_1e12(position, scale):
    rng = np.random.default_rng(1)
    rows = [rng.standard_normal(100_000, np.float32) for _ in range(50)]
    rows[position] *= np.float32(scale)
    weights = [50.0 + 7 * node for node in range(50)]
    total = ExactSum(100_000)
    for row, weight in zip(rows, weights, strict=True):
        total.add(row, weight)
    assert not any(part.layers for part in total._parts)
    assert sum(part.count for part in total._parts) < 100_000 // 16
    found = total.total()
    terms = [row.astype(float) * weight for row, weight in zip(rows, weights, strict=True)]
    some = range(0, 100_000, 97)
    assert found[some].tolist() == [math.fsum(term[i] for term in terms) for i in some]


def test_any_layout_is_read_in_one_order():
    a = np.arange(12.0).reshape(3, 4)
    for other in (np.asfortranarray(a), a.astype(">f4"), a.astype(np.int16), a[:, :]):
        np.testing.assert_array_equal(summed([a, other]), 2 * a.ravel())
    assert summed([np.array(2.5), np.array(1)])[0] == 3.5
    assert summed([np.zeros(0), np.zeros(0)]).size == 0
