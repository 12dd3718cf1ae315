"""Numbers that others have published: R's, and those of other frameworks' own tests.

Data are those of statsmodels and lifelines; in ``published/`` is what they do not have:
``awards.csv``, the 200 rows of the public example of vantage6's GLM (its repository v6-glm-py, the
three files of ``test/``), and ``trees.csv``, R's data set of that name, which it has as well. What
DataSHIELD documents of ``ds.glm`` is of its own sets CNSIM and SURVIVAL, of 9379 and 6388 rows,
which no package of Python has.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels
import statsmodels.api as sm
from lifelines.datasets import load_rossi

from flame_flwr.regression import GLM, Cox

HERE = Path(__file__).parent / "published"


def by_site(table):
    return [rows for _, rows in table.groupby("site")]


def thirds(table):
    return [table.iloc[rest::3] for rest in range(3)]


def scotland():
    return thirds(sm.datasets.scotland.load_pandas().data.rename(columns=str.lower))


def cpunish():
    return thirds(sm.datasets.cpunish.load_pandas().data.rename(columns=str.lower))


def awards():
    return by_site(pd.read_csv(HERE / "awards.csv"))


def trees():
    return by_site(pd.read_csv(HERE / "trees.csv"))


CASES = {
    # Gill, "Generalized Linear Models: A Unified Approach" (2001); R's numbers as statsmodels'
    # genmod/tests/results/results_glm.py, class Scotvote, has them
    "scotland": (
        scotland,
        GLM("yes ~ coutax + unempf + mor + act + gdp + age + coutax_femaleunemp", "gamma"),
        1e-6,
        {
            "Intercept": (-1.776527e-02, 1.147922e-02),
            "coutax": (4.961768e-05, 1.621577e-05),
            "unempf": (2.034423e-03, 5.320802e-04),
            "mor": (-7.181429e-05, 2.711664e-05),
            "act": (1.118520e-04, 4.057691e-05),
            "gdp": (-1.467515e-07, 1.236569e-07),
            "age": (-5.186831e-04, 2.402534e-04),
            "coutax_femaleunemp": (-2.42717498e-06, 7.460253e-07),
        },
        {"deviance": 0.087388516417, "scale": 0.003584283, "pearson_chi2": 0.0860228056},
    ),
    # the same book; R's numbers of the script in statsmodels' datasets/cpunish, class Cpunish
    "cpunish": (
        cpunish,
        GLM(
            "executions ~ income + perpoverty + perblack + np.log(vc100k96) + south + degree",
            "poisson",
        ),
        1e-5,  # R's steps end where the deviance changes by less than 1e-8
        {
            "income": (2.611017e-04, 5.187132e-05),
            "perpoverty": (7.781801e-02, 7.940193e-02),
            "perblack": (-9.493111e-02, 2.291926e-02),
            "np.log(vc100k96)": (2.969349e-01, 4.375164e-01),
            "south": (2.301183e00, 4.283826e-01),
            "degree": (-1.872207e01, 4.283961e00),
            "Intercept": (-6.801480e00, 4.146850e00),
        },
        {"deviance": 18.591641759528944, "llf": -31.92732869482515, "pearson_chi2": 24.75374835},
    ),
    # v6-glm-py, test/test.py, test_central_until_convergence_poisson
    "awards": (
        awards,
        GLM(
            "num_awards ~ prog + math",
            "poisson",
            levels={"prog": ["General", "Academic", "Vocational"]},
        ),
        1e-7,
        {
            "Intercept": (-5.247124398538717, 0.6584530709259728),
            "prog[T.Academic]": (1.0838591456207733, 0.3582529823879555),
            "prog[T.Vocational]": (0.3698092298424788, 0.441070293006936),
            "math": (0.07015239749371881, 0.010599204955928867),
        },
        {"deviance": 189.4496199102934, "nobs": 200},
    ),
    # the same, test_central_until_convergence_gaussian
    "trees": (
        trees,
        GLM("Volume ~ Girth"),
        1e-5,
        {"Intercept": (-36.94346, 3.36514), "Girth": (5.0658564, 0.247376)},
        {"deviance": 524.3025, "scale": 18.079397, "nobs": 31},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_published_numbers_of_a_glm(name):
    splits, study, digits, table, figures = CASES[name]
    found = study.test(splits(), quiet=True).result
    assert set(found.columns) == set(table)
    for column, (coefficient, error) in table.items():
        assert found.params[column] == pytest.approx(coefficient, rel=digits)
        assert found.bse[column] == pytest.approx(error, rel=digits)
    for figure, value in figures.items():
        assert getattr(found, figure) == pytest.approx(value, rel=digits)


STRATIFIED = {
    # R's coxph(Surv(time, status) ~ exog + strata(strata), ties=...), and with Surv(entry, ...), in
    # statsmodels' duration/tests/results: survival.R and survival_r_results.py
    ("efron", False): (
        (-0.5530876, -0.3331652, -0.128381, 0.3503472, 0.6397813),
        (0.1969338, 0.1614976, 0.1464088, 0.171299, 0.1800787),
    ),
    ("breslow", False): (
        (-0.53019, -0.3225739, -0.1241568, 0.3246598, 0.6196859),
        (0.1954581, 0.1602811, 0.1470644, 0.17121, 0.1784115),
    ),
    ("efron", True): (
        (-0.421153, -0.2350069, -0.1433638, 0.3538863, 0.5934568),
        (0.1961729, 0.1724719, 0.1492979, 0.170464, 0.1861849),
    ),
    ("breslow", True): (
        (-0.3977171, -0.2166136, -0.1387623, 0.3251726, 0.5664705),
        (0.1951054, 0.1707925, 0.1501968, 0.1699932, 0.1843428),
    ),
}


@pytest.mark.parametrize(("ties", "entry"), STRATIFIED)
def test_numbers_of_rs_coxph_with_strata(ties, entry):
    folder = Path(statsmodels.__file__).parent / "duration" / "tests" / "results"
    if not folder.exists():
        pytest.skip("this statsmodels comes without the data of its tests")
    names = ["time", "status", "entry", "a", "b", "c", "d", "e"]
    table = pd.read_csv(folder / "survival_data_100_5.csv", sep=" ", names=names)
    table["site"] = np.repeat(range(5), 20)  # R's strata
    if entry:  # R leaves out who is never at risk
        table = table[table["entry"] < table["time"]]
    left = "entry, time, status" if entry else "time, status"
    found = Cox(f"{left} ~ a + b + c + d + e", ties).test(by_site(table), quiet=True).result
    coefficients, errors = STRATIFIED[ties, entry]
    np.testing.assert_allclose(found.params, coefficients, rtol=2e-6)
    np.testing.assert_allclose(found.bse, errors, rtol=2e-6)


def test_numbers_of_rs_coxph_of_rossi():
    # Fox and Weisberg, "Cox Proportional-Hazards Regression for Survival Data in R", an appendix to
    # "An R Companion to Applied Regression"; all rows at one hospital, so there are no strata
    formula = "week, arrest ~ fin + age + race + wexp + mar + paro + prio"
    found = Cox(formula).test([load_rossi()], quiet=True).result
    coefficients = [-0.37942, -0.05744, 0.31390, -0.14980, -0.43370, -0.08487, 0.09150]
    errors = [0.19138, 0.02200, 0.30799, 0.21222, 0.38187, 0.19576, 0.02865]
    np.testing.assert_allclose(found.params, coefficients, atol=6e-6)
    np.testing.assert_allclose(found.bse, errors, atol=6e-6)
    assert (found.nobs, found.events) == (432, 114)
