"""Differences of the people themselves: what can be had from all sets that have left."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from flwr.app import RecordDict

from flame_flwr.clients import Node, NodePlan
from flame_flwr.clients.filter_counts import keep_account, kept_account
from flame_flwr.data.source import SplitData
from flame_flwr.identity import Identity
from flame_flwr.payload import decode
from flame_flwr.privacy import MaxBins, MinCount, Strict
from flame_flwr.privacy.gate import Gate
from flame_flwr.privacy.published_sets import PublishedSets
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.star import StarAnalyzer
from flame_flwr.statistics import (
    ContingencyTable,
    Histogram,
    Moments,
    RowCount,
    ValueCounts,
    describe,
)

RULES = (MinCount(5), MaxBins(50), Strict())


def of(*ranges):
    return np.concatenate([np.arange(a, b, dtype=np.uint64) for a, b in ranges])


def taken(*sets, k=5):
    """Which sets leave, one after another."""
    account = PublishedSets()
    return [account.takes(each, None, k) for each in sets]


@pytest.mark.parametrize(
    ("sets", "leave"),
    [
        ([of((0, 100)), of((0, 50)), of((50, 97))], [True, True, False]),
        ([of((0, 100)), of((0, 50)), of((50, 95))], [True, True, True]),
        ([of((0, 100)), of((0, 50)), of((50, 100))], [True, True, True]),
        ([of((0, 100)), of((0, 98))], [True, False]),
        ([of((0, 98)), of((0, 100))], [True, False]),
        ([of((0, 50)), of((3, 53))], [True, False]),
        ([of((0, 50)), of((45, 95))], [True, True]),  # five of each, and nobody has all of them
        ([of((0, 53)), of((0, 30)), of((27, 53))], [True, True, False]),  # three in both of two
        ([of((0, 30)), of((27, 53)), of((0, 53))], [True, True, False]),
        ([of((0, 50)), of((50, 97)), of((0, 100))], [True, True, False]),
        ([of((0, 50)), of((0, 50))], [True, True]),
        # 10 wards of 10, a clinic across two of them, and the hospital less three people
        (
            [*(of((10 * i, 10 * i + 10)) for i in range(10)), of((5, 15)), of((0, 103))],
            [True] * 11 + [False],
        ),
    ],
)
def test_what_a_set_gives_away_with_those_that_have_left(sets, leave):
    assert taken(*sets) == leave


def test_many_wards_of_one_hospital_leave():
    wards = [of((100 * i, 100 * i + 100)) for i in range(40)]
    assert all(taken(of((0, 4000)), *wards))
    assert taken(of((0, 4003)), *wards) == [True] * 40 + [False]


def test_unrelated_groups_leave():
    """Of sixteen such groups sizes alone let twelve leave: two sizes less a third come close."""
    rng, start, groups = np.random.default_rng(5), 0, []
    for size in rng.integers(50, 2000, 16):
        groups.append(of((start, start + int(size))))
        start += int(size)
    assert all(taken(*groups))


def few_by_definition(sets, k):
    """Tell whether some set less disjoint ones within it, or a pair, has few people: by trying all.

    Sets are Python's, and every choice of them is looked at.
    """
    for one, two in itertools.permutations(sets, 2):
        if 0 < len(one - two) < k or (one | two in sets and 0 < len(one & two) < k):
            return True
    for whole in sets:
        parts = [each for each in sets if each < whole]
        for number in range(1, len(parts) + 1):
            for some in itertools.combinations(parts, number):
                together = set().union(*some)
                if len(together) == sum(map(len, some)) and 0 < len(whole - together) < k:
                    return True
    return solved_by_definition(sets, k)


def solved_by_definition(sets, k):
    """Tell whether the sum of few in the same sets is one of the sums' combinations, by ranks."""
    people = sorted(set().union(*sets))
    columns = [tuple(float(person in each) for each in sets) for person in people]
    sums = np.array(columns).T
    rank = np.linalg.matrix_rank(sums)
    if 2 * rank > len(people):
        return True
    groups = [[column == each for column in columns] for each in set(columns)]
    return any(
        sum(group) < k and np.linalg.matrix_rank(np.vstack([sums, group])) == rank
        for group in groups
    )


def test_random_sets_leave_exactly_where_the_definition_lets_them():
    rng, left_all, refused_some = np.random.default_rng(11), 0, 0
    for _ in range(150):
        account, published = PublishedSets(), []
        for _ in range(7):
            blocks = rng.random(6) < 0.5  # of blocks of people, as groups of one table are
            sizes = [3, 5, 6, 7, 9, 12]
            bounds = np.cumsum([0, *sizes])
            people = {p for i in range(6) if blocks[i] for p in range(bounds[i], bounds[i + 1])}
            if len(people) < 4:
                continue
            new = frozenset(people)
            expected = new in published or not few_by_definition([*published, new], 4)
            taken_now = account.takes(np.array(sorted(new), dtype=np.uint64), None, 4)
            assert taken_now == expected, (published, new)
            if taken_now and new not in published:
                published.append(new)
            left_all += taken_now
            refused_some += not taken_now
    assert min(left_all, refused_some) > 100


