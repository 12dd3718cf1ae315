"""``describe`` against ``DataFrame.describe`` of the pooled data."""

from __future__ import annotations

import functools
import itertools
import json
from functools import reduce

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame_flwr.errors import DataError, ModelError
from flame_flwr.statistics import (
    Missingness,
    Statistic,
    describe,
)

close = pytest.approx


def over(sites, make):
    """What the nodes' statistics say together."""
    return reduce(lambda one, two: one.merge(two), [make(site) for site in sites])


def test_describe_of_numbers_is_pandas_describe(sites, patients):
    columns = ["age", "score", "time", "ill"]
    found = over(sites, lambda site: describe(site[columns])).to_frame()
    true = patients[columns].describe()

    assert list(found.index) == list(true.index)
    exact = ["count", "mean", "std", "min", "max"]
    pd.testing.assert_frame_equal(found.loc[exact], true.loc[exact], rtol=1e-12)
    pd.testing.assert_frame_equal(found, true, rtol=0.0101, check_exact=False)


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), st.sampled_from([1, 2]))
def test_quartiles_lie_between_smallest_and_largest(values, parts):
    found = over(np.array_split(np.array(values), parts), lambda x: describe({"x": x})).result()
    figures = found["columns"]["x"]
    assert all(min(values) <= figures[name] <= max(values) for name in ("25%", "50%", "75%"))


def test_describe_of_all_is_pandas_describe_of_all(sites, patients):
    made = over(sites, lambda site: describe(site[["sex", "age"]], {"sex": ["f", "m", "x"]}))
    found, true = made.to_frame(), patients[["sex", "age"]].describe(include="all")

    assert list(found.index) == list(true.index)
    assert found["sex"][:4].tolist() == true["sex"][:4].tolist()
    assert made.result()["rows"] == len(patients)
    assert made.column("sex")[0].result()["missing"] == patients["sex"].isna().sum()


def test_describe_refuses_what_looks_like_names():
    with pytest.raises(DataError, match="more than 50 different labels") as caught:
        describe({"name": [f"patient {i}" for i in range(51)]})
    assert "patient" not in caught.value.message
    assert caught.value.detail == "name"


def test_describe_names_a_column_of_two_kinds():
    with pytest.raises(ModelError, match="numbers at one node and labels at another") as caught:
        describe({"a": [1.5]}).merge(describe({"a": ["x"]}))
    assert caught.value.detail == "the column a"


def dates(*days):
    return pd.to_datetime(pd.Series(days, dtype=object), format="ISO8601")


def test_describe_of_dates_is_pandas_describe():
    sites = [dates("2024-02-29", None, "2020-01-01T06:00"), dates("1969-12-31"), dates(None)]
    forms = [list(sites[0].dt.tz_localize("UTC")), sites[1].dt.date, sites[2].to_numpy()]
    true = pd.concat(sites).describe()
    for columns in (sites, forms):
        found = over(columns, lambda site: describe({"seen": site})).result()["columns"]["seen"]
        assert (found["count"], found["min"], found["max"]) == (3, "1969-12-31", "2024-02-29")
        assert abs(pd.Timestamp(found["mean"]) - true["mean"]) < pd.Timedelta("1ms")
    nothing = describe({"seen": dates(None)}).to_frame()["seen"]
    assert (nothing["count"], nothing[1:].isna().all()) == (0, True)


def test_describe_names_numbered_columns_by_their_digits():
    table = pd.DataFrame(np.arange(6.0).reshape(3, 2))
    found = describe(table, labels={1: [1, 3, 5]}).result()["columns"]
    assert (found["0"]["mean"], found["1"]["count"]) == (2.0, 3)
    assert Missingness.from_data(table).columns == ("0", "1")
    with pytest.raises(ModelError, match="no two of them alike"):
        describe({"1": [2.0], 1: [2.0]})


def test_a_column_without_values_merges_with_any_other(over_orders):
    blank = pd.DataFrame({"s": [np.nan, np.nan]})
    nothing = describe({"s": []})
    for values, figures in (
        (["x", "x"], {"count": 2, "unique": 1, "top": "x", "freq": 2}),
        ([3.0, 5.0], {"count": 2, "mean": 4.0, "min": 3.0}),
        (dates("2024-02-29", "2024-02-29"), {"count": 2, "mean": "2024-02-29"}),
    ):
        parts = [describe(blank), nothing, describe({"s": values}), describe({"s": [None]})]
        merged = over_orders([*parts, describe({"s": dates(None)})])
        found = merged.result()["columns"]["s"]
        assert {key: found[key] for key in figures} == figures
        assert (found["suppressed"], merged.size) == (0, 6)
    labels = describe({"s": ["x"]}).merge(describe(blank)).column("s")[0]
    assert labels.result()["missing"] == 2
    assert over_orders([describe(blank), nothing, describe({"s": [None]})]).result()["rows"] == 3


def test_an_empty_column_is_withheld_too(over_orders):
    blank = describe({"s": [None, None]}).with_min_count(5)
    found = over_orders([blank, describe({"s": [float(i) for i in range(9)]})]).result()
    assert found["columns"]["s"]["mean"] == 4.0
    assert found["columns"]["s"]["suppressed"] == 1


@pytest.fixture
def over_orders():
    """Merge in every order and grouping, which must not show."""

    def merge(parts):
        orders = [
            functools.reduce(lambda a, b: a.merge(b), o) for o in itertools.permutations(parts)
        ]
        middle = len(parts) // 2
        orders.append(
            over(parts[:middle], lambda part: part).merge(over(parts[middle:], lambda part: part))
        )
        assert all(one == orders[0] for one in orders)
        assert Statistic.from_json(json.loads(json.dumps(orders[0].to_json()))) == orders[0]
        return orders[0]

    return merge
