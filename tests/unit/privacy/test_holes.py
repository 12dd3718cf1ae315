"""Attacks on figures that rules let leave: each gave people away before there was a rule for it."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
from flwr.app import RecordDict

from flame_flwr.clients import Node, NodePlan
from flame_flwr.clients.filter_counts import keep_account, keep_counts, kept_account
from flame_flwr.data.source import SplitData
from flame_flwr.errors import PayloadError
from flame_flwr.identity import Identity
from flame_flwr.payload import decode, encode
from flame_flwr.privacy import MaxBins, MinCount, NoisyMinMax, Strict
from flame_flwr.privacy.evidence import Evidence
from flame_flwr.privacy.figure_columns import columns_behind
from flame_flwr.privacy.gate import Gate
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.star import StarAnalyzer
from flame_flwr.statistics import (
    Covariance,
    MetaAnalysis,
    MinMax,
    Moments,
    Total,
    describe,
)
from flame_flwr.statistics.remembered_columns import behind

from .studies import through

RULES = (MinCount(5), MaxBins(50), Strict())
AGES = np.array([34.0, 41, 47, 52, 58, 60, 63, 66, 68, 71, 74, 77, 79, 83, 86, 91, 44, 55, 62, 70])
DIED = np.array([0.0] * 18 + [1, 0])
"""One of twenty has died: at the age of 62."""


def mean_of(statistic):
    """What can be read of a column: n and the mean; nothing where it is withheld."""
    found = statistic.result()
    return (found["n"], found["mean"]) if found["n"] else None


# ---- columns of few values -------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Moments, Total])
def test_a_binary_mean_does_not_count_deaths(kind):
    assert mean_of(through(kind.from_data(DIED), *RULES)) is None
    five = np.array([0.0] * 15 + [1] * 5)
    n, mean = mean_of(through(kind.from_data(five), *RULES))
    assert round(n * mean) == 5  # five are a count that may be seen


@pytest.mark.parametrize("few", [[0, 1, 2], [1, 2, 4], [0, 0.5, 1]])
def test_three_counts_are_not_solved_from_two_sums(few):
    column = np.repeat(few, [12, 7, 2])
    assert mean_of(through(Moments.from_data(column), *RULES)) is None
    assert mean_of(through(Moments.from_data(np.repeat(few, [12, 7, 6])), *RULES)) is not None


def test_a_covariance_hides_the_ones_age():
    found = through(Covariance.from_data({"age": AGES, "died": DIED}), *RULES).result()
    assert found["n"] == 0
    assert found["covariance"] is None


def test_a_covariance_does_not_count_who_has_both():
    smokes = np.array([0.0] * 10 + [1] * 10)
    drinks = np.array([0.0] * 9 + [1] * 1 + [1] * 5 + [0] * 5)  # one drinks who does not smoke
    columns = {"smokes": smokes, "drinks": drinks}
    assert through(Covariance.from_data(columns), *RULES).n == 0
    assert all(through(Total.from_data(each), *RULES).n == 20 for each in columns.values())


def test_describe_does_not_count_either():
    table = pd.DataFrame({"age": AGES, "died": DIED, "cost": [0.0] * 18 + [812.5, 40.25]})
    found = through(describe(table), *RULES).result()["columns"]
    assert found["age"]["mean"] == pytest.approx(np.mean(AGES))
    for column in ("died", "cost"):
        assert found[column]["count"] == 0
        assert found[column]["mean"] is None


def test_a_merge_keeps_what_columns_are_known():
    both = Moments.from_data(DIED[:10]).merge(Moments.from_data(DIED[10:]))
    assert mean_of(through(both, *RULES)) is None


def test_many_valued_columns_leave_with_rare_ones():
    ages = np.repeat(np.arange(20.0, 80), 3)
    assert through(Moments.from_data(ages), *RULES).n == len(ages)


class Deaths(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"age": Moments.from_data(AGES), "died": Moments.from_data(DIED)}


def test_the_gate_alone_learns_of_few_values():
    node = Node(NodePlan(Deaths), Identity("a", ("a",)), None, node_rules=RULES)
    returned = node.round(1, None)
    study = Study.from_bytes(node.study().to_bytes())
    passed = Gate("a", RULES).result(returned, study, 1)
    sent = decode(passed.payload)
    assert (sent["age"].n, sent["died"].n) == (20, 0)

    known = study.evidence.columns[1][0]
    assert (known.n, known.distinct, known.rarest, known.commonest) == (20, 2, 1, 19)
    for payload in (returned, passed.payload):
        assert known.digest not in repr(payload)
        assert behind(decode(payload)["age"]).facts == ()


def test_what_is_said_of_other_columns_is_refused():
    study = Study(evidence=Evidence(columns=((), ())))
    with pytest.raises(PayloadError, match="does not fit its result"):
        Gate("a", RULES).result(encode(Moments.from_data(AGES)), study, 1)


def test_pickles_and_copies_forget_their_columns():
    made = Moments.from_data(DIED)
    restored = pickle.loads(pickle.dumps(made))
    assert restored == made
    assert set(vars(restored)) == {"n", "total", "squares", "suppressed"}


# ---- many figures of the same people ---------------------------------------------------------


def test_five_ages_are_not_solved_from_powers():
    ages = np.array([52.0, 58, 61, 67, 74])
    powers = (1, 2, 4)
    sent = through([Moments.from_data(ages**power) for power in powers], *RULES)
    shown = [(power, each) for power, each in zip(powers, sent, strict=True) if each.n]
    assert [power for power, _ in shown] == [1]

    guesses = np.array(list(itertools.combinations(range(50, 80), 5)), dtype=float)
    fits = np.ones(len(guesses), dtype=bool)
    for power, each in shown:
        fits &= np.abs((guesses**power).sum(axis=1) - float(each.total)) < 0.5
        fits &= np.abs((guesses ** (2 * power)).sum(axis=1) - float(each.squares)) < 0.5
    assert fits.sum() >= 20  # fives of ages that have these sums


def test_columns_that_were_read_leave_each():
    columns = {
        name: np.random.default_rng(place).normal(50, 9, 5)
        for place, name in enumerate(["age", "bmi", "sbp"])
    }
    sent = through({name: Moments.from_data(each) for name, each in columns.items()}, *RULES)
    assert [each.n for each in sent.values()] == [5, 5, 5]


def test_sums_of_earlier_rounds_count():
    ages = np.array([52.0, 61, 67, 74, 88])
    state, sizes = RecordDict(), []
    for column in (ages, ages**2, ages, np.log(ages), -ages):
        made = Moments.from_data(column)
        study = Study(evidence=Evidence(columns=columns_behind(made)))
        account = kept_account(state)
        gate = Gate("a", RULES, account=account)
        sizes.append(decode(gate.result(encode(made), study, 1).payload).n)
        keep_account(state, account)
    assert sizes == [5, 0, 5, 0, 0]

    from_the_app = RecordDict()
    keep_counts(state, from_the_app)  # what an analysis's process says of it is not taken
    assert kept_account(from_the_app).to_json() == account.to_json()


@pytest.mark.parametrize(("n", "powers"), [(5, 1), (14, 1), (20, 2), (40, 4)])
def test_of_more_people_more_sums_leave(n, powers):
    """Two sums each, and at most n // 5 or two."""
    ages = np.random.default_rng(3).uniform(20, 90, n)
    sent = through([Moments.from_data(ages**power) for power in range(1, 9)], *RULES)
    assert sum(each.n > 0 for each in sent) == powers


