"""What columns may hold, and what is refused without telling a value."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from flame_flwr.errors import DataError, ModelError
from flame_flwr.statistics import (
    AUC,
    Histogram,
    KaplanMeier,
    MinMax,
    Missingness,
    Moments,
    Quantiles,
    Total,
    ValueCounts,
    describe,
)


@pytest.mark.parametrize(
    "values",
    [
        [1, 2.0, None],
        (True, 2, float("nan")),
        np.array([1, 2, np.nan]),
        pd.Series([1, 2, None]),
        pd.Series([1, 2, None], dtype="Int64"),
        pd.Series([1, 2, None], dtype=object),
        pd.Series([1, 2, pd.NA], dtype=object),
    ],
)
def test_numbers_come_in_many_forms(values):
    assert Moments.from_data(values).result()["sum"] == 3.0
    assert Missingness.from_data({"a": values}).missing == (1,)


@pytest.mark.parametrize("values", [["1", "2"], [1, "x"], [1j], pd.to_datetime(["2026-01-01"])])
def test_no_value_is_told_of_a_wrong_column(values):
    with pytest.raises(DataError, match="must hold numbers holds something else") as caught:
        Moments.from_data(values)
    assert "x" not in str(caught.value).split("holds")[0]


def test_masked_values_are_missing():
    numbers = np.ma.array([1.0, 99.0, 3.0], mask=[0, 1, 0])
    assert Total.from_data(numbers).result()["sum"] == 4.0
    assert MinMax.from_data(np.ma.array([1, 99], mask=[0, 1])).result()["max"] == 1.0
    assert Missingness.from_data({"a": numbers}).missing == (1,)
    found = ValueCounts.from_data(np.ma.array(["a", "b"], mask=[0, 1])).result()
    assert (found["labels"], found["missing"]) == (["a"], 1)
    assert ValueCounts.from_data(np.ma.array([2**60 + 1], mask=[0])).result()["labels"] == [
        2**60 + 1
    ]
    table = describe({"a": numbers, "s": np.ma.array(["x", "y", "z"], mask=[1, 1, 1])}).result()
    assert table["columns"]["a"]["mean"] == 2.0
    assert table["columns"]["s"]["count"] == 0


@pytest.mark.parametrize("values", [["a", None], ["a", float("nan")], pd.Series(["a", None])])
def test_missing_labels_come_in_many_forms(values):
    found = ValueCounts.from_data(values).result()

    assert (found["labels"], found["counts"], found["missing"]) == (["a"], [1], 1)


EDGES = ([1], [1, 1], [2, 1], [0, math.inf], [0, math.nan])
REFUSED = [
    *((lambda edges=edges: Histogram.zero(edges), ModelError, "numbers") for edges in EDGES),
    (lambda: Histogram.from_data([1.0], 10), ModelError, "edges must be a list of numbers, such"),
    (lambda: AUC.from_data([0], [0.2], bins=10.0), ModelError, "bins must be a whole number from"),
    (lambda: Quantiles.from_data([1.0]).result(0.5), ModelError, "give a list of probabilities"),
    (lambda: AUC.from_data([1, 0], [0.5]), ModelError, "different lengths"),
    (lambda: AUC.from_data([2], [0.5]), DataError, "an outcome must be 1 or 0"),
    (lambda: KaplanMeier.from_data([1], [2], [1, 2]), DataError, "an event must be 1, or 0"),
    (lambda: KaplanMeier.from_data([-1], [1], [1, 2]), DataError, "a duration is negative"),
    (lambda: ValueCounts.from_data([object()]), DataError, "a label must be"),
    (lambda: ValueCounts.from_data([1.0, math.inf]), DataError, "labels holds infinite numbers"),
    (lambda: Moments.from_data([1.0, math.inf]), DataError, "infinite"),
]


@pytest.mark.parametrize(("make", "error", "what"), REFUSED)
def test_wrong_input_is_refused(make, error, what):
    with pytest.raises(error, match=what):
        make()
