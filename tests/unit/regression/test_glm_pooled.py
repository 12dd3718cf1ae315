"""A federated GLM is the pooled one: statsmodels computes every number a second way."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from regression_data import FAMILIES, LINKS, close, hospitals, patients, pooled
from statsmodels.stats.sandwich_covariance import cov_white_simple

from flame_flwr.errors import DataError
from flame_flwr.regression import GLM

TABLE = patients()
SITES = hospitals(TABLE)
FORMULA = "age*sex + C(stage) + year"


def fit(formula, family, sites=SITES, **more):
    return GLM(formula, family, **more).test(sites, quiet=True).result


def same(found, wanted, relative=1e-10):
    """Compare everything that statsmodels names alike."""
    assert list(found.columns) == list(wanted.params.index)
    errors = np.maximum(np.abs(wanted.params), wanted.bse)
    assert (np.abs(found.params - wanted.params) / errors).max() < relative
    for name in ("bse", "llf", "deviance", "pearson_chi2", "scale", "aic", "bic"):
        close(getattr(found, name), getattr(wanted, name), relative)
    np.testing.assert_allclose(found.pvalues, wanted.pvalues, rtol=0, atol=1e-9)
    scales = np.outer(wanted.bse, wanted.bse)
    assert (np.abs(found.cov_params() - wanted.cov_params()) / scales).to_numpy().max() < relative
    assert (np.abs(found.conf_int() - wanted.conf_int()).T / errors).to_numpy().max() < relative
    assert (found.nobs, found.df_resid) == (wanted.nobs, wanted.df_resid)


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
    # statsmodels' GLM takes HC1 for HC0: its own function does not
    ours = cov_white_simple(wanted, use_correction=True) if robust == "HC1" else wanted.cov_params()
    close(found.cov_params(), ours, 1e-9)
    assert found.covariance_type == robust


def test_what_a_formula_learns_it_learns_of_all_rows():
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


def test_declared_levels_have_their_first_as_the_reference():
    found = fit("died ~ sex + C(stage, levels=[3, 1, 2])", "binomial", levels={"sex": ["m", "f"]})
    assert "sex[T.f]" in found.columns
    other = pooled(TABLE, "died ~ sex + C(stage)", FAMILIES.Binomial())
    close(found.params["sex[T.f]"], -other.params["sex[T.m]"], 1e-10)


def test_a_hospital_without_rows_or_events_counts_for_what_it_has():
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


@settings(max_examples=5, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    sites=st.integers(2, 8),
    columns=st.integers(1, 6),
    kind=st.sampled_from(["binomial", "poisson", "gaussian"]),
)
def test_any_split_of_any_design(seed, sites, columns, kind):
    rng = np.random.default_rng(seed)
    n = 60 * columns
    names = [f"x{i}" for i in range(columns)]
    table = pd.DataFrame(rng.normal(rng.normal(0, 3), 1, (n, columns)), columns=names)
    eta = 0.3 * (table - table.mean()).sum(axis=1) / columns
    draws = {
        "binomial": lambda: (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int),
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "gaussian": lambda: eta + rng.normal(size=n),
    }
    table["y"] = draws[kind]()
    at = rng.integers(0, sites, n)
    formula = "y ~ " + " + ".join(names)
    family = {"binomial": FAMILIES.Binomial, "poisson": FAMILIES.Poisson}
    found = fit(formula, kind, [table[at == site] for site in range(sites)])
    same(found, pooled(table, formula, family.get(kind, FAMILIES.Gaussian)()), 1e-9)


def test_published_numbers_of_a_textbook():
    # Gill, "Generalized Linear Models: A Unified Approach" (2001), as R and statsmodels print it
    data = sm.datasets.scotland.load_pandas()
    table = data.data.rename(columns=str.lower)
    formula = "yes ~ " + " + ".join(name for name in table if name != "yes")
    found = fit(formula, "gamma", [table.iloc[:9], table.iloc[9:14], table.iloc[14:]])
    published = {  # statsmodels' documentation of GLM, and its tests against R
        "Intercept": -0.017765275,
        "coutax": 4.961768e-05,
        "unempf": 2.034423e-03,
        "mor": -7.181429e-05,
        "act": 1.118520e-04,
        "gdp": -1.467515e-07,
        "age": -5.186831e-04,
        "coutax_femaleunemp": -2.427174e-06,
    }
    assert set(published) <= set(found.columns)
    for name, value in published.items():
        close(found.params[name], value, 1e-5)


def test_the_result_prints_predicts_and_travels():
    found = fit("died ~ age + C(stage)", "binomial", robust="HC0")
    wanted = pooled(TABLE, "died ~ age + C(stage)", FAMILIES.Binomial())
    close(found.predict(TABLE), wanted.fittedvalues, 1e-10)
    frame = found.to_frame()
    close(frame["odds ratio"], np.exp(wanted.params), 1e-9)
    assert "C(stage)[T.2]" in str(found)
    assert "<table" in found._repr_html_()
    assert found.forest_plot() == found.forest_plot()
    assert "<svg" in found.forest_plot()
    form = json.loads(json.dumps(found.to_json()))
    assert form["coefficients"] == found.params.tolist()
    assert form["nobs_at"] == found.nobs_at
