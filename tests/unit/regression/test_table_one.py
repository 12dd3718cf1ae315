"""A Table 1 is that of the pooled rows: pandas and scipy compute it a second way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from flame_flwr.errors import DataError, ModelError
from flame_flwr.privacy import MinCount, Strict
from flame_flwr.regression import TableOne
from flame_flwr.regression.group_tests import compare_counts, compare_means


def patients(n=240):
    rng = np.random.default_rng(11)
    table = pd.DataFrame(
        {
            "age": rng.normal(60, 9, n).round(1),
            "days": rng.gamma(2, 3, n),
            "sex": rng.choice(["f", "m"], n),
            "stage": rng.choice([1, 2, 3], n, p=[0.5, 0.3, 0.2]),
            "arm": rng.choice(["a", "b"], n),
            "region": rng.choice(["x", "y", "z"], n),
        }
    )
    table.loc[::20, "age"] = np.nan
    return table


TABLE = patients()
SITES = [TABLE.iloc[:60], TABLE.iloc[60:100], TABLE.iloc[100:]]
COLUMNS = {"age": "mean", "days": "median", "sex": ["f", "m"], "stage": [1, 2, 3]}
STUDY = TableOne(COLUMNS, by="arm", groups=["a", "b"])


def test_its_figures_are_those_of_all_rows():
    found = STUDY.test(SITES, quiet=True).result
    frame = found.to_frame()
    for group, rows in TABLE.groupby("arm"):
        assert frame.loc["n", group] == str(len(rows))
        age = f"{rows['age'].mean():.1f} ({rows['age'].std():.1f})"
        assert frame.loc["age, mean (SD)", group] == age
        men = (rows["sex"] == "m").sum()
        assert frame.loc["sex = m, n (%)", group] == f"{men} ({100 * men / len(rows):.1f} %)"
        figures = found.columns["days"][group]["quantiles"].result([0.25, 0.5, 0.75])["values"]
        np.testing.assert_allclose(figures, rows["days"].quantile([0.25, 0.5, 0.75]), rtol=0.01)
    assert frame.loc["age, mean (SD)", "missing"] == "12"
    assert "Medians and quartiles are within 1 %" in str(found)
    assert "<table" in found._repr_html_()


def test_its_comparisons_are_scipys():
    found = STUDY.test(SITES, quiet=True).result
    a, b = (TABLE[TABLE["arm"] == arm] for arm in "ab")
    ages = [part["age"].dropna() for part in (a, b)]
    wanted = stats.ttest_ind(*ages, equal_var=False).pvalue
    assert found.p_values()["age"] == pytest.approx(wanted, rel=1e-10)
    for name in ("sex", "stage"):
        wanted = stats.chi2_contingency(pd.crosstab(TABLE["arm"], TABLE[name])).pvalue
        assert found.p_values()[name] == pytest.approx(wanted, rel=1e-12)
    spread = np.sqrt((ages[0].var() + ages[1].var()) / 2)
    wanted = abs(ages[0].mean() - ages[1].mean()) / spread
    assert found.differences()["age"] == pytest.approx(wanted, rel=1e-10)
    shares = [(part["sex"] == "m").mean() for part in (a, b)]
    wanted = abs(shares[0] - shares[1]) / np.sqrt(sum(s * (1 - s) for s in shares) / 2)
    assert found.differences()["sex"] == pytest.approx(wanted, rel=1e-10)
    assert "days" not in found.p_values()


def test_three_groups_are_compared_by_analysis_of_variance():
    study = TableOne({"age": "mean"}, by="region", groups=["x", "y", "z"])
    ages = [part["age"].dropna() for _, part in TABLE.groupby("region")]
    found = study.test(SITES, quiet=True).result
    assert found.p_values()["age"] == pytest.approx(stats.f_oneway(*ages).pvalue, rel=1e-10)
    assert found.to_frame()["test"].iloc[1] == "ANOVA"
    assert found.differences() == {}


def test_small_tables_are_fishers():
    table = [[3, 1], [2, 6]]
    assert compare_counts(table) == ("Fisher's exact test", stats.fisher_exact(table).pvalue)
    assert compare_counts([[3, 0], [2, 0]]) is None
    assert compare_means([(5, 1.0, 0.0), (5, 1.0, 0.0)]) is None


def test_without_groups_and_with_secure_sums():
    study = TableOne({"age": "mean", "sex": ["f", "m"]})
    frames = [study.test(SITES, quiet=True, secure=s).result.to_frame() for s in (None, True)]
    assert frames[0].equals(frames[1])
    assert frames[0].loc["n", "all"] == "240"


def test_what_a_rule_keeps_back_is_said_so_and_is_no_zero():
    few = TABLE.iloc[:60].assign(sex=["m"] * 2 + ["f"] * 58)
    rules = [MinCount(5), Strict()]
    found = STUDY.test([few, *SITES[1:]], quiet=True, disclosure=rules).result
    frame = found.to_frame()
    assert "withheld" in set(frame.loc["sex = m, n (%)", ["a", "b"]])
    assert "sex" not in found.p_values()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"columns": ["age"]}, "must be a dict"),
        ({"columns": {"age": "mode"}}, "age must be mean, median, or a list"),
        ({"columns": {"age": "mean"}, "by": "arm"}, "go together"),
    ],
)
def test_a_table_that_cannot_be_is_refused_when_it_is_built(arguments, words):
    with pytest.raises(ModelError) as caught:
        TableOne(**arguments)
    assert words in caught.value.message


def test_a_column_that_is_not_there():
    with pytest.raises(DataError, match="no column stage"):
        STUDY.test([SITES[0].drop(columns="stage"), *SITES[1:]], quiet=True)
