"""Merged figures against pandas, NumPy, SciPy, scikit-learn and lifelines on the pooled data."""

from __future__ import annotations

from fractions import Fraction
from functools import reduce

import lifelines
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from lifelines.statistics import multivariate_logrank_test
from lifelines.utils import median_survival_times
from sklearn.metrics import roc_auc_score

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
    Total,
    ValueCounts,
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


def test_kaplan_meier_error_is_greenwoods():
    found = KaplanMeier.from_data([1, 1, 2, 3, 3], [1, 0, 1, 1, 0], [1, 2, 3]).result()
    sums = np.cumsum([1 / (5 * 4), 1 / (3 * 2), 1 / (2 * 1)])

    assert found["error"] == close((np.array(found["survival"]) * np.sqrt(sums)).tolist())


def test_kaplan_meier_limits_are_lifelines(sites, patients):
    def make(site):
        return KaplanMeier.from_data(site["time"], site["ill"], range(13))

    curve = over(sites, make)
    for alpha in (0.05, 0.1):
        fitted = lifelines.KaplanMeierFitter(alpha=alpha).fit(patients["time"], patients["ill"])
        limits = fitted.confidence_interval_.to_numpy().T.tolist()
        assert list(curve.conf_int(alpha)) == [close(each, rel=1e-12) for each in limits]
        wanted = median_survival_times(fitted.confidence_interval_).iloc[0].tolist()
        assert list(curve.median_conf_int(alpha)) == wanted
    assert KaplanMeier.zero([1, 2]).conf_int() == ([None, None], [None, None])
    # none before the first event, and where nobody is left, lifelines has 0 there
    assert KaplanMeier.from_data([2, 2], [1, 1], [1, 2]).conf_int() == ([1.0, None], [1.0, None])


def test_risk_between_times_is_the_next_ones():
    curve = KaplanMeier.from_data([1, 1, 2, 4], [1, 0, 1, 1], [1, 2, 4])

    assert [curve.at_risk_at(time) for time in (0, 1, 1.5, 2, 3, 4)] == [4, 4, 2, 2, 1, 1]


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
