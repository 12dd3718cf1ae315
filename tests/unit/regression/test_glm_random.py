"""Random designs of every family: the federated fit is statsmodels' of all rows together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regression_data import FAMILIES, LINKS, pooled, same

from flame_flwr.regression import GLM


@dataclass(frozen=True)
class Kind:
    """A family with its link, a linear predictor in its middle, and how outcomes are drawn."""

    family: Any
    middle: float
    draw: Any

    def __repr__(self) -> str:
        return f"{type(self.family).__name__}, {type(self.family.link).__name__}"


def binomial(rng, means):
    return (rng.random(len(means)) < means).astype(int)


def poisson(rng, means):
    return rng.poisson(means)


def gaussian(rng, means):
    return rng.normal(means, 0.3)


def gamma(rng, means):
    return rng.gamma(5, means / 5)


def inverse_gaussian(rng, means):
    return rng.wald(means, 5)


def negative_binomial(rng, means):
    return rng.poisson(rng.gamma(2, means / 2))


NEGATIVE_BINOMIAL = LINKS.NegativeBinomial(alpha=0.5)
KINDS = [  # of each family the canonical link, and another one
    Kind(FAMILIES.Binomial(), -0.3, binomial),
    Kind(FAMILIES.Binomial(LINKS.Probit()), -0.3, binomial),
    Kind(FAMILIES.Poisson(), 0.3, poisson),
    Kind(FAMILIES.Poisson(LINKS.Sqrt()), 1.5, poisson),
    Kind(FAMILIES.Gaussian(), 0.5, gaussian),
    Kind(FAMILIES.Gaussian(LINKS.Log()), 0.5, gaussian),
    Kind(FAMILIES.Gamma(), 1.0, gamma),
    Kind(FAMILIES.Gamma(LINKS.Log()), 0.5, gamma),
    Kind(FAMILIES.InverseGaussian(), 1.0, inverse_gaussian),
    Kind(FAMILIES.InverseGaussian(LINKS.Log()), 0.0, inverse_gaussian),
    Kind(FAMILIES.NegativeBinomial(NEGATIVE_BINOMIAL, alpha=0.5), -1.0, negative_binomial),
    Kind(FAMILIES.NegativeBinomial(alpha=0.5), 0.5, negative_binomial),
]


def rows(rng, kind, parameters, sites, offset):
    """Return a formula and a table; no hospital but the first has every level."""
    n = 60 * parameters + 20 * sites
    labelled = parameters > 3
    names = [f"x{number}" for number in range(parameters - (3 if labelled else 1))]
    table = pd.DataFrame(rng.uniform(-1, 1, (n, len(names))), columns=names)
    slopes = rng.uniform(-0.3, 0.3, len(names)) / np.sqrt(max(len(names), 1))
    eta = kind.middle + table.to_numpy() @ slopes
    table += rng.normal(0, 3, len(names))
    table["site"] = np.arange(n) % sites
    table["stage"] = rng.choice(["I", "II", "III"], n)
    table.loc[(table["site"] > 0) & (table["stage"] == "II"), "stage"] = "I"
    table.loc[(table["site"] > 1) & (table["stage"] == "III"), "stage"] = "I"
    table["offset"] = rng.uniform(-0.1, 0.1, n)
    table["often"] = rng.integers(1, 4, n)
    table["y"] = kind.draw(rng, kind.family.link.inverse(eta + offset * table["offset"]))
    right = [*names, "stage"] if labelled else names
    return f"y ~ {' + '.join(right) or '1'}", table


def check(seed, sites, parameters, kind, weighted, offset):
    formula, table = rows(np.random.default_rng(seed), kind, parameters, sites, offset)
    more = {"freq_weights": "often"} if weighted else {}
    more |= {"offset": "offset"} if offset else {}
    splits = [table[table["site"] == site] for site in range(sites)]
    found = GLM(formula, kind.family, **more).test(splits, quiet=True).result
    wanted = pooled(table, formula, kind.family, **more)
    assert len(found.columns) == parameters
    same(found, wanted, 1e-9)


def designs(sites, parameters):
    return given(
        seed=st.integers(0, 10**6),
        sites=st.integers(2, sites),
        parameters=st.integers(1, parameters),
        kind=st.sampled_from(KINDS),
        weighted=st.booleans(),
        offset=st.booleans(),
    )


@settings(max_examples=6, deadline=None)
@designs(sites=4, parameters=6)
def test_any_split_of_any_design(seed, sites, parameters, kind, weighted, offset):
    check(seed, sites, parameters, kind, weighted, offset)


@pytest.mark.exhaustive  # `make test` has a few small ones
@settings(max_examples=60, deadline=None)
@designs(sites=20, parameters=30)
def test_any_split_of_any_large_design(seed, sites, parameters, kind, weighted, offset):
    check(seed, sites, parameters, kind, weighted, offset)
