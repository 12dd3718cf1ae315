"""Links with means that the family cannot have: steps are halved, shrink slowly, or end nowhere."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import regression_data
import statsmodels.api as sm
from regression_data import FAMILIES, LINKS

from flame_flwr.errors import DataError
from flame_flwr.regression import GLM
from flame_flwr.regression.families import GLMRows, scoring

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of statsmodels, that they have
    RISKS, SUMS = FAMILIES.Binomial(LINKS.Log()), FAMILIES.Poisson(LINKS.Identity())
    SHARES, MEANS = FAMILIES.Binomial(LINKS.Identity()), FAMILIES.Gaussian(LINKS.Log())


def patients(family, seed):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.uniform(0, 1, (150, 2)), columns=["a", "b"])
    if family is RISKS:
        means = np.exp(-0.1 - table @ [0.8, 0.9])
        return table.assign(y=(rng.random(150) < means).astype(int))
    return table.assign(y=rng.poisson(0.05 + table @ [0.4, 0.45]))


def test_a_wild_first_step_returns_to_means():
    table = patients(RISKS, 7)
    found = GLM("y ~ a + b", RISKS).test([table[:50], table[50:]], quiet=True).result
    check(found, table, RISKS)


def test_slowly_shrinking_steps_reach_the_end():
    table = patients(SUMS, 0)
    tester = GLM("y ~ a + b", SUMS).test([table[:50], table[50:]], quiet=True)
    assert 20 < tester.rounds < 40
    check(tester.result, table, SUMS)


@pytest.mark.parametrize(
    ("left", "right", "family", "seed"),
    [
        ("visits", ["heavy"], SUMS, 3),  # to and fro about the maximum, ever further
        ("pain", ["heavy"], MEANS, 11),  # to and fro, halved every other time
        ("died", ["spread", "age"], SHARES, 2),  # half a percent shorter each time
    ],
)
def test_fishers_steps_alone_would_not_arrive(left, right, family, seed):
    rng = np.random.default_rng(seed)
    table = regression_data.patients(120, seed).assign(
        heavy=rng.standard_cauchy(120), spread=np.exp(3 * rng.normal(size=120))
    )
    study = GLM(f"{left} ~ {' + '.join(right)}", family)
    tester = study.test([table[:50], table[50:]], quiet=True)
    assert tester.rounds < 80
    check(tester.result, table, family, left, right, 1e-8)


def test_nearly_collinear_columns_end_at_rounding():
    """With coefficients of 1e7 a predictor has the digits of 1e-9, and steps shrink no further."""
    table = regression_data.patients(150, 1)
    table["near"] = table["age"] + 3e-8 * np.random.default_rng(2).normal(size=150)
    family = FAMILIES.Binomial(LINKS.Cauchy())
    tester = GLM("died ~ age + near", family).test([table[:50], table[50:]], quiet=True)
    assert tester.rounds < 30
    found = tester.result
    design = sm.add_constant(table[["age", "near"]].assign(near=table["near"] - table["age"]))
    wanted = sm.GLM(table["died"], design, family=family).fit(tol=1e-14, maxiter=300)
    assert found.llf == pytest.approx(wanted.llf, rel=1e-8)
    np.testing.assert_allclose(found.tvalues["near"], wanted.tvalues["near"], rtol=1e-5)


def test_a_root_as_link_has_positive_predictors_alone():
    """A predictor and its negative have one mean; R's `sqrt` link refuses the negative, too."""
    table = regression_data.patients(300)
    table["group"] = (np.random.default_rng(1).random(300) < 0.2).astype(int)
    table["visits"] = table["visits"].where(table["group"] == 0, 0)
    root = FAMILIES.Poisson(LINKS.Sqrt())
    with pytest.raises(DataError, match="with this link the maximum is at the edge of the means"):
        GLM("visits ~ age + group", root).test([table[:90], table[90:]], quiet=True)


def test_an_outcome_too_large_wants_another_unit():
    table = regression_data.patients(60).assign(cost=lambda rows: rows["cost"] * 1e30)
    with pytest.raises(DataError, match="Give the outcome in another unit"):
        GLM("cost ~ age", "gamma").test([table[:20], table[20:]], quiet=True)


def check(found, table, family, left="y", right=("a", "b"), within=1e-10):
    """Compare with Newton's method, on the observed information of statsmodels."""
    model = sm.GLM(table[left], sm.add_constant(table[list(right)]), family=family)
    wanted = found.params.to_numpy()
    for _ in range(5):
        slopes = model.hessian(wanted, scale=1.0, observed=True)
        wanted = wanted - np.linalg.solve(slopes, model.score(wanted, scale=1.0))
    errors = np.maximum(np.abs(wanted), found.bse)
    assert (np.abs(found.params - wanted) / errors).max() < within


@pytest.mark.parametrize(("family", "seed"), [(RISKS, 1), (SUMS, 12)])
def test_a_maximum_at_the_edge_is_none(family, seed):
    table = patients(family, seed)
    with pytest.raises(DataError, match="with this link the maximum is at the edge of the means"):
        GLM("y ~ a + b", family).test([table[:50], table[50:]], quiet=True)


@pytest.mark.parametrize(("figure", "intercept"), [("outside", 0.5), ("edge", 1e-8)])
def test_counts_of_rows_without_mean_stay(figure, intercept):
    """Coefficients that a server chooses would count the rows on one side of them."""
    table = patients(SUMS, 0)[["a", "b"]].to_numpy() - [1.0, 0.0]
    rows = GLMRows(table[:, :1], np.ones(150), np.full(150, intercept), np.ones(150))
    _, _, figures = scoring(SUMS, rows, np.array([1.0 if figure == "outside" else 0.0]), mean=1.0)
    assert figures[figure] == 1.0