# ---- computed columns, where it is known what was read -----------------------------------------


class Asks(StarAnalyzer):
    def __init__(self, flame, ask):
        super().__init__(flame)
        self.ask = ask

    def analysis_method(self, data, aggregator_results):
        return self.ask(data)


WARD = pd.DataFrame(
    {
        "person": range(60),
        "age": np.random.default_rng(2).permutation(np.arange(30.0, 90)),
        "bmi": np.random.default_rng(3).normal(27, 4, 60).round(1),
        "ward": ["a", "b", "c"] * 20,
    }
)


def figures(ask, table, subject="", form="frame"):
    """What of an analysis's statistics leaves a node that has read a table."""
    data = {
        "frame": table,
        "sources": [{"ward": table}],
        "file": [{"ward.csv": table.to_csv(index=False).encode()}],
        "odd file": [{"WARD.CSV": table.to_csv(index=False, sep=";", decimal=",").encode()}],
    }[form]
    plan = NodePlan(Asks, {"ask": lambda _: ask(table.copy())}, "s3", subject=subject)
    node = Node(plan, Identity("a", ("a",)), SplitData(data), node_rules=RULES)
    returned = node.round(1, None)
    study = Study.from_bytes(node.study().to_bytes())
    return [each.n for each in decode(Gate("a", RULES).result(returned, study, 1).payload)]


def moments(*columns):
    return [Moments.from_data(column) for column in columns]


@pytest.mark.parametrize("form", ["frame", "sources", "file", "odd file"])
def test_five_ages_are_not_solved_from_sums(form):
    """Of fourth powers around 50 and 55, and what is next, five ages can be solved."""

    def ask(table):
        age = table["age"]
        return moments(age, (age - 50) ** 2, (age - 55) ** 2, (age - 65).abs(), age % 7, -age)

    ages = pd.DataFrame({"person": range(5), "age": [34.0, 47, 58, 71, 86]})
    assert figures(ask, ages, form=form) == [5, 0, 0, 0, 0, 0]
    without = [each.n for each in through(ask(ages.copy()), *RULES)]
    assert without == [5, 5, 5, 5, 5, 0]  # the attack: where it is not known what was read


