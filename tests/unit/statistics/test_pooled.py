"""Merged figures against pandas, NumPy, SciPy, scikit-learn and lifelines on the pooled data."""

from __future__ import annotations

import functools
import itertools
import json
import math
from fractions import Fraction
from functools import reduce

import lifelines
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from lifelines.statistics import logrank_test, multivariate_logrank_test
from sklearn.metrics import roc_auc_score

from flame_flwr.errors import DataError, ModelError
from flame_flwr.statistics import (
    AUC,
    ContingencyTable,
    Covariance,
    Histogram,
    KaplanMeier,
    LogRank,
    MetaAnalysis,
    MinMax,
    Missingness,
    Moments,
    Quantiles,
    RowCount,
    Statistic,
    Total,
    ValueCounts,
    describe,
)

close = pytest.approx


def over(sites, make):
    """What the nodes' statistics say together."""
    return reduce(lambda one, two: one.merge(two), [make(site) for site in sites])


# ---- counts and moments ---------------------------------------------------------------------


def test_rows_and_missing_values(sites, patients):
    found = over(sites, Missingness.from_data).result()

    assert over(sites, RowCount.from_data).result()["rows"] == len(patients)
    assert found["missing"] == patients.isna().sum().to_dict()
    assert found["share"] == close(patients.isna().mean().to_dict())


def test_sum_mean_variance(sites, patients):
    found = over(sites, lambda site: Moments.from_data(site["age"])).result()
    age = patients["age"]

    assert found["n"] == age.count()
    assert found["sum"] == close(age.sum(), rel=1e-14)
    assert found["mean"] == close(age.mean(), rel=1e-14)
    assert found["variance"] == close(age.var(), rel=1e-13)
    assert found["std"] == close(scipy.stats.tstd(age.dropna()), rel=1e-13)
    assert over(sites, lambda site: Total.from_data(site["age"])).result()["mean"] == found["mean"]


def test_large_close_values_do_not_cancel():
    values = 1e12 + np.random.default_rng(1).normal(0, 1e-2, 600)
    found = over(np.array_split(values, 5), Moments.from_data).result()
    true = [Fraction(value) for value in values]
    mean = sum(true) / len(true)
    variance = sum((value - mean) ** 2 for value in true) / (len(true) - 1)

    assert found["variance"] == close(float(variance), rel=1e-12)


def test_equal_values_have_no_variance_at_all():
    parts = [Moments.from_data([0.1] * n) for n in (3, 7, 11)]

    assert over(parts, lambda part: part).result()["variance"] == 0.0
    columns = {"a": [0.1] * 10, "b": list(range(10))}
    assert Covariance.from_data(columns).result()["correlation"][0] == [None, None]


def test_sums_of_integers_are_exact():
    parts = [[3, 7, 90, 41], [10, 11], [2**52 + 1, 5, 6]]

    assert over(parts, Total.from_data).total == sum(map(sum, parts))


def test_covariance_and_correlation(sites, patients):
    columns = ["age", "score", "time"]
    found = over(sites, lambda site: Covariance.from_data(site[columns])).result()
    complete = patients[columns].dropna()

    assert found["n"] == len(complete)
    assert found["mean"] == close(complete.mean().tolist(), rel=1e-13)
    assert np.allclose(found["covariance"], complete.cov(), rtol=1e-12)
    assert np.allclose(found["correlation"], np.corrcoef(complete.T), rtol=1e-12)


def test_a_constant_column_has_no_correlation():
    found = Covariance.from_data({"a": [1.0, 2.0], "b": [3.0, 3.0]}).result()

    assert found["correlation"] == [[1.0, None], [None, None]]


def test_extremes(sites, patients):
    found = over(sites, lambda site: MinMax.from_data(site["age"])).result()

    assert (found["min"], found["max"]) == (patients["age"].min(), patients["age"].max())


# ---- counts of cells ------------------------------------------------------------------------


def test_histogram(sites, patients):
    edges = [20, 40, 55, 70, 80]
    found = over(sites, lambda site: Histogram.from_data(site["age"], edges)).result()
    age = patients["age"].dropna()

    assert found["counts"] == np.histogram(age, bins=edges)[0].tolist()
    assert found["below"] == (age < 20).sum()
    assert found["above"] == (age > 80).sum()
    assert found["missing"] == patients["age"].isna().sum()


@pytest.mark.parametrize("labels", [None, ["m", "f", "x"]])
def test_value_counts(sites, patients, labels):
    found = over(sites, lambda site: ValueCounts.from_data(site["sex"], labels)).result()

    counts = dict(zip(found["labels"], found["counts"], strict=True))
    assert counts == patients["sex"].value_counts().to_dict()
    assert found["missing"] == patients["sex"].isna().sum()