def test_one_persons_value_is_not_solved_from_four_sums():
    """Half of the first two less the others: no two of these sets give it away."""
    x, a, b, c, d = (of((start, end)) for start, end in itertools.pairwise([0, 1, 11, 21, 31, 41]))
    sets = [np.concatenate(each) for each in ([x, a, b], [x, c, d], [a, c], [b, d])]
    assert taken(*sets) == [True, True, True, False]
    more = [np.concatenate(each) for each in ([a, b], [a, d], [b, c])]
    assert taken(*sets[2:], *more[1:]) == [True] * 4


def test_all_are_not_solved_from_random_halves():
    halves = [np.random.default_rng(i).permutation(60)[:30].astype(np.uint64) for i in range(60)]
    assert sum(taken(*map(np.sort, halves))) == 30
    crossed = [of((0, 30)), of((30, 60)), *(np.arange(i, 60, 4, dtype=np.uint64) for i in range(4))]
    assert all(taken(of((0, 60)), *crossed))


def test_columns_are_compared_with_whole_rows_and_with_themselves():
    account, everyone = PublishedSets(), of((0, 100))
    assert account.takes(of((0, 90)), "age", 5)
    assert account.takes(of((2, 90)), "bmi", 5)  # the ages of two less no age at all
    assert not account.takes(of((1, 90)), "age", 5)
    assert not account.takes(of((0, 88)), None, 5)
    assert account.takes(everyone, None, 5)


# ---- by way of a node's gate -----------------------------------------------------------------


class Asks(StarAnalyzer):
    def __init__(self, flame, asks):
        super().__init__(flame)
        self.asks = asks

    def analysis_method(self, data, aggregator_results):
        return self.asks[self.num_iterations](data)


def patients(n=100):
    rng = np.random.default_rng(8)
    return pd.DataFrame(
        {"person": np.arange(n), "age": rng.normal(60, 9, n), "bmi": rng.normal(27, 4, n)}
    )


def rounds(table, *asks, subject="person"):
    """What leaves of a node in each round, its account kept as Flower keeps a node's state."""
    plan = NodePlan(Asks, {"asks": asks}, "s3", subject=subject)
    node = Node(plan, Identity("a", ("a",)), SplitData(table), node_rules=RULES)
    state, sent = RecordDict(), []
    for number in range(1, len(asks) + 1):
        returned = node.round(number, None)
        study = Study.from_bytes(node.study().to_bytes())
        account = kept_account(state)
        passed = Gate("a", RULES, account=account).result(returned, study, number)
        keep_account(state, account)
        sent.append(decode(passed.payload))
    return sent


def mean_age(first, last):
    return lambda table: {"age": Moments.from_data(table["age"].iloc[first:last])}


def test_rounds_that_differ_by_three_people_do_not_tell_of_them():
    asks = (mean_age(0, 100), mean_age(3, 100), mean_age(0, 50), mean_age(50, 97), mean_age(0, 50))
    sizes = [each["age"].n for each in rounds(patients(), *asks)]
    assert sizes == [100, 0, 50, 0, 50]
    without = [each["age"].n for each in rounds(patients(), *asks, subject="")]
    assert without == [100, 97, 50, 47, 50]  # the attack: sizes of one answer alone were compared


def test_groups_of_sizes_that_are_close_by_chance_leave():
    groups = [(0, 50), (50, 97), (100, 147), (150, 200)]

    def ask(table):
        return [RowCount.from_data(table.iloc[first:last]) for first, last in groups]

    [with_people] = rounds(patients(200), ask)
    [by_sizes] = rounds(patients(200), ask, subject="")
    assert [each.rows for each in with_people] == [50, 47, 47, 50]
    assert [each.rows for each in by_sizes] == [50, 0, 0, 50]


def test_a_column_with_two_missing_values_keeps_its_mean_to_itself():
    table = patients()
    table.loc[:1, "age"] = np.nan
    [found] = rounds(table, describe)
    columns = found.result()["columns"]
    assert columns["age"]["mean"] is None
    assert columns["bmi"]["mean"] == pytest.approx(table["bmi"].mean())


def some_of(name, first, last):
    """Describe a column of the ages of some, called as the analysis likes."""

    def ask(table):
        there = table["person"].between(first, last - 1)
        return describe(table[["person"]].assign(**{name: table["age"].where(there)}))

    return ask


def test_a_column_that_is_called_otherwise_is_the_same():
    sent = rounds(patients(), some_of("a", 0, 50), some_of("b", 0, 49), some_of("c", 0, 45))
    counts = [found.column(name)[0].n for found, name in zip(sent, "abc", strict=True)]
    assert counts == [50, 0, 45]


