"""Each reduction against the formula in plain NumPy and pandas, and what it does about odd values.

Sites are never of the same size. The fixture merges in three orders of arrival.
"""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame_flwr.aggregation import (
    Max,
    Mean,
    MergeCounts,
    Min,
    Sum,
    WeightedMean,
)
from flame_flwr.errors import DataError

RNG = np.random.default_rng(7)
SIZES = [3, 120, 41, 9]
ROWS = [RNG.normal(size=(4, 5)) * 10.0**k for k in (-3, 0, 2, 5)]


@pytest.mark.parametrize("nodes", [1, 2, 4, 200])
def test_sums_and_means_are_those_of_numpy(reduce, nodes):
    rows = [np.random.default_rng(k).normal(size=(4, 5)) for k in range(nodes)]
    sizes = [5 + k**2 % 37 for k in range(nodes)]
    values = [{"x": row, "n": n, "loss": n / 7} for row, n in zip(rows, sizes, strict=True)]
    stack = np.stack(rows)
    got = reduce({"x": Sum(), "n": Sum(), "loss": Mean()}, values)
    np.testing.assert_allclose(got["x"], stack.sum(0), rtol=1e-12, atol=1e-13)
    assert got["n"] == sum(sizes)
    assert type(got["n"]) is int
    assert got["loss"] == pytest.approx(np.mean([n / 7 for n in sizes]), rel=1e-14)
    np.testing.assert_allclose(
        reduce({"x": WeightedMean("n")}, values)["x"],
        np.average(stack, axis=0, weights=sizes),
        rtol=1e-11,
        atol=1e-14,
    )
    np.testing.assert_array_equal(reduce({"x": Min()}, values)["x"], stack.min(0))
    np.testing.assert_array_equal(reduce({"x": Max()}, values)["x"], stack.max(0))


def test_a_sum_is_rounded_once(reduce):
    got = reduce(Sum(), ROWS)
    expected = [math.fsum(column) for column in np.stack(ROWS).reshape(4, -1).T]
    assert got.ravel().tolist() == expected


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=12))
def test_numbers_and_arrays_give_the_same(numbers):
    from flame_flwr.aggregation.accumulators import Where
    from flame_flwr.aggregation.sums import Totals

    nodes = tuple(map(str, range(len(numbers))))
    place = Where(1, "x", nodes)
    for mean in (False, True):
        one, many = (Totals(place, "error", mean=mean) for _ in range(2))
        for node, number in zip(nodes, numbers, strict=True):
            one.add(node, number, 1.0)
            many.add(node, np.array([number]), 1.0)
        assert summed(one) == summed(many)


def bits_of(collector):
    """Return what was merged as bytes, or what is wrong with it."""
    try:
        array, number = collector.result() or (np.zeros(0), 0)
    except DataError as error:
        return error.message
    return array.tobytes(), repr(number)


def summed(totals):
    """Return the sum as a list of one number, or what is wrong with it."""
    try:
        return (np.ravel(totals.result()) + 0.0).tolist()
    except DataError as error:
        return error.message.replace("float64:", "a float:")


def test_models_of_many_layers_keep_their_form(reduce):
    def model(k):
        rng = np.random.default_rng(k)
        return {
            "layers": [rng.normal(size=(2, 3)).astype(np.float32), rng.normal(size=4)],
            "bias": (float(k), np.float32(k), np.array(k, np.float16)),
            "steps": np.array([k, 2 * k]),
        }

    values = [{"model": model(k), "n": n} for k, n in enumerate(SIZES)]
    got = reduce({"model": WeightedMean("n")}, values)["model"]
    assert list(got) == ["layers", "bias", "steps"]
    first = np.average(
        np.stack([model(k)["layers"][0] for k in range(4)]).astype(float), axis=0, weights=SIZES
    )
    assert got["layers"][0].dtype == np.float32
    np.testing.assert_array_equal(got["layers"][0], first.astype(np.float32))
    assert got["layers"][1].dtype == np.float64
    mean = np.average(range(4), weights=SIZES)
    assert got["bias"] == (pytest.approx(mean), pytest.approx(mean), pytest.approx(mean, abs=1e-3))
    np.testing.assert_allclose(got["steps"], [mean, 2 * mean])
    summed = reduce({"model": Sum()}, values)["model"]
    assert summed["steps"].tolist() == [6, 12]
    assert summed["steps"].dtype == np.int64


def test_whole_numbers_are_exact_and_mix_with_others(reduce):
    big = 2**62 - 1
    assert reduce(Sum(), [np.array([big]), np.array([1])]).tolist() == [2**62]
    assert reduce(Sum(), [big**3, 1]) == big**3 + 1
    mixed = reduce(Sum(), [np.array([big]), np.array([0.5]), np.array([-big])])
    assert mixed.tolist() == [0.5]
    assert reduce(Sum(), [np.array([True, False]), np.array([True, True])]).tolist() == [2, 1]
    assert reduce(Mean(), [True, False]) == 0.5
    with pytest.raises(DataError, match="too large for 64 bits"):
        reduce(Sum(), [np.array([big]), np.array([big]), np.array([big])])


