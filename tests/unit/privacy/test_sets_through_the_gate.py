"""What rounds at a node's gate tell together of the people by whom they differ."""

from __future__ import annotations

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


def test_rounds_three_people_apart_hide_them():
    asks = (mean_age(0, 100), mean_age(3, 100), mean_age(0, 50), mean_age(50, 97), mean_age(0, 50))
    sizes = [each["age"].n for each in rounds(patients(), *asks)]
    assert sizes == [100, 0, 50, 0, 50]
    without = [each["age"].n for each in rounds(patients(), *asks, subject="")]
    assert without == [100, 97, 50, 47, 50]  # the attack: sizes of one answer alone were compared


def test_groups_close_by_chance_leave():
    groups = [(0, 50), (50, 97), (100, 147), (150, 200)]

    def ask(table):
        return [RowCount.from_data(table.iloc[first:last]) for first, last in groups]

    [with_people] = rounds(patients(200), ask)
    [by_sizes] = rounds(patients(200), ask, subject="")
    assert [each.rows for each in with_people] == [50, 47, 47, 50]
    assert [each.rows for each in by_sizes] == [50, 0, 0, 50]


def test_two_missing_values_keep_a_mean_back():
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


def test_a_renamed_column_is_the_same():
    sent = rounds(patients(), some_of("a", 0, 50), some_of("b", 0, 49), some_of("c", 0, 45))
    counts = [found.column(name)[0].n for found, name in zip(sent, "abc", strict=True)]
    assert counts == [50, 0, 45]


def test_a_computed_column_is_compared_with_all():
    def doubled(table):
        return some_of("b", 1, 50)(table.assign(age=2 * table["age"]))

    sent = rounds(patients(), some_of("a", 0, 50), doubled)
    assert [found.columns for found in sent] == [("person", "a"), ("person", "b")]
    assert [found.column(name)[0].n for found, name in zip(sent, "ab", strict=True)] == [50, 0]


def test_other_columns_of_nearly_all_leave():
    table = patients()
    table.loc[:19, "age"] = np.nan
    table.loc[:17, "bmi"] = np.nan
    found = rounds(table, describe)[0].result()["columns"]
    assert (found["age"]["count"], found["bmi"]["count"]) == (80, 82)


def ages_between(table, low, high, but=()):
    there = table["age"].between(low, high) & ~table["person"].isin(but)
    return table[there].set_index("person")["age"]


@pytest.mark.parametrize("together", [True, False])
def test_a_group_less_one_tells_no_bin(together):
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
def test_two_rounds_counts_hide_the_left_out(form):
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
def test_one_row_less_does_not_tell(kind):
    visits = pd.concat([patients(40)] * 3, ignore_index=True).assign(stage=["a", "b"] * 60)

    def without(*rows):
        column = "age" if kind is Moments else "stage"
        return lambda table: kind.from_data(
            table.drop(index=list(rows)).set_index("person")[column]
        )

    sent = rounds(visits, without(), without(7), without(7, 47), without(*range(10, 20)))
    assert [each.size for each in sent] == [120, 0, 0, 110]


def test_people_of_several_rows_are_no_difference():
    visits = pd.concat([patients(40)] * 3, ignore_index=True)
    visits["high"] = (visits.index < 80 - 3) | (visits.index >= 117)  # 38 people have it at a visit

    def ask(table):
        return [ValueCounts.from_data(table.set_index("person")["high"]), RowCount.from_data(table)]

    [[labels, rows]] = rounds(visits, ask)
    assert (labels.size, rows.rows) == (120, 120)


def test_a_figure_near_known_people_is_withheld():
    def ask(table):
        return [RowCount.from_data(table), RowCount.from_data(list(range(97)))]

    assert [each.rows for each in rounds(patients(), ask)[0]] == [100, 0]
