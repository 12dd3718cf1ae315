"""Steps to a maximum, over sums that are given: when they are corrected, and when not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from flame_flwr.regression import GLM
from flame_flwr.regression.newton import Path, next_step
from flame_flwr.statistics import ScoreInformation


def sums(step, objective=1.0, outside=0.0):
    """Return sums of one column whose step is the given one, with standard errors of 1."""
    figures = {"objective": objective, "outside": outside, "edge": 0.0}
    return ScoreInformation.from_data(["x"], 9, [Fraction(step)], [Fraction(1)], figures)


def after(step, **more):
    """Return where steps have come to: to 1, by a step that was as long as the given one."""
    one = np.ones(1)
    kept = {"objective": 1.0, "rows": 9, "errors": one, "size": step, "steps": 4}
    return Path(one, one - step, step=np.full(1, step), **kept | more)


def test_a_step_of_rounding_is_not_corrected():
    """Two of them are alike by chance: a secant through them leads a hundred times as far."""
    found = next_step(after(5e-9), sums(5.05e-9), lambda _: 1.0)
    assert found.settled
    assert not found.corrected
    assert found.coefficients == pytest.approx([1 + 5.05e-9], rel=1e-15)


@pytest.mark.parametrize("bad", [{"objective": 2.0}, {"outside": 1.0}])
def test_a_correction_astray_gives_way_to_plain_steps(bad):
    """No share of a direction that leads uphill is good, and each try is a round."""
    corrected = next_step(after(0.04), sums(0.036), lambda _: 1.0)
    assert corrected.corrected
    assert corrected.coefficients == pytest.approx([1.36])
    plain = next_step(corrected, sums(0.0, **bad), lambda _: 1.0)
    assert plain.coefficients == pytest.approx([1.036])
    assert (plain.halvings, plain.corrected) == (0, False)
    assert not next_step(plain, sums(0.03), lambda _: 1.0).corrected
    halved = next_step(plain, sums(0.0, **bad), lambda _: 1.0)
    assert halved.coefficients == pytest.approx([1.018])


@pytest.mark.parametrize("seed", [1, 9])
def test_a_value_of_a_long_tail_separates_nothing(seed):
    """On the way to the maximum errors grow a hundredfold, and steps are long, but shrink."""
    rng = np.random.default_rng(seed)
    marker = np.exp(2 * rng.normal(size=80))
    ill = (rng.random(80) < 1 / (1 + np.exp(1 - 4 * marker))).astype(int)
    table = pd.DataFrame({"marker": marker, "ill": ill})
    found = GLM("ill ~ marker", "binomial").test([table[:30], table[30:]], quiet=True).result
    wanted = sm.GLM(ill, sm.add_constant(marker), family=sm.families.Binomial()).fit(
        tol=1e-12, maxiter=99
    )
    np.testing.assert_allclose(found.params, wanted.params, rtol=1e-9)
    np.testing.assert_allclose(found.bse, wanted.bse, rtol=1e-6)
