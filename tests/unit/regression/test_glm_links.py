"""Links with means that the family cannot have: steps are halved, shrink slowly, or end nowhere."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from regression_data import FAMILIES, LINKS

from flame_flwr.errors import DataError
from flame_flwr.regression import GLM
from flame_flwr.regression.families import GLMRows, scoring

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of statsmodels, that they have
    RISKS, SUMS = FAMILIES.Binomial(LINKS.Log()), FAMILIES.Poisson(LINKS.Identity())


def patients(family, seed):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.uniform(0, 1, (150, 2)), columns=["a", "b"])
    if family is RISKS:
        means = np.exp(-0.1 - table @ [0.8, 0.9])
        return table.assign(y=(rng.random(150) < means).astype(int))
    return table.assign(y=rng.poisson(0.05 + table @ [0.4, 0.45]))


def test_a_first_step_out_of_the_family_goes_back_to_the_mean():
    table = patients(RISKS, 7)
    found = GLM("y ~ a + b", RISKS).test([table[:50], table[50:]], quiet=True).result
    check(found, table, RISKS)


def test_steps_that_shrink_slowly_go_on_to_the_end():
    table = patients(SUMS, 0)
    tester = GLM("y ~ a + b", SUMS).test([table[:50], table[50:]], quiet=True)
    assert tester.rounds > 40
    check(tester.result, table, SUMS)


def check(found, table, family):
    """Compare with Newton's method, on the observed information of statsmodels."""
    model = sm.GLM(table["y"], sm.add_constant(table[["a", "b"]]), family=family)
    wanted = found.params.to_numpy()
    for _ in range(5):
        slopes = model.hessian(wanted, scale=1.0, observed=True)
        wanted = wanted - np.linalg.solve(slopes, model.score(wanted, scale=1.0))
    errors = np.maximum(np.abs(wanted), found.bse)
    assert (np.abs(found.params - wanted) / errors).max() < 1e-10


@pytest.mark.parametrize(("family", "seed"), [(RISKS, 1), (SUMS, 12)])
def test_a_maximum_at_the_edge_of_the_means_is_none(family, seed):
    table = patients(family, seed)
    with pytest.raises(DataError, match="with this link the maximum is at the edge of the means"):
        GLM("y ~ a + b", family).test([table[:50], table[50:]], quiet=True)


@pytest.mark.parametrize(("figure", "intercept"), [("outside", 0.5), ("edge", 1e-8)])
def test_of_how_many_rows_a_mean_is_none_does_not_leave(figure, intercept):
    """Coefficients that a server chooses would count the rows on one side of them."""
    table = patients(SUMS, 0)[["a", "b"]].to_numpy() - [1.0, 0.0]
    rows = GLMRows(table[:, :1], np.ones(150), np.full(150, intercept), np.ones(150))
    _, _, figures = scoring(SUMS, rows, np.array([1.0 if figure == "outside" else 0.0]), mean=1.0)
    assert figures[figure] == 1.0
