"""Hospitals' own fits are statsmodels' of their rows, and combined as statsmodels combines them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from regression_data import close, hospitals, patients, pooled
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.stats.meta_analysis import combine_effects

from flame_flwr.errors import DataError, ModelError
from flame_flwr.privacy import MinCount, RowsPerParameter, Strict
from flame_flwr.regression import GLM, Cox
from flame_flwr.statistics import SiteFits, Statistic

TABLE = patients(600)
TABLE.loc[TABLE.index[240:], "age"] -= (
    6.0 * TABLE["died"]
)  # the third hospital is unlike the others
SITES = [TABLE.iloc[:150], TABLE.iloc[150:240], TABLE.iloc[240:]]
FORMULA = "died ~ age + sex + C(stage)"
STUDY = GLM(FORMULA, "binomial")
SAID = ["coefficient", "standard error"]


def fitted(study, sites, **more):
    return study.meta_analysis.test(sites, quiet=True, **more)


def alone(site, study=STUDY):
    return pooled(site, study.formula, sm.families.Binomial())


def check(found, estimates, errors):
    """Compare with statsmodels' combination, coefficient by coefficient."""
    tables = {effect: found.to_frame(effect) for effect in ("fixed", "random")}
    assert set(tables["random"]["tau2"] > 0) == {True, False}
    for j, column in enumerate(found.fits.columns):
        wanted = combine_effects(estimates[:, j], errors[:, j] ** 2, method_re="dl")
        row = tables["fixed"].loc[column]
        close(row[SAID], [wanted.mean_effect_fe, wanted.sd_eff_w_fe], 1e-8)
        close(row[["lower 95 %", "upper 95 %"]], wanted.conf_int()[0], 1e-8)
        close(row["Q"], wanted.q, 1e-6)
        close(row["p of Q"], wanted.test_homogeneity().pvalue, 1e-6)
        if wanted.tau2 > 0:  # DerSimonian and Laird have 0 for what is below
            row = tables["random"].loc[column]
            close(row[SAID], [wanted.mean_effect_re, wanted.sd_eff_w_re], 1e-8)
            close(row[["tau2", "I2"]], [wanted.tau2, wanted.i2], 1e-6)
        assert tables["random"].loc[column, "I2"] == pytest.approx(max(wanted.i2, 0), rel=1e-6)


def test_a_logistic_regression_is_combined_as_statsmodels_does():
    found = fitted(STUDY, SITES).result
    fits = [alone(site) for site in SITES]
    check(found, np.array([fit.params for fit in fits]), np.array([fit.bse for fit in fits]))
    sites = found.sites()
    close(sites["coefficient"], np.concatenate([fit.params for fit in fits]), 1e-8)
    assert sites.groupby("site")["n"].first().tolist() == [150, 90, 360]
    odds = found.to_frame()["odds ratio"]
    close(odds, np.exp(found.to_frame()["coefficient"]), 0)


def test_coxs_model_is_combined_too():
    table = TABLE.assign(days=np.ceil(40 * TABLE["months"]) + TABLE["often"])
    sites = [table.iloc[:150], table.iloc[150:240], table.iloc[240:]]
    found = fitted(Cox("days, died ~ age + year"), sites).result
    estimates, errors = [], []
    for site in sites:
        model = PHReg(site["days"], site[["age", "year"]], status=site["died"], ties="efron")
        b = model.fit(disp=0).params
        for _ in range(20):
            b = b - np.linalg.solve(model.hessian(b), model.score(b))
        estimates.append(b)
        errors.append(np.sqrt(np.diag(np.linalg.inv(-model.hessian(b)))))
    check(found, np.array(estimates), np.array(errors))
    assert found.ratio == "hazard ratio"


def test_it_is_one_round_where_levels_are_declared():
    levels = {"sex": ["f", "m"], "stage": [1, 2, 3]}
    declared = GLM(FORMULA, "binomial", levels=levels)
    assert (declared.meta_analysis.is_agreed, STUDY.meta_analysis.is_agreed) == (True, False)
    one, two = (fitted(study, SITES) for study in (declared, STUDY))
    assert (one.rounds, two.rounds) == (1, 2)
    other = fitted(STUDY, SITES[::-1]).result
    assert one.result.fits == two.result.fits
    assert other.to_frame().equals(two.result.to_frame())
    half = GLM(FORMULA, "binomial", levels={"stage": [1, 2, 3]})
    with pytest.raises(DataError, match="the column sex holds text here"):
        fitted(half, SITES)


