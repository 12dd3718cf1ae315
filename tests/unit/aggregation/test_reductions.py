"""Each reduction against the formula in plain NumPy and pandas, and what it does about odd values.

Sites are never of the same size. The fixture merges in three orders of arrival.
"""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame_flwr.aggregation import (
    Concat,
    Function,
    Max,
    Mean,
    Merge,
    MergeCounts,
    Min,
    PerNode,
    Reduction,
    Sum,
    WeightedMean,
)
from flame_flwr.aggregation.reduction_tree import declare
from flame_flwr.errors import DataError, ModelError
from flame_flwr.statistics import describe

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
    with pytest.raises(DataError, match="some nodes sent complex"):
        reduce(Sum(), [rows[0], np.zeros(2)])


def test_tables_and_series_are_merged_by_their_labels(reduce):
    frames = [pd.DataFrame({"a": [1.0, 2], "b": [3.0, k]}, index=["u", "v"]) for k in (1, 2, 6)]
    got = reduce({"t": Mean(), "s": Sum()}, [{"t": f, "s": f["b"]} for f in frames])
    pd.testing.assert_frame_equal(got["t"], sum(frames) / 3)
    pd.testing.assert_series_equal(got["s"], sum(f["b"] for f in frames))
    other = frames[0].rename(columns={"b": "c"})
    with pytest.raises(DataError) as caught:
        reduce({"t": Mean()}, [{"t": frames[0]}, {"t": frames[1]}, {"t": other}])
    assert "round 1, key `t`: the nodes' values differ: node-0, node-1 sent" in str(caught.value)
    assert "node-2 sent a table of 2 rows with the columns a, c" in str(caught.value)


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


def test_counts_add_up_by_name(reduce):
    values = [{"f": 3, "m": 1}, Counter(m=2, other=5), pd.Series(["m", "m", "d"]).value_counts()]
    assert reduce(MergeCounts(), values) == {"f": 3, "m": 5, "other": 5, "d": 1}
    assert list(reduce(MergeCounts(), values)) == ["f", "m", "other", "d"]
    for bad, what in (({"f": -1}, "0 or more"), ({"f": 1.5}, "not float"), ([1], "not list")):
        with pytest.raises(DataError, match=f"key `c`, node-1: .*{what}"):
            reduce({"c": MergeCounts()}, [{"c": {"f": 1}}, {"c": bad}])


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


def test_counts_of_one_label_are_added_up(reduce):
    values = [{"1": 3, "f": 1}, {1: 4, "F": 2}, {"1.0": 1, "01": 5, True: 1}, {0: 1, "0": 2}]
    assert reduce(MergeCounts(), values) == {"1": 9, "f": 1, "F": 2, "01": 5, 0: 3}
    columns = [pd.Series(v).value_counts() for v in ([0, 1, 1], ["0", "1"], [0.0, 1.0])]
    assert reduce(MergeCounts(), columns) == {1: 4, 0: 3}


def test_nan_is_one_name_and_one_label(reduce):
    columns = [pd.Series(v).value_counts(dropna=False) for v in ([1.0, math.nan], [math.nan] * 2)]
    got = reduce(MergeCounts(), columns)
    assert sorted(got.values()) == [1, 3]
    pairs = [{("f", math.nan): 2}, {("f", float("nan")): 5}]
    assert list(reduce(MergeCounts(), pairs).values()) == [7]
    assert list(reduce(Sum(), [{math.nan: 1}, {float("nan"): 2}]).values()) == [3]
    got = reduce(Sum(), [pd.Series([1.0, 2], index=["a", math.nan]) for _ in range(2)])
    pd.testing.assert_series_equal(got, pd.Series([2.0, 4], index=["a", math.nan]))


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
    with pytest.raises(DataError, match="node-0, node-1: the weights of all nodes together are t"):
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
    with pytest.raises(DataError, match=r"`x`, node-\d: some .* \(node-0\) and .* \(node-1\)"):
        reduce({"x": Sum()}, [{"x": np.ones(1, complex)}, {"x": np.ones(1)}])
    with pytest.raises(DataError, match=r"`x`, node-\d: with what it sent, .* too large for 64"):
        reduce({"x": Sum()}, [{"x": np.array([2**62])}] * 3)