def test_a_computed_column_is_compared_with_all():
    def doubled(table):
        return some_of("b", 1, 50)(table.assign(age=2 * table["age"]))

    sent = rounds(patients(), some_of("a", 0, 50), doubled)
    assert [found.columns for found in sent] == [("person", "a"), ("person", "b")]
    assert [found.column(name)[0].n for found, name in zip(sent, "ab", strict=True)] == [50, 0]


def test_other_columns_that_were_read_leave_of_people_who_are_nearly_the_same():
    table = patients()
    table.loc[:19, "age"] = np.nan
    table.loc[:17, "bmi"] = np.nan
    found = rounds(table, describe)[0].result()["columns"]
    assert (found["age"]["count"], found["bmi"]["count"]) == (80, 82)


# ---- counts within a statistic ----------------------------------------------------------------


def ages_between(table, low, high, but=()):
    there = table["age"].between(low, high) & ~table["person"].isin(but)
    return table[there].set_index("person")["age"]


@pytest.mark.parametrize("together", [True, False])
def test_a_group_less_one_does_not_tell_who_is_in_a_bin(together):
    """The attack: 49 are below 60, and 48 of these are not patient 7: so that one is, too."""
    table = patients().assign(age=np.arange(11.0, 111))

    def bins(table):
        return Histogram.from_data(ages_between(table, 0, 200), [0, 60, 200])

    def group(table):
        return RowCount.from_data(ages_between(table, 0, 59, but=[7]))

    def wide(table):
        return RowCount.from_data(ages_between(table, 0, 50))

    if together:
        [[found, less, other]] = rounds(table, lambda each: [bins(each), group(each), wide(each)])
    else:
        found, less, other = rounds(table, bins, group, wide)
    assert found.result()["counts"] == [49, 51]
    assert (less.rows, other.rows) == (0, 40)


@pytest.mark.parametrize("form", ["bins", "labels", "table"])
def test_counts_of_two_rounds_do_not_tell_of_those_who_are_left_out(form):
    """Of six who are left out, two are in one of the bins: it may not be told."""
    table = patients().assign(high=["n", "y"] * 50, sex=["f"] * 50 + ["m"] * 50)

    def count(table):
        rows = table.set_index("person")
        if form == "bins":
            return Histogram.from_data((rows["high"] == "y") * 1, [0, 0.5, 1])
        if form == "labels":
            return ValueCounts.from_data(rows["high"])
        return ContingencyTable.from_data(rows["high"], rows["sex"], ["n", "y"], ["f", "m"])

    def without(*people):
        return lambda table: count(table[~table["person"].isin(people)])

    first, second, third = rounds(
        table, count, without(0, 1, 2, 3, 5, 7), without(*range(0, 50, 2))
    )
    assert (first.size, second.size, third.size) == (100, 0, 75)


def test_tables_that_fit_into_another_by_chance_leave():
    table = patients().assign(high=["n", "y"] * 50)

    def count(first, last):
        return ValueCounts.from_data(table.set_index("person")["high"].iloc[first:last])

    [found] = rounds(table, lambda _: [count(0, 42), count(50, 90)])
    assert [each.size for each in found] == [42, 40]


@pytest.mark.parametrize("kind", [Moments, ValueCounts])
def test_the_same_people_with_a_row_less_do_not_tell_of_that_row(kind):
    visits = pd.concat([patients(40)] * 3, ignore_index=True).assign(stage=["a", "b"] * 60)

    def without(*rows):
        column = "age" if kind is Moments else "stage"
        return lambda table: kind.from_data(
            table.drop(index=list(rows)).set_index("person")[column]
        )

    sent = rounds(visits, without(), without(7), without(7, 47), without(*range(10, 20)))
    assert [each.size for each in sent] == [120, 0, 0, 110]


def test_people_with_several_rows_are_not_taken_for_the_difference_of_counts():
    visits = pd.concat([patients(40)] * 3, ignore_index=True)
    visits["high"] = (visits.index < 80 - 3) | (visits.index >= 117)  # 38 people have it at a visit

    def ask(table):
        return [ValueCounts.from_data(table.set_index("person")["high"]), RowCount.from_data(table)]

    [[labels, rows]] = rounds(visits, ask)
    assert (labels.size, rows.rows) == (120, 120)


def test_counts_are_kept_as_text():
    sets = PublishedSets()
    assert sets.takes_counts([of((0, 100))], [of((0, 60)), of((60, 100))], 5)
    again = PublishedSets.from_json(sets.to_json())
    assert not again.takes_counts([of((0, 59))], [], 5)
    assert again.takes_counts([of((0, 55)), of((0, 98))], [], 5)  # wholes go by their columns
    assert not again.takes_counts([], [of((2, 100))], 5)


def test_a_plain_figure_close_to_one_of_known_people_is_withheld():
    def ask(table):
        return [RowCount.from_data(table), RowCount.from_data(list(range(97)))]

    assert [each.rows for each in rounds(patients(), ask)[0]] == [100, 0]