def test_a_hospitals_fit_leaves_out_lacking_levels():
    sites = hospitals(TABLE)  # the first has no men, the second none of stage 3
    found = fitted(STUDY, sites).result
    frame = found.to_frame()
    assert frame["hospitals"].to_dict() == {
        "Intercept": 3,
        "age": 3,
        "sex[T.m]": 2,
        "C(stage)[T.2]": 3,
        "C(stage)[T.3]": 2,
    }
    first = pooled(sites[0], "died ~ age + C(stage)", sm.families.Binomial())
    own = found.sites().query("site == 'node-0'")
    close(own["coefficient"], first.params, 1e-8)
    # of men alone the intercept would be men's
    men = fitted(GLM("died ~ age + male", "binomial"), [t.assign(male=1) for t in SITES]).result
    assert list(men.fits.columns) == ["age"]
    effects = GLM("died ~ age", "binomial", site_effects=True)
    assert list(fitted(effects, SITES).result.fits.columns) == ["age"]


def test_hospitals_without_a_fit_are_named():
    one, two, three = SITES
    others = [one.iloc[:0], one.assign(died=0), one[one["stage"] > 1]]
    found = fitted(STUDY, [one, two, three, *others]).result
    assert found.left_out == {
        "node-3": "no complete rows",
        "node-4": "no maximum",
        "node-5": "columns that cannot be told apart",
    }
    assert found.to_frame().equals(fitted(STUDY, SITES).result.to_frame())
    assert "Left out: node-3 (no complete rows); node-4 (no maximum);" in str(found)
    with pytest.raises(DataError, match="no hospital has a fit of its own"):
        fitted(STUDY, others)
    line = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]})
    found = fitted(GLM("y ~ x"), [line, line.assign(y=[1, 2, 4]), line.iloc[:2]]).result
    assert found.left_out == {"node-0": "no maximum", "node-2": "no maximum"}
    assert found.to_frame()["coefficient"].isna().all()
    assert found.to_frame("fixed")["coefficient"].notna().all()


def test_rules_leave_hospitals_out():
    one, two, three = SITES
    rare = two.assign(sex=["m"] * 2 + ["f"] * 88, died=[0, 1] * 45)
    rules = [MinCount(5), Strict()]
    found = fitted(STUDY, [one, rare, three, one.iloc[:3]], disclosure=rules).result
    assert found.left_out == {
        "node-1": "a disclosure rule",
        "node-3": "columns that cannot be told apart",
    }
    assert [fit.site for fit in found.fits.fits] == ["node-0", "node-2"]
    found = fitted(STUDY, [one, two.iloc[:40], three], disclosure=[RowsPerParameter(6)]).result
    assert found.left_out == {"node-1": "a disclosure rule"}


def test_it_prints_and_is_files():
    found = fitted(STUDY, SITES).result
    for text in (str(found), found._repr_html_()):
        for title in ("Fixed effects", "Random effects", "How much hospitals differ"):
            assert title in text
    figures = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert figures["combined"]["age"]["studies"] == 3
    picture = found.forest_plot()._repr_svg_()
    for text in ("node-0", "fixed", "random", "odds ratio", "sex[T.m]", "1.05"):
        assert f">{text}</text>" in picture
    assert ">Intercept</text>" not in picture
    only = fitted(GLM("pain ~ 1"), SITES[:1]).result
    assert ">Intercept</text>" in only.forest_plot()
    names = [name for name, _, _ in STUDY.meta_analysis.files]
    assert names[0] == "meta-analysis.csv"
    with pytest.raises(ModelError, match="fixed, random"):
        found.to_frame("mixed")
    with pytest.raises(ModelError, match="secure sums show their sum alone"):
        fitted(STUDY, SITES, secure=True)


@pytest.mark.parametrize(
    "change",
    [
        {"fits": [["a", "rows", 3, 0, [["x", 1.0, 0.0]], []]]},
        {"fits": [["a", "rows", 3, 0, [["x", 1, 0.5]], []]]},
        {"fits": [["a", "all", 3, 0, [], []]]},
        {"fits": [["a", "rows", -3, 0, [], []]]},
        {"fits": [["a", "rows", 3, 0, [], [["x", -1, 0]]]]},
        {"fits": ["a"]},
        {"left_out": [["a", "I would rather not"]]},
        {"left_out": "a"},
    ],
)
def test_forged_fits_are_refused(change):
    form = SiteFits.from_data("a", "rows", 3, 0, [("x", 1.0, 0.5)]).to_json()
    assert Statistic.from_json(form).size == 3
    with pytest.raises(ModelError):
        Statistic.from_json(form | change)
