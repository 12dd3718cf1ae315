"""Hospitals of unlike size and kind, and statsmodels' answer on all their rows together."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import statsmodels.api as sm
from formulaic import Formula

FAMILIES = sm.families
LINKS = FAMILIES.links


def patients(n=240, seed=3):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": rng.normal(60, 10, n).round(1),
            "sex": rng.choice(["f", "m"], n),
            "stage": rng.integers(1, 4, n),
            "year": rng.integers(2015, 2022, n),
            "often": rng.integers(1, 4, n),
            "months": rng.uniform(0.5, 3, n),
            "person": rng.integers(0, 90, n),
        }
    )
    risk = -2 + 0.03 * table["age"] - 0.5 * (table["sex"] == "m") + 0.2 * table["stage"]
    table["died"] = (rng.random(n) < 1 / (1 + np.exp(-risk))).astype(int)
    table["visits"] = rng.poisson(np.exp(risk / 2))
    table["cost"] = rng.gamma(2, np.exp(risk / 3) / 2)
    table["pain"] = risk + rng.normal(size=n)
    return table


def followed_patients(n=200):
    """Patients of four hospitals, followed for some months."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame(
        {
            "age": rng.normal(60, 10, n).round(1),
            "stage": rng.choice(["I", "II", "III"], n),
            "ward": rng.choice(["a", "b"], n),
            "since": rng.integers(0, 4, n),
        }
    )
    risk = 0.03 * (table["age"] - 60) + 0.6 * (table["stage"] == "III")
    table["months"] = table["since"] + np.ceil(rng.exponential(12 * np.exp(-risk)))  # many ties
    table["died"] = rng.integers(0, 3, n) > 0
    table["site"] = np.repeat([0, 1, 2, 3], [20, 50, 40, 90])
    return table.astype({"died": int})


def hospitals(table):
    """Three of them: the first has no men, and the second none of stage 3."""
    first = table[(table["sex"] == "f") & (table["age"] < 55)]
    rest = table.drop(first.index)
    second = rest[rest["stage"] < 3].iloc[:60]
    return [first, second, rest.drop(second.index)]


def pooled(table, formula, family, robust=None, subject=None, **columns):
    """Fit all rows with statsmodels, as exactly as it can."""
    left, _, right = formula.partition("~")
    design = Formula(right).get_model_matrix(table)
    more = {key: table[name] for key, name in columns.items()}
    kinds = {"groups": table[subject].to_numpy()} if subject else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sm.GLM(table[left.strip()], design, family=family, **more).fit(
            tol=1e-14,
            tol_criterion="params",
            maxiter=300,
            cov_type=robust or "nonrobust",
            cov_kwds=kinds,
        )


def close(found, wanted, relative):
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=relative, atol=0)


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
