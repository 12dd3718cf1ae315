"""A Table 1 is that of the pooled rows: pandas, scipy and tableone compute it a second way."""

from __future__ import annotations

import json
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import tableone
from scipy import stats

from flame_flwr.errors import DataError, ModelError
from flame_flwr.privacy import MinCount, Strict
from flame_flwr.regression import TableOne
from flame_flwr.regression.group_tests import (
    compare_counts,
    compare_means,
    difference_of_counts,
    p_text,
)
from flame_flwr.star import StarModelTester


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


@pytest.fixture(scope="module")
def found():
    return STUDY.test(SITES, quiet=True).result


def test_its_figures_are_those_of_all_rows(found):
    frame = found.to_frame()
    for group, rows in TABLE.groupby("arm"):
        assert frame.loc["n", group] == str(len(rows))
        age = f"{rows['age'].mean():.1f} ({rows['age'].std():.1f})"
        assert frame.loc["age, mean (SD)", group] == age
        men = (rows["sex"] == "m").sum()
        assert frame.loc["sex = m, n (%)", group] == f"{men} ({100 * men / len(rows):.1f} %)"
        figures = found.to_json()["groups"][group]["days"]["quartiles"]
        np.testing.assert_allclose(figures, rows["days"].quantile([0.25, 0.5, 0.75]), rtol=0.01)
    assert frame.loc["age, mean (SD)", "missing"] == "12"
    assert "Medians and quartiles are from a sketch, and within 1 %" in str(found)
    assert "<table" in found._repr_html_()


