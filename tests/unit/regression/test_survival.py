"""Survival curves are those of the pooled rows: lifelines and statsmodels compute them, too."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from lifelines.utils import median_survival_times
from matplotlib.image import imread
from regression_data import close
from statsmodels.duration.survfunc import survdiff

from flame_flwr.errors import DataError, ModelError
from flame_flwr.privacy import MinCount, Strict
from flame_flwr.regression import Survival

GRID = range(1, 31)


def patients(n=260):
    rng = np.random.default_rng(17)
    arm = rng.choice(["a", "b", "c"], n)
    months = np.ceil(rng.exponential(np.where(arm == "a", 9, 15)))
    table = pd.DataFrame({"months": np.minimum(months, 40), "arm": arm})
    table["died"] = rng.integers(0, 4, n) > 0
    return table


TABLE = patients()
SITES = [TABLE.iloc[:70], TABLE.iloc[70:100], TABLE.iloc[100:]]
STUDY = Survival("months", "died", GRID, by="arm", groups=["a", "b"], at=[0, 10, 20, 30])


@pytest.fixture(scope="module")
def found():
    return STUDY.test(SITES, quiet=True).result


def test_its_curves_are_those_of_all_rows(found):
    frame, medians, risk = found.to_frame(), found.medians(), found.at_risk()
    for group in "ab":
        rows = TABLE[TABLE["arm"] == group]
        fitted = KaplanMeierFitter().fit(rows["months"], rows["died"])
        curve = frame[frame["group"] == group]
        close(curve["survival"], fitted.predict(list(GRID)), 1e-12)
        limits = fitted.confidence_interval_.reindex(range(31), method="ffill").iloc[1:]
        close(curve[["lower 95 %", "upper 95 %"]], limits, 1e-12)
        close(curve["at risk"], [(rows["months"] >= time).sum() for time in GRID], 0)
        assert medians.loc[group, "n"] == len(rows)
        assert medians.loc[group, "median"] == fitted.median_survival_time_
        [ends] = median_survival_times(fitted.confidence_interval_).to_numpy()
        assert medians.loc[group, ["lower 95 %", "upper 95 %"]].tolist() == ends.tolist()
        assert risk.loc[group].tolist() == [
            (rows["months"] >= time).sum() for time in (0, 10, 20, 30)
        ]


def test_its_log_rank_test_is_statsmodels():
    for groups in (["a", "b"], ["a", "b", "c"]):
        study = Survival("months", "died", range(1, 41), by="arm", groups=groups)
        found = study.test(SITES, quiet=True).result
        rows = TABLE[TABLE["arm"].isin(groups)]
        statistic, p = survdiff(rows["months"], rows["died"], rows["arm"])
        close([found.test["statistic"], found.p], [statistic, p], 1e-9)
    assert "2 degrees of freedom" in str(found)


def test_it_prints_and_is_files(found):
    others = (TABLE["arm"] == "c").sum()
    for text in (str(found), found._repr_html_()):
        assert "Log-rank test: chi-square" in text
        assert f"In no group: {others}." in text
    assert found._repr_html_().count("<svg") == 1
    figures = json.loads(json.dumps(found.to_json()))
    assert figures["curves"]["a"]["survival"] == found.curves["a"].result()["survival"]
    assert figures["log_rank"]["p"] == found.p
    picture, risk = found.plot(), found.at_risk()
    said = ["arm", "months", "Number at risk", found.test_line()]
    for text in (*said, *map(str, risk.to_numpy().ravel())):
        assert f">{text}</text>" in picture
    assert picture == STUDY.test(SITES[::-1], quiet=True).result.plot()
    pixels = imread(io.BytesIO(found.plot_png()), format="png")
    assert pixels.shape[1] == 7.1 * 300
    names = [name for name, _, _ in Survival("months", "died", GRID, png=True).files]
    assert names == [
        f"survival.{ending}" for ending in ("csv", "html", "json", "svg", "txt", "png")
    ]


def test_without_groups_and_with_secure_sums():
    study = Survival("months", "died", GRID)
    plain, masked = (study.test(SITES, quiet=True, secure=s).result for s in (None, True))
    assert plain.found == masked.found
    assert (plain.test, plain.p, plain.test_line()) == (None, None, "")
    assert list(plain.medians().index) == ["all"]
    assert plain.at_risk().columns.tolist() == ["0", "5", "10", "15", "20", "25", "30"]
    # of a curve that ends, and one that does not come down to a half
    well = study.test([TABLE.assign(died=0, months=4)], quiet=True).result
    assert "not reached" in str(well)
    assert ">30</text>" in well.plot()


def test_what_a_rule_keeps_is_no_zero():
    few = TABLE[TABLE["arm"] != "a"].iloc[:40]
    few = pd.concat([few, TABLE[TABLE["arm"] == "a"].iloc[:2]])
    rules = [MinCount(5), Strict()]
    alone = STUDY.test([few], quiet=True, disclosure=rules).result
    assert alone.at_risk().isna().all(axis=None)
    assert alone.to_frame()[["at risk", "events", "survival"]].isna().all(axis=None)
    for line in str(alone).splitlines():
        if line[:2] in ("a ", "b "):
            assert set(line.split()[1:]) == {"withheld"}
    assert alone.to_json()["log_rank"]["n"] is alone.to_json()["curves"]["a"]["n"] is None
    assert "withheld</text>" in alone.plot()
    found = STUDY.test([*SITES[::2], few], quiet=True, disclosure=rules).result
    rows = pd.concat(SITES[::2])
    assert found.medians()["n"].tolist() == [(rows["arm"] == group).sum() for group in "ab"]
    assert "At 1 hospital some or all is withheld" in str(found)
    said = " ".join(str(found).split())
    assert "At 2 hospitals small counts are moved to neighbouring times" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"times": 30}, "times must be numbers"),
        ({"times": [3]}, "at least two numbers"),
        ({"by": "arm"}, "go together"),
        ({"by": "arm", "groups": ["a"]}, "two groups or more"),
        ({"at": [0, 31]}, "at: give times from 0 to the grid's last, 30"),
        ({"table": "months.csv"}, "table must be a function"),
        ({"by": 3, "groups": ["a", "b"]}, "by must be the name of a column"),
    ],
)
def test_an_impossible_study_is_refused_when_built(arguments, words):
    with pytest.raises(ModelError) as caught:
        Survival("months", "died", **{"times": GRID, **arguments})
    assert words in caught.value.message


def test_missing_and_odd_columns_are_named():
    with pytest.raises(DataError, match="no column arm"):
        STUDY.test([SITES[0].drop(columns="arm"), *SITES[1:]], quiet=True)
    with pytest.raises(DataError, match="an event must be 1, or 0"):
        STUDY.test([SITES[0].assign(died=2), *SITES[1:]], quiet=True)
