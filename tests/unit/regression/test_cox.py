"""A federated Cox model is the pooled one stratified by hospital: statsmodels and lifelines."""

from __future__ import annotations

import numpy as np
import pytest
from formulaic import Formula
from lifelines import CoxPHFitter
from lifelines.datasets import load_rossi
from regression_data import close, followed_patients
from statsmodels.duration.hazard_regression import PHReg

from flame_flwr.errors import DataError, ModelError, PayloadError
from flame_flwr.privacy import MinCount, Strict
from flame_flwr.regression import Cox
from flame_flwr.regression.solving import SingularError

TABLE = followed_patients()
SITES = [TABLE[TABLE["site"] == site] for site in range(4)]


def pooled(table, right, ties, entry=None, strata=None):
    groups = (
        table["site"].astype(str) if strata is None else table["site"].astype(str) + table[strata]
    )
    design = Formula(right).get_model_matrix(table).drop(columns="Intercept")
    model = PHReg(
        table["months"],
        design,
        status=table["died"],
        entry=None if entry is None else table[entry],
        strata=groups.to_numpy(),
        ties=ties,
    )
    start = model.fit(disp=0).params
    for _ in range(20):  # its optimiser stops early
        start = start - np.linalg.solve(model.hessian(start), model.score(start))
    return design.columns, start, np.linalg.inv(-model.hessian(start)), model.loglike(start)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("more", [{}, {"entry": "since"}, {"strata": "ward"}])
def test_it_is_that_of_all_rows(ties, more):
    left = "since, months, died" if "entry" in more else "months, died"
    strata = {"strata": more["strata"]} if "strata" in more else {}
    study = Cox(f"{left} ~ age + stage", ties, **strata)
    # statsmodels counts who enters at the time of an event among those at risk, we do not: no ties
    table = TABLE.assign(since=TABLE["since"] + 0.5) if "entry" in more else TABLE
    found = study.test([table[table["site"] == site] for site in range(4)], quiet=True).result
    columns, params, covariance, llf = pooled(table, "age + stage", ties, **more)
    assert list(found.columns) == list(columns)
    close(found.params, params, 1e-9)
    close(found.cov_params(), covariance, 1e-9)
    close(found.llf, llf, 1e-11)
    assert (found.nobs, found.events) == (200, TABLE["died"].sum())


def test_real_data_and_lifelines():
    rossi = load_rossi()
    sites = [rossi[rossi["prio"] % 3 == rest] for rest in range(3)]
    rossi = rossi.assign(site=rossi["prio"] % 3)
    found = Cox("week, arrest ~ fin + age + mar + prio").test(sites, quiet=True).result
    wanted = CoxPHFitter().fit(
        rossi[["week", "arrest", "fin", "age", "mar", "prio", "site"]],
        "week",
        "arrest",
        strata=["site"],
        fit_options={"precision": 1e-12},
    )
    close(found.params, wanted.params_, 1e-6)
    close(found.bse, wanted.standard_errors_, 1e-6)
    close(found.to_frame()["hazard ratio"], wanted.hazard_ratios_, 1e-6)


def test_an_empty_hospital_changes_nothing():
    study = Cox("months, died ~ age + stage")
    well = TABLE.iloc[:10].assign(died=0)
    alone = study.test(SITES, quiet=True).result
    found = study.test([*SITES, well, TABLE.iloc[:0]], quiet=True).result
    close(found.params, alone.params, 1e-12)
    assert found.events_at == alone.events_at


def test_bits_with_secure_sums_and_in_any_order():
    study = Cox("months, died ~ age + stage", levels={"stage": ["I", "II", "III"]})
    plain = study.test(SITES, quiet=True).result
    other = study.test(SITES[::-1], quiet=True).result
    unmasked, masked = (
        study.test(SITES, quiet=True, secure=secure).result for secure in (False, True)
    )
    assert plain.coefficients == other.coefficients
    assert (unmasked.coefficients, unmasked.covariance) == (masked.coefficients, masked.covariance)
    close(plain.params, masked.params, 1e-12)


def test_rules_refuse_a_level_of_few_events():
    study, rules = Cox("months, died ~ age"), [MinCount(3), Strict()]
    assert study.test(SITES, quiet=True, disclosure=rules).result.events_at
    few = SITES[0].assign(died=[1] * 2 + [0] * 18)
    with pytest.raises(PayloadError, match="too few of one outcome, for a regression: all rows"):
        study.test([few, *SITES[1:]], quiet=True, disclosure=rules)


@pytest.mark.parametrize(
    ("formula", "change", "words"),
    [
        ("months, died ~ age", {"died": 2}, "died must be 0 or 1"),
        ("months, died ~ age", {"died": 0}, "no hospital has an event"),
        ("since, months, died ~ age", {"since": 99}, "months must be after since"),
        ("months, died ~ first", {"first": lambda t: (t["months"] < 3) * 1}, "'first' of the form"),
        ("months, died ~ age + twice", {"twice": lambda t: 2 * t["age"]}, "'twice' is, over all"),
    ],
)
def test_data_without_a_fit(formula, change, words):
    with pytest.raises(DataError) as caught:
        Cox(formula).test([site.assign(**change) for site in SITES], quiet=True)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"formula": "months ~ age"}, "`time, event ~`"),
        ({"formula": "months, died ~ 0 + stage"}, "no intercept in any case"),
        ({"formula": "months, died ~ age", "ties": "exact"}, "'efron' or 'breslow'"),
        ({"formula": "months, died ~ age + Intercept"}, "no column may have the name Intercept"),
        ({"formula": "months, died ~ 1"}, "nothing on its right side"),
        ({"formula": "Surv(months, died) ~ age"}, "`time, event ~`"),
        ({"formula": "months, died ~ age", "strata": ["ward", 3]}, "strata[1] must be the name"),
        ({"formula": "months, died ~ age", "strata": 3}, "strata must be the name of a column"),
        ({"formula": "months, died ~ age", "baseline": 12}, "baseline must be a list of times"),
        ({"formula": "months, died ~ age", "baseline": "12"}, "baseline must be a list of times"),
    ],
)
def test_an_impossible_study_is_refused_when_built(arguments, words):
    with pytest.raises(ModelError) as caught:
        Cox(**arguments)
    assert words in caught.value.message


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_constant_within_strata_is_named_early(seed):
    # were it rounding and not 0, its coefficient would be noise, now and then
    rng = np.random.default_rng(seed)
    sites = [
        site.assign(beds=rng.normal() * 100 + 3.3 * (site["ward"] == "a")) for site in SITES[:3]
    ]
    with pytest.raises(SingularError, match="'beds' is the same in all who are comp") as caught:
        Cox("months, died ~ age + beds", strata="ward").test(sites, quiet=True)
    assert any("round 2" in note for note in caught.value.__notes__)


def test_a_time_may_be_a_call():
    found, wanted = (
        Cox(f"{time}, died ~ age").test(SITES, quiet=True).result
        for time in ("np.maximum(months, 0)", "months")
    )
    assert found.coefficients == wanted.coefficients


def test_a_natural_spline_has_declared_constraints():
    """Its columns sum to 1, which is no part of Cox's model: the coefficients sum to 0 in place."""
    knots = "knots=[60], lower_bound=0, upper_bound=120, constraints=[[1, 1, 1]]"
    right = f"cr(age, {knots})"
    found = Cox(f"months, died ~ {right}").test(SITES, quiet=True).result
    _, params, covariance, llf = pooled(TABLE, right, "efron")
    close(found.params, params, 1e-9)
    close(found.cov_params(), covariance, 1e-9)
    close(found.llf, llf, 1e-11)