def test_labels_of_other_types_meet_as_one():
    one = ValueCounts.from_data(pd.Series([1, 2, 2]))
    two = ValueCounts.from_data(pd.Series([1, None, 2]))  # floats: pandas does that
    three = ValueCounts.from_data(np.array([True, False]))

    merged = one.merge(two).merge(three).result()
    assert merged["labels"] == [False, True, 1, 2]
    assert [type(label) for label in merged["labels"]] == [bool, bool, int, int]
    assert merged["counts"] == [1, 1, 2, 3]
    assert merged["missing"] == 1


def test_other_labels_are_counted_together():
    found = ValueCounts.from_data(["a", "b", "c", None], labels=["b"]).result()

    assert (found["counts"], found["other"], found["missing"]) == ([1], 2, 1)


def test_where_no_label_is_declared_all_are_others():
    assert ValueCounts.from_data([1, 2], labels=[]).result()["other"] == 2


def test_contingency_table(sites, patients):
    def make(site):
        return ContingencyTable.from_data(site["sex"], site["ill"], ["f", "m", "x"], [0, 1])

    found = over(sites, make).result()
    table = pd.crosstab(patients["sex"], patients["ill"])
    assert found["counts"] == table.to_numpy().tolist()
    assert found["other"] == patients["sex"].isna().sum()
    assert scipy.stats.chi2_contingency(found["counts"]).pvalue == close(
        scipy.stats.chi2_contingency(table).pvalue
    )


# ---- quantiles ------------------------------------------------------------------------------


@pytest.mark.parametrize("accuracy", [0.01, 0.002])
def test_quantiles_are_as_close_as_they_say(accuracy):
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.lognormal(2, 2, 700), -rng.lognormal(0, 1, 300), np.zeros(40)])
    rng.shuffle(values)
    asked = np.linspace(0, 1, 101)
    parts = [values[:5], values[5:300], values[300:]]

    found = over(parts, lambda part: Quantiles.from_data(part, accuracy)).result(asked)
    low = np.quantile(values, asked, method="lower")
    high = np.quantile(values, asked, method="higher")
    slack = accuracy * np.maximum(np.abs(low), np.abs(high)) * (1 + 1e-9)
    assert (np.abs(np.array(found["values"]) - np.quantile(values, asked)) <= slack).all()


def test_quantiles_of_one_value_and_of_none():
    assert Quantiles.from_data([7.0]).result()["values"] == close([7.0] * 3, rel=0.01)
    assert Quantiles.from_data([None]).result()["values"] == [None] * 3


# ---- survival, AUC, meta-analysis -----------------------------------------------------------


def test_kaplan_meier_against_lifelines(sites, patients):
    def make(site):
        return KaplanMeier.from_data(site["time"], site["ill"], range(13))

    found = over(sites, make).result()
    fitted = lifelines.KaplanMeierFitter().fit(patients["time"], patients["ill"])
    table = fitted.event_table
    assert found["at_risk"] == table["at_risk"].tolist()
    assert found["events"] == table["observed"].tolist()
    assert found["survival"] == close(fitted.survival_function_["KM_estimate"].tolist(), rel=1e-12)
    assert found["median"] == fitted.median_survival_time_


def test_kaplan_meier_error_is_greenwoods():
    found = KaplanMeier.from_data([1, 1, 2, 3, 3], [1, 0, 1, 1, 0], [1, 2, 3]).result()
    sums = np.cumsum([1 / (5 * 4), 1 / (3 * 2), 1 / (2 * 1)])

    assert found["error"] == close((np.array(found["survival"]) * np.sqrt(sums)).tolist())


def test_durations_count_at_the_next_time():
    curve = KaplanMeier.from_data([0.0, 0.4, 1.0, 1.1, 9.0, 9.5], [1, 1, 1, 0, 1, 0], [1, 5])

    assert (curve.events, curve.censored) == ((3, 0), (0, 1, 2))


@pytest.mark.parametrize("groups", [["f", "m"], ["f", "m", "x"], ["f", "m", "nobody"]])
def test_logrank_against_lifelines(sites, patients, groups):
    def make(site):
        return LogRank.from_data(site["time"], site["ill"], site["sex"], groups, range(13))

    found = over(sites, make).result()
    used = patients[patients["sex"].isin(groups)]
    true = multivariate_logrank_test(used["time"], used["sex"], used["ill"])
    assert found["statistic"] == close(true.test_statistic, rel=1e-9)
    assert found["p"] == close(true.p_value, rel=1e-9)
    assert found["df"] == used["sex"].nunique() - 1


def test_logrank_of_two_groups_is_the_usual_one(patients):
    a, b = patients[:120], patients[120:]
    made = LogRank.from_data(
        patients["time"], patients["ill"], [1] * 120 + [2] * 180, [1, 2], range(13)
    )

    true = logrank_test(a["time"], b["time"], a["ill"], b["ill"])
    assert made.result()["statistic"] == close(true.test_statistic, rel=1e-9)