def pooled_table(**arguments):
    """Return tableone's Table 1 of all rows; its heads without the line above them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = tableone.TableOne(
            TABLE, pval=True, htest_name=True, smd=True, pval_digits=12, **arguments
        )
    return made.tableone.droplevel(0, axis="columns")


@pytest.mark.parametrize(("unit", "digits"), [(1e-2, 3), (0.1, 2), (1, 1), (1e6, 1)])
def test_small_numbers_keep_two_digits_of_their_deviation(unit, digits):
    """Troponin is 0.03, which is no 0.0; all groups and hospitals have the same decimals."""
    sites = [site.assign(age=site["age"] * unit, days=site["days"] * unit) for site in SITES]
    frame = STUDY.test(sites, quiet=True).result.to_frame(hospitals=True)
    age = TABLE["age"] * unit
    assert frame.loc["age, mean (SD)", "all"] == f"{age.mean():.{digits}f} ({age.std():.{digits}f})"
    for label in ("age, mean (SD)", "days, median [quartiles]"):
        cells = frame.loc[label, ["a", "b", "all", "at node-0", "at node-1", "at node-2"]]
        decimals = {len(number) for cell in cells for number in re.findall(r"\.(\d+)", cell)}
        assert decimals == {digits}


def test_it_is_what_tableone_makes_of_all_rows(found):
    """But for the median, which is from a sketch, and percents, which are written `50.4 %` here."""
    wanted = pooled_table(
        columns=list(COLUMNS), categorical=["sex", "stage"], nonnormal=["days"], groupby="arm"
    )
    frame = found.to_frame()
    rows = {"n": ("n", ""), "age, mean (SD)": ("age, mean (SD)", "")}
    rows |= {
        f"{name} = {level}, n (%)": (f"{name}, n (%)", str(level))
        for name in ("sex", "stage")
        for level in COLUMNS[name]
    }
    for label, theirs in rows.items():
        for ours, column in (("a", "a"), ("b", "b"), ("all", "Overall")):
            assert frame.loc[label, ours].replace(" %", "") == str(wanted.loc[theirs, column])
    firsts = {"age": rows["age, mean (SD)"], "sex": ("sex, n (%)", "f")}
    firsts["stage"] = ("stage, n (%)", "1")
    for name, theirs in firsts.items():
        assert found.p_values()[name] == pytest.approx(float(wanted.loc[theirs, "P-Value"]))
        apart = f"{found.differences()[name]:.3f}"
        assert apart == wanted.loc[theirs, "SMD (a,b)"].removeprefix("-")
        assert found.everyone.missing(name) == int(wanted.loc[theirs, "Missing"] or 0)
    # tableone has the difference of means of a column with a median, too
    days = wanted.loc[("days, median [Q1,Q3]", ""), "SMD (a,b)"]
    assert f"{found.differences()['days']:.3f}" == days.removeprefix("-")
    assert "days" not in found.p_values()


def test_three_groups_are_compared_by_analysis_of_variance():
    study = TableOne({"age": "mean", "stage": [1, 2, 3]}, by="region", groups=["x", "y", "z"])
    wanted = pooled_table(columns=["age", "stage"], categorical=["stage"], groupby="region")
    found = study.test(SITES, quiet=True).result
    for name, theirs in {"age": ("age, mean (SD)", ""), "stage": ("stage, n (%)", "1")}.items():
        assert found.p_values()[name] == pytest.approx(float(wanted.loc[theirs, "P-Value"]))
        pairs = wanted.loc[theirs, ["SMD (x,y)", "SMD (x,z)", "SMD (y,z)"]]
        largest = max(pair.removeprefix("-") for pair in pairs)
        assert found.to_frame()["difference"].iloc[1 if name == "age" else 2] == largest
    assert found.to_frame()["test"].iloc[1] == "ANOVA"
    assert "of the two groups that differ most" in str(found)


def test_small_tables_are_fishers():
    table = [[3, 1], [2, 6]]
    assert compare_counts(table) == ("Fisher's exact test", stats.fisher_exact(table).pvalue)
    assert compare_counts([[3, 0], [2, 0]]) is None
    assert compare_means([(5, 1.0, 0.0), (5, 1.0, 0.0)]) is None


def test_a_level_that_nobody_has_changes_no_difference():
    assert difference_of_counts([4, 0, 6], [7, 0, 3]) == difference_of_counts([4, 6], [7, 3])


@pytest.mark.parametrize(
    ("p", "text"), [(1.28e-12, "<0.0001"), (0.0001, "0.0001"), (0.17406, "0.1741"), (1, "1.0000")]
)
def test_p_values_are_printed_as_papers_do(p, text):
    assert p_text(p) == text


def test_each_hospital_has_figures_of_its_own(found):
    frame = found.to_frame(hospitals=True)
    assert list(frame.columns[-3:]) == ["at node-0", "at node-1", "at node-2"]
    for node, rows in zip(found.at, SITES, strict=True):
        assert frame.loc["n", f"at {node}"] == str(len(rows))
        for arm, part in rows.groupby("arm"):
            figures = found.to_json()["hospitals"][node][arm]
            assert figures["age"]["n"] == part["age"].count()
            assert figures["age"]["missing"] == part["age"].isna().sum()
            assert figures["age"]["mean"] == pytest.approx(part["age"].mean(), rel=1e-12)
            levels = [each["n"] for each in figures["stage"]["levels"]]
            assert levels == [(part["stage"] == level).sum() for level in (1, 2, 3)]
    assert found.to_html().count("<table") == 2
    json.dumps(found.to_json(), allow_nan=False)


def test_without_groups_and_with_secure_sums():
    study = TableOne({"age": "mean", "sex": ["f", "m"]})
    found = [study.test(SITES, quiet=True, secure=secure).result for secure in (None, True)]
    assert found[0].to_frame().equals(found[1].to_frame())
    assert found[0].to_frame().loc["n", "all"] == "240"
    assert list(found[1].to_frame(hospitals=True)) == ["all", "missing"]
    assert (found[1].at, found[1].to_html().count("<table")) == ({}, 1)


def test_a_median_has_no_secure_sum():
    with pytest.raises(ModelError, match="median of days does not go with secure sums"):
        STUDY.test(SITES, quiet=True, secure=True)


def test_what_a_rule_keeps_is_no_zero():
    few = TABLE.iloc[:60].assign(sex=["m"] * 4 + ["f"] * 56, arm=["a", "b"] * 30)
    rules = [MinCount(5, differences=False), Strict()]
    others = TABLE.iloc[60:]
    sites = [few, others.iloc[:90], others.iloc[90:]]
    found = STUDY.test(sites, quiet=True, disclosure=rules).result
    frame = found.to_frame(hospitals=True)
    for arm in "ab":
        known = ((others["sex"] == "m") & (others["arm"] == arm)).sum()
        assert frame.loc["sex = m, n (%)", arm] == f"≥ {known}"
    assert frame.loc["sex = m, n (%)", "at node-0"] == "withheld"
    assert frame.loc["sex = m, n (%)", "all"].startswith("≥ ")
    assert "sex" not in found.p_values()
    assert "sex" not in found.differences()
    assert "at least so many" in str(found)
    [men] = [level for level in found.to_json()["all"]["sex"]["levels"] if level["level"] == "m"]
    assert (men["n"], men["share"]) == (None, None)


def test_a_mean_without_a_hospital_is_marked():
    """Three people at the first hospital: their mean does not leave, and nobody compares."""
    sites = [TABLE[TABLE["age"].notna()].iloc[:3], *SITES[1:]]
    study = TableOne({"age": "mean", "days": "median", "stage": [1, 2, 3]})
    rules = [MinCount(5, differences=False)]
    found = study.test(sites, quiet=True, disclosure=rules).result
    others = pd.concat(sites[1:])["age"]
    frame = found.to_frame(hospitals=True)
    assert frame.loc["age, mean (SD)", "all"] == f"{others.mean():.1f} ({others.std():.1f})*"
    assert frame.loc["days, median [quartiles]", "all"].endswith("]*")
    assert set(frame["at node-0"]) == {"withheld"}
    assert frame.loc["age, mean (SD)", "missing"] == "withheld"
    for mark in ("Withheld: kept back", "*: without a hospital", "rougher"):
        assert mark in str(found)


def test_its_picture_is_stable_and_complete(found):
    picture = found.to_svg()
    assert picture == STUDY.test(SITES[::-1], quiet=True).result.to_svg()
    for text in ("Table 1", "arm", "age, mean (SD)", found.to_frame().loc["n", "a"]):
        assert f">{text}" in picture
    assert found.to_png().startswith(b"\x89PNG")


def test_an_html_name_is_shown_not_run():
    study = TableOne({"<b>": ["<i>", "m"]}, table=lambda rows: rows.rename(columns={"sex": "<b>"}))
    page = study.test(SITES, quiet=True).result.to_html()
    assert "&lt;b&gt;, n (%)" in page
    assert "<b>" not in page
    assert "<i>" not in page


def test_a_model_writes_its_files(tmp_path):
    study = TableOne({"age": "mean", "sex": ["f", "m"]}, by="arm", groups=["a", "b"])
    model = study.model()
    StarModelTester(SITES, study.analyzer, model.strategy(), "s3", filename=tmp_path, quiet=True)
    csv = pd.read_csv(tmp_path / "table-one.csv", index_col=0)
    assert csv.loc["n", "at node-1"] == "40"
    assert json.loads((tmp_path / "table-one.json").read_text())["all"]["n"] == 240
    for name in ("table-one.html", "table-one.svg", "table-one.txt"):
        assert "age, mean (SD)" in (tmp_path / name).read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"columns": ["age"]}, "must be a dict"),
        ({"columns": {"age": "mode"}}, "age must be mean, median, or a list"),
        ({"columns": {"age": 3}}, "age must be mean, median, or a list"),
        ({"columns": {"sex": ["f", "f"]}}, "two labels are alike"),
        ({"columns": {"age": "mean"}, "by": "arm"}, "go together"),
        ({"columns": {"age": "mean"}, "by": "arm", "groups": 3}, "go together"),
        ({"columns": {"age": "mean"}, "by": ["arm"], "groups": [1]}, "by must be the name"),
        ({"columns": {"age": "mean"}, "by": "arm", "groups": ["all", "b"]}, "differ as text"),
        ({"columns": {"age": "mean"}, "by": "arm", "groups": [1, "1"]}, "differ as text"),
    ],
)
def test_an_impossible_table_is_refused_when_built(arguments, words):
    with pytest.raises(ModelError) as caught:
        TableOne(**arguments)
    assert words in caught.value.message


def test_a_column_that_is_not_there():
    with pytest.raises(DataError, match="no column stage"):
        STUDY.test([SITES[0].drop(columns="stage"), *SITES[1:]], quiet=True)


def test_a_table_function_that_makes_none_is_told():
    study = TableOne({"age": "mean"}, table=lambda data: None)
    with pytest.raises(DataError, match="must return a DataFrame, not NoneType"):
        study.test([pd.DataFrame({"age": [1.0]})], quiet=True)
