"""The other disclosure rules: moved extremes, limits on size, nothing untyped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from flame_flwr.errors import PayloadError
from flame_flwr.privacy import (
    MaxBins,
    MaxRows,
    NoisyMinMax,
    Strict,
)
from flame_flwr.statistics import (
    AUC,
    ContingencyTable,
    Histogram,
    KaplanMeier,
    LogRank,
    MinMax,
    Quantiles,
    RowCount,
    ValueCounts,
    describe,
)

from .studies import through


def test_extremes_leave_only_moved_outwards():
    rule = NoisyMinMax(0.05, 0.15)
    for low, high in ((20.0, 80.0), (-3.0, -1.0), (7.0, 7.0), (0.0, 0.0)):
        sent = through(MinMax.from_data([low, high]), rule)
        reach = (high - low) or abs(low) or 1.0
        assert 0.05 * reach <= low - sent.low <= 0.15 * reach + 1e-9
        assert 0.05 * reach - 1e-9 <= sent.high - high <= 0.15 * reach + 1e-9
        assert sent.result()["noisy_at"] == 1
    assert through(MinMax.zero(), rule) == MinMax.zero()
    figures = through(describe({"a": [1.0, 2.0, 9.0]}), rule).result()["columns"]["a"]
    assert figures["min"] < 1.0
    assert figures["max"] > 9.0


@pytest.mark.parametrize("values", [np.arange(1.0, 101.0), np.array([-80.0, -3, 0, 0, 7, 20])])
def test_the_outermost_quantiles_are_moved_outwards(values):
    exact = Quantiles.from_data(values)
    sent = through(exact, NoisyMinMax(0.05, 0.15))

    reach = values.max() - values.min()
    low, middle, high = sent.result([0, 0.5, 1])["values"]
    assert 0.04 * reach < values.min() - low < 0.17 * reach
    assert 0.04 * reach < high - values.max() < 0.17 * reach
    assert middle == exact.result([0.5])["values"][0]
    assert (sent.size, sent.result()["noisy_at"]) == (len(values), 1)


def test_quantiles_of_one_value_or_none():
    sent = through(Quantiles.from_data([-5.0]), NoisyMinMax())
    assert sent.size == 1
    assert sent.result([0])["values"][0] < -5.1
    assert through(Quantiles.zero(), NoisyMinMax()) == Quantiles.zero()


def test_quantiles_have_no_more_values_than_bins():
    values = np.arange(1.0, 61.0)
    exact = Quantiles.from_data(values, accuracy=0.001)
    assert len(exact.buckets) == 60
    for value in (exact, describe({"a": values}).column("a")[1]):
        sent = through(value, MaxBins(10), NoisyMinMax())
        assert len(sent.buckets) <= 10
        assert (sent.size, sent.result()["coarsened_at"]) == (60, 1)
    assert through(exact, MaxBins(60)) == exact
    described = through(describe({"a": values}), MaxBins(10))
    assert len(described.column("a")[1].buckets) <= 10
    assert described.result()["columns"]["a"]["coarsened_at"] == 1


def test_a_secret_repeats_the_noise():
    value = MinMax.from_data([20.0, 80.0])

    assert through(value, NoisyMinMax()) != through(value, NoisyMinMax())
    assert through(value, NoisyMinMax(secret="a")) == through(value, NoisyMinMax(secret="a"))
    assert through(value, NoisyMinMax(secret="a")) != through(value, NoisyMinMax(secret="b"))


@pytest.mark.parametrize(
    "value",
    [
        *(Histogram.zero(range(12)), ValueCounts.from_data(range(11))),
        *(ContingencyTable.zero([1, 2, 3, 4], [1, 2, 3]), AUC.zero(bins=11)),
        *(KaplanMeier.zero(range(11)), LogRank.zero(["a", "b"], range(11))),
        describe({"a": [f"label {i}" for i in range(11)]}),
    ],
)
def test_more_bins_than_allowed_are_refused(value):
    with pytest.raises(PayloadError, match=r"at \$\.\* has more than 10 bins.*ask for") as caught:
        through({"of Maria": value}, MaxBins(10))
    assert "Maria" not in caught.value.message
    assert caught.value.detail == "$['of Maria']"
    assert through(value, MaxBins(12)) == value


PATIENTS = pd.DataFrame({"age": range(300), "name": ["Maria"] * 300})


@pytest.mark.parametrize(
    "value",
    [
        PATIENTS,
        [{"all": PATIENTS.head(3), "more": PATIENTS}],  # the second of its kind in a container
    ],
    ids=["only", "second"],
)
def test_more_rows_than_allowed_are_refused(value):
    with pytest.raises(PayloadError, match=r"has more than 200 rows.*return sums") as caught:
        through({"of Maria": value}, MaxRows(200))
    assert "Maria" not in caught.value.message
    assert "300" not in caught.value.message
    assert "300 rows x 2 columns" in caught.value.detail
    through({"of Maria": value}, MaxRows(300))


def test_strict_lets_statistics_and_containers_leave():
    value = {"a": [RowCount(9), None], "b": (RowCount(8), {"c": RowCount(7)})}

    assert through(value, Strict()) == value
    assert through(None, Strict()) is None


@pytest.mark.parametrize(
    ("value", "masked", "path", "kind"),
    [
        ({"a": [RowCount(9), 3.5]}, "$.*[1]", "$['a'][1]", "float"),
        ({"a": {"b": np.zeros(2)}}, "$.*.*", "$['a']['b']", "ndarray"),
        ("text", "$", "$", "str"),
        ({7: RowCount(9)}, "$.keys()", "$.keys()", "int"),
        ((RowCount(9), pd.DataFrame({"a": [1]})), "$[1]", "$[1]", "DataFrame"),
    ],
)
def test_strict_refuses_anything_else_and_names_the_place(value, masked, path, kind):
    with pytest.raises(PayloadError) as caught:
        through(value, Strict())
    assert caught.value.message == (
        f"this node lets only statistics leave (the disclosure rule Strict), and at {masked} is a "
        f"{kind}: return values of flame_flwr.statistics"
    )
    assert caught.value.detail == path


def test_strict_refuses_a_statistic_of_the_analysts_own():
    with pytest.raises(PayloadError, match="is a Anything"):
        through(Anything(5), Strict())


@dataclass(frozen=True)
class Anything(RowCount):
    """Not the framework's."""