def test_auc(sites, patients):
    exact = patients.assign(score=(np.floor(patients["score"] * 49) + 0.5) / 50)
    parts = [exact.loc[site.index] for site in sites]

    found = over(parts, lambda site: AUC.from_data(site["ill"], site["score"], bins=50)).result()
    assert found["auc"] == close(roc_auc_score(exact["ill"], exact["score"]), rel=1e-13)

    coarse = over(sites, lambda site: AUC.from_data(site["ill"], site["score"], bins=30)).result()
    true = roc_auc_score(patients["ill"], patients["score"])
    assert coarse["lower"] <= true <= coarse["upper"]
    assert coarse["auc"] == close(true, abs=(coarse["upper"] - coarse["lower"]) / 2)


def test_meta_analysis_by_the_formulas():
    estimates, errors = np.array([0.4, 0.9, 0.1]), np.array([0.1, 0.2, 0.15])
    studies = [MetaAnalysis.from_data(b, s, 50) for b, s in zip(estimates, errors, strict=True)]
    found = over(studies, lambda study: study).result()

    w = 1 / errors**2
    mean = np.average(estimates, weights=w)
    q = (w * (estimates - mean) ** 2).sum()
    tau2 = (q - 2) / (w.sum() - (w**2).sum() / w.sum())
    random = 1 / (errors**2 + tau2)
    assert found["fixed"]["estimate"] == close(mean)
    assert found["fixed"]["error"] == close(w.sum() ** -0.5)
    assert found["fixed"]["p"] == close(2 * scipy.stats.norm.sf(abs(mean) * w.sum() ** 0.5))
    assert (found["q"], found["tau2"], found["i2"]) == close((q, tau2, (q - 2) / q))
    assert found["random"]["estimate"] == close(np.average(estimates, weights=random))
    low, high = scipy.stats.norm.interval(0.95, found["random"]["estimate"], random.sum() ** -0.5)
    assert (found["random"]["low"], found["random"]["high"]) == close((low, high))


# ---- describe -------------------------------------------------------------------------------


def test_describe_of_numbers_is_pandas_describe(sites, patients):
    columns = ["age", "score", "time", "ill"]
    found = over(sites, lambda site: describe(site[columns])).to_frame()
    true = patients[columns].describe()

    assert list(found.index) == list(true.index)
    exact = ["count", "mean", "std", "min", "max"]
    pd.testing.assert_frame_equal(found.loc[exact], true.loc[exact], rtol=1e-12)
    pd.testing.assert_frame_equal(found, true, rtol=0.0101, check_exact=False)


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


# ---- what columns may hold ------------------------------------------------------------------


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


def test_what_must_be_a_list_is_checked():
    with pytest.raises(ModelError, match="edges must be a list of numbers, such as"):
        Histogram.from_data([1.0], 10)
    with pytest.raises(ModelError, match=r"AUC: bins must be a whole number from 1, not 10\.0"):
        AUC.from_data([0, 1], [0.2, 0.4], bins=10.0)
    with pytest.raises(ModelError, match="give a list of probabilities"):
        Quantiles.from_data([1.0]).result(0.5)


def test_infinite_values_are_refused():
    with pytest.raises(DataError, match="a column of labels holds infinite numbers"):
        ValueCounts.from_data([1.0, math.inf])
    with pytest.raises(DataError, match="infinite"):
        Moments.from_data([1.0, math.inf])


@pytest.mark.parametrize("values", [["a", None], ["a", float("nan")], pd.Series(["a", None])])
def test_missing_labels_come_in_many_forms(values):
    found = ValueCounts.from_data(values).result()

    assert (found["labels"], found["counts"], found["missing"]) == (["a"], [1], 1)


def test_a_label_is_plain():
    with pytest.raises(DataError, match="a label must be"):
        ValueCounts.from_data([object()])


def test_events_and_outcomes_are_0_or_1():
    with pytest.raises(DataError, match="an event must be 1, or 0"):
        KaplanMeier.from_data([1], [2], [1, 2])
    with pytest.raises(DataError, match="a duration is negative"):
        KaplanMeier.from_data([-1], [1], [1, 2])
    with pytest.raises(DataError, match="an outcome must be 1 or 0"):
        AUC.from_data([2], [0.5])
    with pytest.raises(ModelError, match="different lengths"):
        AUC.from_data([1, 0], [0.5])


@pytest.mark.parametrize("edges", [[1], [1, 1], [2, 1], [0, math.inf], [0, math.nan]])
def test_edges_rise(edges):
    with pytest.raises(ModelError, match="numbers"):
        Histogram.zero(edges)
