"""A federated GLM is the pooled one: statsmodels computes every number a second way."""

from __future__ import annotations

import json

import numpy as np
import pytest
import statsmodels.formula.api as smf
from regression_data import FAMILIES, LINKS, close, hospitals, patients, pooled, same
from statsmodels.stats.sandwich_covariance import cov_white_simple

from flame_flwr.errors import DataError
from flame_flwr.regression import GLM

TABLE = patients()
SITES = hospitals(TABLE)
FORMULA = "age*sex + C(stage) + year"


def fit(formula, family, sites=SITES, **more):
    return GLM(formula, family, **more).test(sites, quiet=True).result


@pytest.mark.parametrize(
    ("outcome", "family", "more"),
    [
        ("died", FAMILIES.Binomial(), {}),
        ("died", FAMILIES.Binomial(LINKS.Probit()), {"offset": "months"}),
        ("visits", FAMILIES.Poisson(), {"exposure": "months"}),
        ("visits", FAMILIES.NegativeBinomial(alpha=0.7), {}),
        ("cost", FAMILIES.Gamma(), {}),
        ("cost", FAMILIES.Gamma(LINKS.Log()), {"freq_weights": "often"}),
        ("cost", FAMILIES.InverseGaussian(LINKS.Log()), {}),
        ("pain", FAMILIES.Gaussian(), {"freq_weights": "often", "offset": "months"}),
        ("cost", FAMILIES.Gaussian(LINKS.Log()), {}),
    ],
    ids=lambda value: type(getattr(value, "link", value)).__name__,
)
def test_every_family_is_that_of_all_rows(outcome, family, more):
    formula = f"{outcome} ~ {FORMULA}"
    same(fit(formula, family, **more), pooled(TABLE, formula, family, **more))


@pytest.mark.parametrize("robust", ["HC0", "HC1", "cluster"])
def test_robust_errors_have_the_observed_information(robust):
    family, formula = FAMILIES.Binomial(LINKS.Probit()), "died ~ age + sex"
    subject = "person" if robust == "cluster" else None
    sites = [TABLE[TABLE["person"] % 3 == remainder] for remainder in range(3)]
    found = fit(formula, family, sites, robust=robust, subject=subject)
    wanted = pooled(TABLE, formula, family, "HC0" if robust == "HC1" else robust, subject)
    # statsmodels' GLM takes HC1 for HC0: its own function does not, and neither does its OLS
    ours = cov_white_simple(wanted, use_correction=True) if robust == "HC1" else wanted.cov_params()
    close(found.cov_params(), ours, 1e-9)
    assert found.covariance_type == robust


def test_hc1_is_that_of_statsmodels_ols():
    found = fit("pain ~ age + months", "gaussian", robust="HC1")
    wanted = smf.ols("pain ~ age + months", TABLE).fit(cov_type="HC1")
    close(found.cov_params(), wanted.cov_params(), 1e-9)
    close(found.pvalues, wanted.pvalues, 1e-8)


def test_formulas_learn_of_all_rows():
    family = FAMILIES.Binomial()
    knots = "bs(age, knots=[55, 65], lower_bound=20, upper_bound=100)"
    for right in ("center(age)*sex + np.log(months)", f"scale(months) + {knots}", "0 + C(stage)"):
        same(fit(f"died ~ {right}", family), pooled(TABLE, f"died ~ {right}", family), 1e-9)


@pytest.mark.parametrize("robust", [None, "HC0"])
def test_an_intercept_for_each_hospital(robust):
    sites = [TABLE.iloc[:70], TABLE.iloc[70:150], TABLE.iloc[150:]]
    names = [f"node-{place}" for place in range(3)]
    table = TABLE.assign(site=np.repeat(names, [70, 80, 90]))
    found = fit("visits ~ age + sex + year", "poisson", sites, site_effects=True, robust=robust)
    # the reference has no year, as its own inverse loses digits of it
    wanted = pooled(
        table.assign(year=table["year"] - 2018),
        "visits ~ 0 + site + age + sex + year",
        FAMILIES.Poisson(),
        robust,
    )
    slopes = ["age", "sex[T.m]", "year"]
    assert list(found.columns) == [*(f"site[{name}]" for name in names), *slopes]
    close(found.params[slopes], wanted.params[slopes], 1e-9)
    close(found.bse[slopes], wanted.bse[slopes], 1e-9)
    shifted = found.params[:3] + 2018 * found.params["year"]
    close(shifted, wanted.params[:3], 1e-9)
    close(found.predict(sites[1], site="node-1"), wanted.fittedvalues[70:150], 1e-9)
    with pytest.raises(DataError, match="name the site"):
        found.predict(sites[1])


