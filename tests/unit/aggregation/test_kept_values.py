"""Reductions that keep what nodes sent: counts, lists, tables, statistics, functions."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from flame_flwr.aggregation import (
    Concat,
    Function,
    Merge,
    MergeCounts,
    PerNode,
    Sum,
    WeightedMean,
)
from flame_flwr.errors import DataError
from flame_flwr.statistics import describe


def test_counts_add_up_by_name(reduce):
    values = [{"f": 3, "m": 1}, Counter(m=2, other=5), pd.Series(["m", "m", "d"]).value_counts()]
    assert reduce(MergeCounts(), values) == {"f": 3, "m": 5, "other": 5, "d": 1}
    assert list(reduce(MergeCounts(), values)) == ["f", "m", "other", "d"]
    for bad, what in (({"f": -1}, "0 or more"), ({"f": 1.5}, "not float"), ([1], "not list")):
        with pytest.raises(DataError, match=f"key `c`, node-1: .*{what}"):
            reduce({"c": MergeCounts()}, [{"c": {"f": 1}}, {"c": bad}])


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
    with pytest.raises(DataError, match=r"node-1: an array with rows of shape \(3,\) cannot"):
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
    with pytest.raises(
        DataError, match=r"key `s`, node-1: it sent a number where a statistic \(Tally\)"
    ):
        reduce({"s": Tally}, [{"s": Tally(1, 1.0)}, {"s": 2.0}])
    with pytest.raises(DataError, match=r"node-0: it sent a whole number where a stat"):
        reduce({"s": Merge()}, [{"s": 1}, {"s": 2}])
    with pytest.raises(DataError, match="node-1: the nodes' values differ: node-0 sent a dict w"):
        reduce(Merge(), [{"a": Tally(1, 1.0)}, {}])
    one = {"a": Tally(1, 1.0)}
    assert reduce(Merge(missing="skip"), [one, {}, one])["a"] == Tally(2, 2.0)