def test_complex_numbers_sum_and_do_not_compare(reduce):
    rows = [np.array([1 + 2j, 3]), np.array([1j, -1])]
    assert reduce(Mean(), rows).tolist() == [0.5 + 1.5j, 1 + 0j]
    with pytest.raises(DataError, match="cannot be compared"):
        reduce(Max(), rows)
    with pytest.raises(DataError, match=r"node-0 sent an array .* with complex numbers"):
        reduce(Sum(), [rows[0], np.zeros(2)])


def test_tables_and_series_are_merged_by_their_labels(reduce):
    frames = [pd.DataFrame({"a": [1.0, 2], "b": [3.0, k]}, index=["u", "v"]) for k in (1, 2, 6)]
    got = reduce({"t": Mean(), "s": Sum()}, [{"t": f, "s": f["b"]} for f in frames])
    pd.testing.assert_frame_equal(got["t"], sum(frames) / 3)
    pd.testing.assert_series_equal(got["s"], sum(f["b"] for f in frames))
    other = frames[0].rename(columns={"b": "c"})
    with pytest.raises(DataError) as caught:
        reduce({"t": Mean()}, [{"t": frames[0]}, {"t": frames[1]}, {"t": other}])
    text = str(caught.value)
    assert "round 1, key `t`, node-2: the nodes' values differ: node-0, node-1 sent" in text
    assert "node-2 sent a table of 2 rows with the columns a, c" in text


def test_extremes_keep_types_and_no_negative_zero(reduce):
    got = reduce(
        Max(),
        [{"n": 3, "x": -0.0, "a": np.array([1, 5])}, {"n": 7, "x": 0.0, "a": np.array([4, 2])}],
    )
    assert got["n"] == 7
    assert type(got["n"]) is int
    assert not np.signbit(got["x"])
    assert got["a"].tolist() == [4, 5]
    assert math.isnan(reduce(Min(), [1.0, math.nan, 3.0]))


def test_names_and_types_show_no_order_of_arrival(reduce):
    for values in ([{1: 3}, {1.0: 4}, {True: 1}], [{1.0: 4}, {1: 3}, {True: 1}]):
        (name,) = got = reduce(MergeCounts(), values)
        assert (got, type(name)) == ({1: 8}, type(next(iter(values[0]))))
    kinds = [np.int16, np.uint16, np.float32]
    rows = [np.array([3 + i, 9 - i], kind) for i, kind in enumerate(kinds)]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]):
        for reduction, expected in ((Min(), [3, 7]), (Max(), [5, 9])):
            got = reduce(reduction, [rows[i] for i in order])
            assert (got.dtype, got.tolist()) == (np.float32, expected)
    big = np.array([2**53 + 1])
    assert reduce(Max(), [big, np.array([1.0])]).tolist() == [2.0**53]
    assert reduce(Max(), [np.array([True]), np.array([False])]).tolist() == [1]


def test_tables_are_aligned_by_their_labels(reduce):
    index = pd.Index(["u", "v", "w"], name="site")
    one = pd.DataFrame({"n": [1, 2, 3], "x": [0.5, 1, 2]}, index=index)
    two = one.loc[["w", "u", "v"], ["x", "n"]] * 10
    two["n"] = two["n"].astype("int64")
    got = reduce(Sum(), [one, two])
    pd.testing.assert_frame_equal(got, one + two[["n", "x"]].loc[index])
    assert got.dtypes.tolist() == [np.int64, np.float64]
    assert got.index.name == "site"
    pd.testing.assert_frame_equal(reduce(Max(), [one, two]), two.loc[one.index, one.columns])
    pd.testing.assert_series_equal(reduce(Sum(), [one["x"], two["x"]]), one["x"] * 11)
    several = pd.MultiIndex.from_product([["f", "m"], [1, 2]], names=["sex", "arm"])
    counts = pd.Series([1, 2, 3, 4], index=several)
    pd.testing.assert_series_equal(reduce(Sum(), [counts, counts[::-1]]), counts * 2)
    twice = pd.Series([1, 2], index=["a", "a"])
    pd.testing.assert_series_equal(reduce(Sum(), [twice, twice]), twice * 2)
    empty = pd.DataFrame({"a": []}, dtype=float)
    assert reduce(Sum(), [empty, empty]).shape == (0, 1)


def test_other_labels_are_said_to_be_what_differs(reduce):
    rows = [pd.Series([1.0], index=["a"]), pd.Series([1.0], index=["b"])]
    with pytest.raises(DataError, match=r"sent a Series of 1 rows; their labels .* are not the s"):
        reduce(Sum(), rows)
    with pytest.raises(DataError, match="has a column b that holds object"):
        reduce(Sum(), [pd.DataFrame({"a": [1], "b": [None]}, dtype=object).astype({"a": int})])