def test_computed_columns_of_all_sorts_share_one_account():
    """Of sixty people twelve sums leave: two of what was read, and five computed columns'."""

    def ask(table):
        age, bmi = table["age"], table["bmi"]
        of_both = [age * bmi, age - bmi, (age - 50) ** 2, bmi**2, age % 10 + bmi, age / bmi, age**3]
        return moments(age, bmi, *of_both)

    for subject in ("", "person"):
        found = figures(lambda table: ask(table.set_index("person")), WARD, subject)
        assert found == [60] * 7 + [0] * 2
    late = figures(lambda table: ask(table)[::-1], WARD)
    assert late == [60] * 6 + [0] * 3  # first come, first served: no room is left for what was read


def test_a_covariance_with_computed_columns_counts_its_products():
    def ask(table):
        age = table["age"]
        return [Covariance.from_data({"age": age, "square": (age - 50) ** 2}), *moments(age)]

    assert figures(ask, WARD.iloc[:20]) == [0, 20]
    assert figures(ask, WARD.iloc[:30]) == [30, 30]


@pytest.mark.parametrize("form", ["frame", "sources", "file"])
@pytest.mark.parametrize("subject", ["", "person"])
def test_columns_that_were_read_leave_of_any_rows(form, subject):
    def ask(table):
        groups = [rows for _, rows in table.set_index("person").groupby("ward")]
        return moments(*(rows[name] for rows in groups for name in ("age", "bmi")))

    assert figures(ask, WARD, subject, form) == [20] * 6


def test_columns_an_analyzer_adds_were_not_read():
    plan = NodePlan(Adds, {}, "s3")
    node = Node(plan, Identity("a", ("a",)), SplitData(WARD.iloc[:5].copy()), node_rules=RULES)
    gate, sizes = Gate("a", RULES), []
    for number in (1, 2):
        returned = node.round(number, None)
        study = Study.from_bytes(node.study().to_bytes())
        sizes.append(decode(gate.result(returned, study, number).payload).n)
    assert sizes == [5, 0]


class Adds(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        data[f"power {self.num_iterations}"] = data["age"] ** (self.num_iterations + 1)
        return Moments.from_data(data[f"power {self.num_iterations}"])


def test_computed_few_values_are_a_count():
    def ask(table):
        return moments(*(table["age"] > bound for bound in range(36, 84, 6)))

    assert figures(ask, WARD) == [60] * 8


# ---- estimates -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 4])
def test_estimates_of_few_or_none_stay(n):
    assert through(MetaAnalysis.from_data(3.25, 0.5, n), *RULES).studies == ()


def test_estimates_of_few_do_not_leave_within():
    few = MetaAnalysis.from_data(3.25, 0.5, 3)
    assert through(MetaAnalysis.from_data(0.5, 0.1, 120).merge(few), *RULES).studies == ()
    two = MetaAnalysis.from_data(0.5, 0.1, 120).merge(MetaAnalysis.from_data(0.6, 0.1, 90))
    assert through(two, *RULES) == two


# ---- extremes --------------------------------------------------------------------------------

NOISY = (*RULES, NoisyMinMax(0.05, 0.15, secret="of this node only"))


def test_shifted_copies_of_a_column_are_moved_alike():
    ages = np.array([18.0, 25, 33, 41, 47, 52, 66, 71, 80, 94])
    shifts = np.arange(400) / 7
    sent = [through(MinMax.from_data(ages + shift), *NOISY) for shift in shifts]
    low = np.mean([each.low - shift for each, shift in zip(sent, shifts, strict=True)])
    high = np.mean([each.high - shift for each, shift in zip(sent, shifts, strict=True)])
    # as far from the truth as one answer is: the mean of 400 tells no more
    assert low == pytest.approx(sent[0].low)
    assert high == pytest.approx(sent[0].high)
    assert low < 18 - 0.05 * 76
    assert high > 94 + 0.05 * 76


def test_known_extremes_do_not_tell_others_shifts():
    ages = np.array([18.0, 25, 33, 41, 47, 52, 66, 71, 80, 94])
    known = through(MinMax.from_data(np.repeat([0.0, 1], 5)), *NOISY)
    same = through(MinMax.from_data(np.ones(10)), *NOISY)
    sent = through(MinMax.from_data(ages), *NOISY)
    for share in (-known.low, 1 - same.low):
        assert sent.low + share * (94 - 18) != pytest.approx(18, abs=0.01)