@pytest.mark.parametrize(
    ("family", "outcome"), [(FAMILIES.Binomial(), "died"), (FAMILIES.Poisson(), "visits")]
)
def test_rounds_are_three_more_than_scoring_steps(family, outcome):
    y = TABLE[outcome].to_numpy(float)
    x = np.column_stack([np.ones(len(y)), (TABLE["age"] - 60) / 10, TABLE["sex"] == "m"])
    means = family.starting_mu(y)
    before, steps = None, 0
    while True:
        slopes = family.link.deriv(means)
        weights = 1 / (slopes**2 * family.variance(means))
        information = (x.T * weights) @ x
        coefficients = np.linalg.solve(
            information, (x.T * weights) @ (family.link(means) + (y - means) * slopes)
        )
        steps += 1
        errors = np.sqrt(np.diag(np.linalg.inv(information)))
        if before is not None and np.all(np.abs(coefficients - before) < 1e-11 * errors):
            break
        before, means = coefficients, family.link.inverse(x @ coefficients)
    tester = GLM(f"{outcome} ~ age + sex", family).test(SITES, quiet=True)
    assert tester.rounds <= steps + 3
    assert tester.result.steps == steps


@pytest.mark.parametrize("sites", [SITES, [*SITES, TABLE.iloc[:0]]])
def test_an_intercept_alone(sites):
    same(fit("visits ~ 1", "poisson", sites), pooled(TABLE, "visits ~ 1", FAMILIES.Poisson()))


def test_declared_levels_have_their_first_as_the_reference():
    found = fit("died ~ sex + C(stage, levels=[3, 1, 2])", "binomial", levels={"sex": ["m", "f"]})
    assert "sex[T.f]" in found.columns
    other = pooled(TABLE, "died ~ sex + C(stage)", FAMILIES.Binomial())
    close(found.params["sex[T.f]"], -other.params["sex[T.m]"], 1e-10)


def test_an_empty_hospital_counts_as_it_is():
    nobody = TABLE.iloc[:0]
    missing = TABLE.iloc[:9].assign(sex=None)
    well = TABLE[TABLE["died"] == 0].iloc[:20]
    found = fit("died ~ age + sex", "binomial", [nobody, missing, well, TABLE.drop(well.index)])
    same(found, pooled(TABLE, "died ~ age + sex", FAMILIES.Binomial()))
    assert found.nobs_at == {"node-2": 20, "node-3": 220}
    assert found.events_at == {"node-3": TABLE["died"].sum()}


def test_seconds_since_1970_lose_no_digits():
    table = TABLE.assign(seconds=1.7e9 + TABLE["age"].round())
    found = fit("pain ~ seconds", "gaussian", [table.iloc[:70], table.iloc[70:]])
    wanted = pooled(
        table.assign(seconds=table["seconds"] - 1.7e9), "pain ~ seconds", FAMILIES.Gaussian()
    )
    close(found.params["seconds"], wanted.params["seconds"], 1e-10)
    close(found.bse["seconds"], wanted.bse["seconds"], 1e-10)
    far = np.array([1.0, -1.7e9])  # the intercept 1.7e9 seconds away
    close(found.bse["Intercept"] ** 2, far @ wanted.cov_params() @ far, 1e-10)


def test_the_result_prints_predicts_and_travels():
    found = fit("died ~ age + C(stage)", "binomial", robust="HC0")
    wanted = pooled(TABLE, "died ~ age + C(stage)", FAMILIES.Binomial())
    close(found.predict(TABLE), wanted.fittedvalues, 1e-10)
    frame = found.to_frame()
    close(frame["odds ratio"], np.exp(wanted.params), 1e-9)
    assert "C(stage)[T.2]" in str(found)
    assert "<table" in found._repr_html_()
    assert found.forest_plot() == found.forest_plot()
    assert "<svg" in found.forest_plot()._repr_svg_()  # a notebook draws it
    form = json.loads(json.dumps(found.to_json()))
    assert form["coefficients"] == found.params.tolist()
    assert form["nobs_at"] == found.nobs_at