def test_whole_numbers_beyond_floats_are_exact_or_named(reduce):
    huge = 10**400
    assert reduce(Sum(), [huge, 1]) == huge + 1
    assert reduce(Min(), [10**30, 10**31]) == 10**30
    assert reduce(Max(), [10**30, 1.5]) == 1e30
    assert reduce(Mean(), [huge, -huge]) == 0
    assert reduce(Min(), [huge, 1.5]) == 1.5
    for reduction in (Mean(), Sum(), Max()):
        with pytest.raises(
            DataError, match=r"key `x`, node-1: a whole number .* too large for a f"
        ):
            reduce({"x": reduction}, [{"x": 1.5}, {"x": huge}])
    with pytest.raises(DataError, match=r"key `x`, node-0: a whole number .* too large for a fl"):
        reduce({"x": WeightedMean("n")}, [{"x": huge, "n": 2}])
    heavy = [{"x": 1.0, "n": huge}, {"x": 3.0, "n": 2}]
    with pytest.raises(DataError, match="key `x`, node-0: its weight `n` is too large"):
        reduce({"x": WeightedMean("n")}, heavy)
    assert reduce({"x": WeightedMean("n", bad_weight="skip")}, heavy) == {"x": 3.0}
    with pytest.raises(DataError, match="key `x`, node-1: the weights of all nodes together are t"):
        reduce({"x": WeightedMean("n")}, [{"x": 1.0, "n": 1e308}] * 2)


def test_a_mean_does_not_overflow(reduce):
    for shape in (float, lambda value: np.array([value, 1.0])):
        first = (lambda got: got) if shape is float else (lambda got: got[0])
        assert first(reduce(Mean(), [shape(1e308)] * 2)) == 1e308
        values = [{"x": shape(1e307), "n": 120}, {"x": shape(-1e307), "n": 40}]
        assert first(reduce({"x": WeightedMean("n")}, values)["x"]) == pytest.approx(5e306)
        values = [{"x": shape(math.inf), "n": 120}, {"x": shape(1e307), "n": 40}]
        assert first(reduce({"x": WeightedMean("n")}, values)["x"]) == math.inf


def test_a_node_of_weight_zero_does_not_count(reduce):
    for empty in (math.nan, math.inf, None, np.zeros(7)):
        values = [{"x": 3.0, "n": 2}, {"x": empty, "n": 0}, {"x": 5.0, "n": 6}]
        assert reduce({"x": WeightedMean("n")}, values) == {"x": 4.5}
    values = [{"x": np.array([math.nan]), "n": 0.0}, {"x": np.array([5.0]), "n": 6}]
    assert reduce({"x": WeightedMean("n")}, values)["x"].tolist() == [5.0]


def test_errors_of_sums_of_arrays_name_the_nodes(reduce):
    with pytest.raises(DataError, match=r"`x`, node-1: .*node-0 sent .* complex numbers"):
        reduce({"x": Sum()}, [{"x": np.ones(1, complex)}, {"x": np.ones(1)}])
    with pytest.raises(DataError, match=r"`x`, node-\d: with what it sent, .* too large for 64"):
        reduce({"x": Sum()}, [{"x": np.array([2**62])}] * 3)


ILL = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.sampled_from(
    [1e16, -1e16, 1.0, 1e-16, 1e300, -1e300, 5e-324]
)
ANSWERS = st.lists(
    st.tuples(
        st.lists(ILL, min_size=3, max_size=3),
        st.floats(0, 1e6),
        st.sampled_from([np.float64, np.float32]),
    ),
    min_size=1,
    max_size=10,
)


@settings(deadline=None, max_examples=80)
@given(ANSWERS, st.randoms())
def test_no_order_shows_where_numbers_cancel(answers, shuffler):
    from flame_flwr.aggregation.accumulators import Where
    from flame_flwr.aggregation.extremes import Extremes
    from flame_flwr.aggregation.sums import Totals

    nodes = tuple(f"node-{k}" for k in range(len(answers)))
    seen = set()
    for _ in range(3):
        place = Where(1, "x", nodes)
        collectors = [
            Totals(place, "error", mean=False),
            Totals(place, "error", mean=True, weighted=True, none_of_zero=True),
            Extremes(place, "error", smallest=True),
        ]
        order = list(zip(nodes, answers, strict=True))
        shuffler.shuffle(order)
        with np.errstate(over="ignore"):
            for node, (values, weight, dtype) in order:
                for collector in collectors:
                    collector.add(node, [np.array(values, dtype), values[0]], weight)
        seen.add(tuple(map(bits_of, collectors)))
    assert len(seen) == 1


LARGE = {
    "float32": np.full(2, 3e38, np.float32),
    "float16": np.array(60000, np.float16),
    "complex64": np.array([3e38j], np.complex64),
    "float64": np.array([1e308]),
    "a float": 1e308,
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_sum_that_overflows_names_its_key(reduce, kind):
    values = [{"x": LARGE[kind]}] * 2
    with pytest.raises(
        DataError, match=rf"key `x`, node-1: the sum .* too large for {kind}: send float64"
    ):
        reduce({"x": Sum()}, values)
    assert np.array_equal(reduce({"x": Mean()}, values)["x"], LARGE[kind])


def test_an_infinity_that_was_sent_is_no_overflow(reduce):
    for value in (math.inf, np.array([math.inf, 1.0], np.float32)):
        assert np.isinf(np.max(reduce({"x": Sum(non_finite="keep")}, [{"x": value}] * 2)["x"]))
