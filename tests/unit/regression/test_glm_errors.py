"""What cannot be fitted says so: which node, which column, what to do, and no value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from regression_data import patients

from flame_flwr.errors import DataError, FlameError, ModelError, PayloadError
from flame_flwr.privacy import MinCount
from flame_flwr.regression import GLM
from flame_flwr.regression.solving import SingularError

TABLE = patients(120)
HERE, THERE = TABLE.iloc[:40], TABLE.iloc[40:]


@pytest.mark.parametrize(
    ("formula", "change", "words"),
    [
        ("died ~ age + sex", {"died": lambda t: t["sex"] == "m"}, "'sex[T.m]' of the formula sep"),
        ("died ~ age + C(stage)", {"died": lambda t: t["died"] | (t["stage"] == 3)}, "[T.3]' of"),
        ("died ~ age + sex", {"died": lambda t: t["age"] > 60}, "'age' of the formula separate"),
        ("died ~ age + twice", {"twice": lambda t: 2 * t["age"] + 1}, "'twice' is, over all hosp"),
        ("died ~ age + one", {"one": 1.0}, "'one' is, over all hospitals, a sum of 'Intercept'"),
        ("died ~ age + zero", {"zero": 0.0}, "no row of any hospital has 'zero'"),
        ("died ~ center(one)", {"one": 1.0}, "the same in all rows of all hospitals"),
        ("age ~ sex", {}, "it must be 0 or 1"),
        ("sex ~ age", {}, "sex must be numbers"),
        ("died ~ height", {}, "this node's table has no column height"),
        ("died ~ I(sex)", {}, "I(sex) must be numbers"),
        ("died ~ np.log(age - 60)", {}, "is no finite number in some rows of this node"),
        ("died ~ bs(age, knots=[60], lower_bound=59, upper_bound=61)", {}, "within the bounds"),
        ("died ~ age", {"age": np.nan}, "no hospital has a row"),
        ("died ~ age", {"died": 1}, "died is 1 in all rows of all hospitals"),
        ("died ~ 1", {"died": 0}, "died is 0 in all rows of all hospitals"),
        ("died ~ age + sex", {"sex": "f"}, "name one level of sex alone"),
        ("died ~ C(stage)", {"stage": 2}, "name one level of stage alone"),
    ],
)
def test_data_without_a_fit(formula, change, words):
    sites = [
        site.assign(
            **{name: made(site) if callable(made) else made for name, made in change.items()}
        )
        for site in (HERE, THERE)
    ]
    sites = [s.assign(died=s["died"].astype(int)) for s in sites]
    with pytest.raises(DataError) as caught:
        GLM(formula, "binomial").test(sites, quiet=True)
    assert words in caught.value.message
    if "node" in words:
        assert any("node-0" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [("age", "old", "numbers at other hospitals, and text"), ("sex", 1.5, "labels at other")],
)
def test_another_kind_of_column_is_its_nodes(column, value, words):
    with pytest.raises(DataError, match=words) as caught:
        GLM("died ~ age + sex", "binomial").test(
            [HERE.assign(**{column: value}), THERE], quiet=True
        )
    assert any("node-0" in note for note in caught.value.__notes__)


def test_numbers_that_are_text_are_no_levels():
    ages = [str(50 + place / 4) for place in range(51)]
    text = THERE.iloc[:51].assign(age=ages)
    with pytest.raises(
        DataError, match=r"the column age holds text, .*\(pandas\.to_numeric"
    ) as caught:
        GLM("died ~ age", "binomial").test([text, text], quiet=True)
    assert any("round 1" in note for note in caught.value.__notes__)
    for study in (GLM("pain ~ age", levels={"age": ages}), GLM("pain ~ C(age)")):
        assert len(study.test([text, text], quiet=True).result.params) == 51


def test_a_message_names_few_of_many_columns():
    table = TABLE.iloc[:120].assign(ward=[f"ward {place % 48:02}" for place in range(120)])
    table["died"] = (table["ward"] > "ward 09").astype(int)
    with pytest.raises(DataError, match=r"and \d+ more of the formula separate the outcomes"):
        GLM("died ~ ward", "binomial").test([table, table], quiet=True)


def test_no_more_rows_than_parameters():
    with pytest.raises(DataError, match="have no more rows than parameters"):
        GLM("pain ~ age + sex").test([HERE.iloc[:2], THERE.iloc[:1]], quiet=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"formula": "died ~ poly(age, 2)"}, "poly may learn from one hospital's rows"),
        ({"formula": "died ~ bs(age, df=4)"}, "knots"),
        ({"formula": "died ~ I(age - age.mean())"}, "row by row"),
        ({"formula": "died ~ np.cumsum(age)"}, "row by row"),
        ({"formula": "died ~ scale(center(age))"}, "takes one row-wise expression"),
        ({"formula": "died ~ C(age // 10)"}, "C takes a column"),
        ({"formula": "died ~ ."}, "name each"),
        ({"formula": "died ~ age + ."}, "name each"),
        ({"formula": "died ~ age + offset(months)"}, "an offset is an argument of the study"),
        ({"formula": "died ~ Q('age in years')"}, "in backticks"),
        ({"formula": "age + sex"}, "formula must be a text"),
        ({"formula": "died + age ~ sex"}, "must be one column"),
        ({"formula": "died ~ age", "family": "binomal"}, "there is no 'binomal'"),
        ({"formula": "died ~ age", "family": "negative binomial"}, "alpha"),
        ({"formula": "died ~ age", "robust": "hospital"}, "a rank of at most hospitals - 1"),
        ({"formula": "died ~ age", "robust": "cluster"}, "go together"),
        ({"formula": "died ~ age", "levels": {"sex": ["f", "m"]}}, "has no column sex"),
        ({"formula": "died ~ sex", "levels": {"sex": ["f", "m", "f"]}}, "two labels are alike"),
        ({"formula": "died ~ sex", "levels": ["f", "m"]}, "levels must be a dict"),
        (
            {"formula": "died ~ sex", "levels": {"sex": "fm"}},
            "levels of sex: labels must be a list",
        ),
        ({"formula": "died ~ sex", "levels": {"sex": 2}}, "levels of sex: labels must be a list"),
        ({"formula": "died ~ C(sex, levels=['f'])"}, "levels of sex: give a list of two or more"),
        ({"formula": "died ~ age", "offset": 3}, "offset must be the name of a column"),
        ({"formula": "died ~ 0"}, "nothing on its right side"),
        ({"formula": "died ~ Intercept + age"}, "no column may have the name Intercept"),
        ({"formula": "died ~ `site[a]`", "site_effects": True}, "may have the name site[a]"),
        (
            {
                "formula": "died ~ cr(age, knots=[60], lower_bound=20, upper_bound=99, "
                "constraints='center')"
            },
            "constraints",
        ),
        ({"formula": "died ~ bs(age, knots=months, lower_bound=20, upper_bound=99)"}, "as numbers"),
        ({"formula": "died ~ I({x for x in age})"}, "calls and operators only"),
        ({"formula": "died ~ I(age - age @ age)"}, "row by row"),
        ({"formula": "died ~ I(age - np.vecdot(age, age))"}, "row by row"),
    ],
)
def test_an_impossible_study_is_refused_when_built(arguments, words):
    with pytest.raises(ModelError, match=None) as caught:
        GLM(**arguments)
    assert words in caught.value.message


def test_a_step_that_leaves_the_family_is_halved():
    rng = np.random.default_rng(0)
    table = TABLE.assign(count=rng.poisson(TABLE["age"] / 20))
    identity = sm.families.Poisson(sm.families.links.Identity())
    found = GLM("count ~ age", identity).test([table.iloc[:50], table.iloc[50:]], quiet=True).result
    wanted = sm.GLM(table["count"], sm.add_constant(table[["age"]]), family=identity).fit(tol=1e-14)
    np.testing.assert_allclose(found.params, wanted.params, rtol=1e-8)


def test_errors_are_the_frameworks():
    with pytest.raises(FlameError):
        GLM("died ~ hashed(sex)")


def test_an_intercept_alone_is_the_mean():
    found = GLM("pain ~ 1").test([HERE, THERE], quiet=True).result
    assert found.params["Intercept"] == pytest.approx(TABLE["pain"].mean(), rel=1e-12)
    assert found.nobs == len(TABLE)


@pytest.mark.parametrize("seed", [4, 8, 10])
def test_a_sum_of_columns_is_named_at_once(seed):
    # the sums' rounding is no information of its own
    sites = [patients(50, 10 * seed + place) for place in range(3)]
    sites = [
        s.assign(burden=lambda t: t["months"] * 7 + t["age"] * 0.3 - t["visits"]) for s in sites
    ]
    with pytest.raises(SingularError, match="is, over all hospitals, a sum of") as caught:
        GLM("visits ~ age + months + pain + burden + visits", "poisson").test(sites, quiet=True)
    assert any("round 2" in note for note in caught.value.__notes__)


def test_what_formulaic_says_has_no_colours_of_terminals():
    with pytest.raises(ModelError, match="cannot be read: Could not find") as caught:
        GLM("died ~ (age")
    assert "\x1b" not in caught.value.message


def test_a_call_may_compare_text():
    found, wanted = (
        GLM(f"died ~ age + {term}", "binomial").test([HERE, THERE], quiet=True).result
        for term in ("I(sex == 'm')", "sex")
    )
    np.testing.assert_allclose(found.params, wanted.params, rtol=1e-12)
    few = pd.concat([HERE[HERE["sex"] == "f"], HERE[HERE["sex"] == "m"].iloc[:2]])
    with pytest.raises(PayloadError, match="for a regression: I"):
        GLM("pain ~ I(sex == 'm')").test([few, THERE], quiet=True, disclosure=[MinCount(5)])


def test_rows_to_predict_need_the_columns():
    found = GLM("pain ~ age + sex").test([HERE, THERE], quiet=True).result
    with pytest.raises(DataError, match="the table has no column sex"):
        found.predict(THERE[["age"]])


def test_two_columns_of_one_name_are_refused():
    site = pd.concat([HERE, HERE[["age"]]], axis=1)
    with pytest.raises(DataError, match="table has two columns of the name age"):
        GLM("pain ~ age").test([site, THERE], quiet=True)


def test_rows_to_predict_need_the_fits_types():
    found = GLM("pain ~ I(age)").test([HERE, THERE], quiet=True).result
    with pytest.raises(DataError, match=r"I\(age\) must be numbers"):
        found.predict(THERE.assign(age="old"))


@pytest.mark.parametrize("secure", [None, True])
def test_subjects_that_are_the_hospitals_are_refused(secure):
    """Their scores sum to zero: of two hospitals the robust errors would be about none at all."""
    sites = [site.assign(hospital=place) for place, site in enumerate([HERE, THERE, THERE])]
    study = GLM("died ~ age", "binomial", robust="cluster", subject="hospital")
    with pytest.raises(DataError, match=r"subject: .* a rank of at most hospitals - 1"):
        study.test(sites, quiet=True, secure=secure)


def test_counts_that_are_all_zero_have_no_rate():
    sites = [site.assign(visits=0) for site in (HERE, THERE)]
    with pytest.raises(DataError, match="visits is 0 in all rows of all hospitals"):
        GLM("visits ~ age", "poisson").test(sites, quiet=True)


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (TABLE.iloc[:0], "node-0 has no complete rows"),
        (HERE.assign(died=1), "'site[node-0]' of the formula separates the outcomes"),
    ],
)
def test_a_hospital_that_has_no_intercept_is_named(first, words):
    with pytest.raises(DataError) as caught:
        GLM("died ~ age", "binomial", site_effects=True).test([first, THERE], quiet=True)
    assert words in caught.value.message
    assert "do without site_effects" in caught.value.message
