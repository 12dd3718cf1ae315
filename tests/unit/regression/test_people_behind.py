"""Rules count the people behind a regression, and compare whom it is about, where data says."""

import numpy as np
import pandas as pd
import pytest

from flame_flwr.clients import Node, NodePlan
from flame_flwr.data.source import SplitData
from flame_flwr.errors import PayloadError
from flame_flwr.identity import Identity
from flame_flwr.payload import decode, encode
from flame_flwr.privacy import MinCount, RowsPerParameter
from flame_flwr.privacy.disclosure import statistics_in
from flame_flwr.privacy.figure_account import FigureAccount
from flame_flwr.privacy.gate import Gate
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.regression import GLM, Cox, Survival, TableOne
from flame_flwr.star import StarModelTester

RULES = (MinCount(5), RowsPerParameter(3))


def visits(people=40, each=3, men=20, died=20, seed=4):
    """Rows of several visits for each person; of `men` men, and `died` of all have died."""
    rng, who = np.random.default_rng(seed), np.repeat(np.arange(people), each)
    return pd.DataFrame(
        {
            "person": who,
            "age": rng.normal(60, 9, people)[who],
            "sex": np.where(who < men, "m", "f"),
            "died": (rng.permutation(people) < died).astype(int)[who],
            "pain": rng.normal(5, 2, people * each),
            "months": rng.uniform(1, 60, people * each),
        }
    )


def run(study, *tables, subject="person", rules=RULES):
    made = StarModelTester(
        [*tables, visits(seed=9)],
        study.analyzer,
        study.make_strategy(),
        "s3",
        subject=subject,
        disclosure=list(rules),
    )
    return made.result


LOGISTIC = GLM("died ~ age + C(sex)", "binomial", levels={"sex": ["f", "m"]})
LINEAR = GLM("pain ~ age + C(sex)", levels={"sex": ["f", "m"]})
COX = Cox("months, died ~ age + C(sex)", levels={"sex": ["f", "m"]}, baseline=[12, 24])


@pytest.mark.parametrize("study", [LOGISTIC, LINEAR, COX])
def test_a_level_of_few_people_is_refused(study):
    few = visits(men=4, each=10)
    run(study, few, subject="")  # the attack: forty rows of four men
    with pytest.raises(PayloadError, match=r"too few people, .* for a regression: sex=m"):
        run(study, few)
    assert run(study, visits(each=10)).nobs == 400 + 120


@pytest.mark.parametrize("study", [LOGISTIC, COX])
@pytest.mark.parametrize("died", [4, 36])
def test_few_people_of_one_outcome_are_refused(study, died):
    table = visits(died=died, each=10)
    with pytest.raises(PayloadError, match="too few people"):
        run(study, table)
    run(study, table, subject="")


def test_four_peoples_rows_end_round_1():
    with pytest.raises(PayloadError, match="for a regression: all rows"):
        run(GLM("pain ~ age"), visits(people=4, each=30))


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (GLM("pain ~ age"), "too few people for a regression of 2"),
        (GLM("died ~ age", "binomial"), "too few people of one outcome for a regression of 2"),
        (Cox("months, died ~ age + pain"), "too few people with an event for a regression of 2"),
    ],
)
def test_people_are_counted_for_each_parameter(study, words):
    table = visits(people=10, died=5, each=8)
    rules = (RowsPerParameter(6),)
    with pytest.raises(PayloadError, match=words):
        run(study, table, rules=rules)
    run(study, table, rules=rules, subject="")
    run(study, visits(people=24, died=12, each=3), rules=rules)


def test_a_meta_analysis_skips_fits_of_few():
    few = visits(men=4, each=10)
    assert dict(run(LOGISTIC.meta_analysis, few).fits.left_out).keys() == {"node-0"}
    assert run(LOGISTIC.meta_analysis, few, subject="").fits.left_out == ()


@pytest.mark.parametrize("subject", ["person", ""])
def test_curves_and_tables_of_few_people_are_withheld(subject):
    """Also of a file, in which a column alone does not say whose its rows are."""
    file = [{"a.csv": visits(people=4, each=10).to_csv(index=False).encode()}]
    curves = Survival("months", "died", times=range(1, 61))
    table = TableOne({"age": "mean", "sex": ["f", "m"]}, by="died", groups=[0, 1])
    for study in (curves, table):
        found = through(Node1(study), file, {}, subject)
        sizes = {each.size for each in statistics_in(found)}
        assert (sizes == {0}) == (subject == "person")


# ---- differences -----------------------------------------------------------------------------


class Node1:
    """A node of one run, whose answers pass one gate."""

    def __init__(self, study):
        self.study, self.account = study, FigureAccount()


def through(asked, data, question, subject):
    """What of a node's answer leaves."""
    plan = NodePlan(asked.study.analyzer, data_type="s3", subject=subject)
    node = Node(plan, Identity("a", ("a",)), SplitData(data), node_rules=RULES)
    returned = node.round(1, encode(question))
    study = Study.from_bytes(node.study().to_bytes())
    return decode(Gate("a", RULES, account=asked.account).result(returned, study, 1).payload)


@pytest.mark.parametrize("subject", ["person", ""])
def test_all_but_three_people_are_refused(subject):
    table, node = visits(), Node1(LINEAR)

    def rows(some):
        asked = {"stage": "agree", "secure": False}
        return through(node, some, asked, subject)["agreed"]["rows"].n

    assert rows(table) == 120
    if subject:
        with pytest.raises(PayloadError, match="differ by fewer than 5"):
            rows(table[table["person"] > 2])
    else:
        assert rows(table[table["person"] > 2]) == 111
    assert rows(table) == 120