def test_values_follow_one_another_in_participant_order(reduce):
    assert reduce(Concat(), [[1, 2], [], [3]]) == [1, 2, 3]
    assert reduce(Concat(), [(1,), (2,)]) == (1, 2)
    got = reduce(Concat(), [np.eye(2), np.zeros((3, 2))])
    np.testing.assert_array_equal(got, np.vstack([np.eye(2), np.zeros((3, 2))]))
    tables = [pd.DataFrame({"a": [1], "b": [2]}), pd.DataFrame({"a": [5, 6]})]
    with pytest.raises(DataError, match=r"node-1: its columns are not those of node-0.*has b"):
        reduce(Concat(), tables)
    assert list(reduce(Concat(columns="common"), tables).columns) == ["a"]
    assert reduce(Concat(columns="all"), tables)["b"].isna().tolist() == [False, True, True]
    with pytest.raises(DataError, match=r"node-1: an array of shape \(1, 3\) cannot follow"):
        reduce(Concat(), [np.eye(2), np.zeros((1, 3))])
    with pytest.raises(DataError, match="node-1: it sent a tuple, and node-0 a list"):
        reduce(Concat(), [[1], (2,)])


def test_per_node_and_functions_see_the_participants_order(reduce):
    values = {"b": np.arange(2), "a": np.arange(3)}
    got = reduce(PerNode(), values)
    assert list(got) == ["b", "a"]
    got["a"][0] = 5
    assert values["a"][0] == 0
    assert reduce({"x": len}, [{"x": 1}] * 3) == {"x": 3}
    assert reduce({"x": Function(np.median)}, [{"x": v} for v in (1, 9, 4)]) == {"x": 4}


# ---- statistics ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tally:
    n: int
    total: float

    def merge(self, other):
        return Tally(self.n + other.n, self.total + other.total)

    def result(self):
        return self.total / self.n


def test_a_function_that_raises_is_named(reduce):
    def ratio(values):
        return values[0] / 0

    with pytest.raises(DataError, match=r"`x`, node-0, node-1: the function ratio .* ZeroDivision"):
        reduce({"x": ratio}, [{"x": 1}, {"x": 2}])
    values = [{"x": 1.0, "n": 2}, {"x": 5.0}]
    by = lambda value: value["n"]  # noqa: E731
    with pytest.raises(DataError, match=r"`x`, node-1: its weight .* cannot be had: .* a KeyError"):
        reduce({"x": WeightedMean(by)}, values)
    assert reduce({"x": WeightedMean(by, bad_weight="skip")}, values) == {"x": 1.0}


def test_what_cannot_follow_one_another_is_named(reduce):
    tables = [
        pd.DataFrame([[1, 2]], columns=["a", "b"]),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
    ]
    for order in (tables, tables[::-1]):
        with pytest.raises(DataError, match=r"`t`, node-\d: two of its columns have one name"):
            reduce({"t": Concat(columns="all")}, [{"t": table} for table in order])
    arrays = [np.array([1.5]), np.array(["2024-01-01"], "datetime64[D]")]
    with pytest.raises(DataError, match=r"`a`, node-1: an array of datetime64\[D\] cannot follow"):
        reduce({"a": Concat()}, [{"a": array} for array in arrays])


def test_a_column_that_does_not_merge_is_named(reduce):
    frames = [{"t": describe({"age": [1.0]})}, {"t": describe({"age": ["old"]})}]
    with pytest.raises(DataError, match=r"node-1: its Description .*\[the column age\]"):
        reduce({"t": Merge()}, frames)


def test_statistics_merge_within_dicts_and_lists(reduce):
    values = [{"age": Tally(2, 7.0), "by": [Tally(1, k)]} for k in (1.0, 2.0, 4.0)]
    got = reduce(Merge(), values)
    assert got["age"] == Tally(6, 21.0)
    assert got["by"] == [Tally(3, 7.0)]
    assert reduce({"age": Tally}, values)["age"].result() == 3.5


def test_statistics_of_other_kinds_are_refused(reduce):
    with pytest.raises(DataError, match="key `s`, node-1: it sent a float where a Tally"):
        reduce({"s": Tally}, [{"s": Tally(1, 1.0)}, {"s": 2.0}])
    with pytest.raises(DataError, match="node-0: it sent a float where a Mergeable is expected"):
        reduce({"s": Merge()}, [{"s": 1.0}, {"s": 2.0}])
    with pytest.raises(DataError, match="node-1: it is missing there"):
        reduce(Merge(), [{"a": Tally(1, 1.0)}, {}])
    one = {"a": Tally(1, 1.0)}
    assert reduce(Merge(missing="skip"), [one, {}, one])["a"] == Tally(2, 2.0)


# ---- what goes wrong, and what may be declared about it --------------------------------------


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
    with pytest.raises(DataError, match=rf"key `x`: the sum .* too large for {kind}: send float64"):
        reduce({"x": Sum()}, values)
    assert np.array_equal(reduce({"x": Mean()}, values)["x"], LARGE[kind])


def test_an_infinity_that_was_sent_is_no_overflow(reduce):
    for value in (math.inf, np.array([math.inf, 1.0], np.float32)):
        assert np.isinf(np.max(reduce({"x": Sum(non_finite="keep")}, [{"x": value}] * 2)["x"]))
