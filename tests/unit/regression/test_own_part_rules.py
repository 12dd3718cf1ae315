"""What a hospital's rules say of its own part of a regression, also where sums are masked."""

from __future__ import annotations

import re

import pytest
from regression_data import patients

from flame_flwr.errors import PayloadError
from flame_flwr.privacy import MinCount, RowsPerParameter, Strict
from flame_flwr.privacy.config_text import read_rules
from flame_flwr.regression import GLM, Cox

TABLE = patients()
SITES = [TABLE.iloc[:80], TABLE.iloc[80:150], TABLE.iloc[150:]]
LEVELS = {"sex": ["f", "m"], "stage": [1, 2, 3]}
STUDIES = {
    "binomial": GLM("died ~ age + sex + C(stage)", "binomial", levels=LEVELS),
    "gaussian": GLM("pain ~ age + sex + C(stage)", levels=LEVELS),
    "cox": Cox("months, died ~ age + sex + C(stage)", levels=LEVELS),
}


def run(study, first, *rules, **more):
    return study.test([first, *SITES[1:]], quiet=True, disclosure=rules, **more).result


def refusal(study, first, *rules, **more):
    """Return what the first hospital says; which tells no number of its rows."""
    with pytest.raises(PayloadError) as caught:
        run(study, first, *rules, **more)
    assert any("node-0" in note for note in caught.value.__notes__)
    return caught.value.message


def with_few(name, few, rest, n=3):
    """Return the first hospital's table, in which `n` rows have one value of a column."""
    return SITES[0].assign(**{name: [few] * n + [rest] * (len(SITES[0]) - n)})


@pytest.mark.parametrize("secure", [None, True])
@pytest.mark.parametrize("kind", STUDIES)
def test_a_small_level_is_named_and_not_counted(kind, secure):
    said = refusal(STUDIES[kind], with_few("sex", "m", "f"), MinCount(5), secure=secure)
    assert "too few rows, or too few of one outcome, for a regression: sex=m (the" in said
    assert re.findall(r"\d", said) == []


@pytest.mark.parametrize("secure", [None, True])
@pytest.mark.parametrize("kind", ["binomial", "cox"])
def test_a_level_of_few_outcomes_is_named(kind, secure):
    """Forty men, three of whom died: the score would give their number, not that of men."""
    site = SITES[0].assign(sex=["f", "m"] * 40, died=[1, 0] * 40)
    site.iloc[[1, 3, 5], site.columns.get_loc("died")] = 1
    said = refusal(STUDIES[kind], site, MinCount(5), secure=secure)
    assert "for a regression: " in said
    assert "sex=m" in said
    # of a mean no outcome is counted
    assert run(STUDIES["gaussian"], site, MinCount(5), secure=secure).nobs == len(TABLE)


@pytest.mark.parametrize("secure", [None, True])
@pytest.mark.parametrize("kind", STUDIES)
def test_a_level_that_nobody_has_may_be_said(kind, secure):
    site = SITES[0].assign(sex="f")
    assert run(STUDIES[kind], site, MinCount(5), Strict(), secure=secure).nobs == len(TABLE)


def test_combinations_of_an_interaction_are_cells():
    site = SITES[0].assign(sex="f", stage=1)
    site.iloc[40:, site.columns.get_loc("sex")] = "m"
    site.iloc[38:60, site.columns.get_loc("stage")] = 2  # two women, twenty men
    assert run(GLM("pain ~ sex + C(stage)", levels=LEVELS), site, MinCount(5)).nobs
    crossed = GLM("pain ~ sex * C(stage)", levels=LEVELS)
    assert "sex=f and stage=2" in refusal(crossed, site, MinCount(5))


@pytest.mark.parametrize("secure", [None, True])
@pytest.mark.parametrize(
    ("kind", "rows", "counted"),
    [
        ("gaussian", lambda site: len(site), "rows"),
        ("binomial", lambda site: min(site["died"].sum(), (1 - site["died"]).sum()), "one outcome"),
        ("cox", lambda site: site["died"].sum(), "rows with an event"),
    ],
)
def test_rows_for_each_parameter_are_those_that_count(kind, rows, counted, secure):
    """With one parameter fewer in Cox's model, which has no intercept."""
    parameters = 4 if kind == "cox" else 5
    most = int(rows(SITES[0])) // parameters
    assert counted in refusal(STUDIES[kind], SITES[0], RowsPerParameter(most + 1), secure=secure)
    sites = SITES[0], TABLE, TABLE  # only the first hospital has few
    rules = [RowsPerParameter(most)]
    assert STUDIES[kind].test(sites, quiet=True, disclosure=rules, secure=secure).result.nobs


def test_the_rule_is_off_unless_asked():
    few = SITES[0].iloc[:6]
    assert run(STUDIES["gaussian"], few).nobs == 6 + sum(map(len, SITES[1:]))


def test_a_nodes_config_names_it():
    rules = read_rules("MinCount(5), RowsPerParameter(3)", "disclosure")
    assert RowsPerParameter(3) in rules
