"""Statistics of the same columns or labels, in another order at one node: merged by name."""

from __future__ import annotations

import itertools
import json
from functools import reduce

import numpy as np
import pandas as pd
import pytest

from flame_flwr.errors import ModelError
from flame_flwr.privacy import MinCount
from flame_flwr.statistics import (
    ContingencyTable,
    Covariance,
    LogRank,
    Missingness,
    ValueCounts,
    describe,
)

TIMES = range(1, 8)
NUMBERS = ["age", "weight", "score"]
MIXED = ["age", "sex", "score"]
SEXES = ["f", "m", "d"]
ILL = ["no", "yes", "maybe"]


def table(seed, n=40):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": random.integers(20, 90, n).astype(float),
            "weight": np.where(random.random(n) < 0.2, np.nan, random.normal(70, 9, n).round(1)),
            "score": random.normal(0, 1, n),
            "sex": random.choice(SEXES, n),
            "ill": random.choice(ILL, n),
            "time": random.integers(1, 8, n),
            "event": random.integers(0, 2, n),
        }
    )


KINDS = {
    "describe": (MIXED, lambda t, names: describe(t[names], {"sex": SEXES})),
    "covariance": (NUMBERS, lambda t, names: Covariance.from_data(t[names])),
    "missingness": (NUMBERS, lambda t, names: Missingness.from_data(t[names])),
    "counts": (SEXES, lambda t, names: ValueCounts.from_data(t["sex"], names)),
    "rows": (SEXES, lambda t, names: ContingencyTable.from_data(t["sex"], t["ill"], names, ILL)),
    "columns": (ILL, lambda t, names: ContingencyTable.from_data(t["sex"], t["ill"], SEXES, names)),
    "groups": (
        SEXES,
        lambda t, names: LogRank.from_data(t["time"], t["event"], t["sex"], names, TIMES),
    ),
}
"""The names of a statistic, and how it is made with them in some order."""

every = pytest.mark.parametrize("kind", KINDS)


def merged(parts):
    return reduce(lambda one, two: one.merge(two), parts)


def bits(value):
    return json.dumps(value.to_json())


@every
def test_names_in_another_order_change_no_figure(kind):
    names, make = KINDS[kind]
    tables = [table(0), table(1), table(2)[:0], table(3)]
    orders = [names, names[::-1], [names[1], names[2], names[0]], names]
    parts = [make(*each) for each in zip(tables, orders, strict=True)]
    alphabetical = merged([make(each, sorted(names)) for each in tables])
    assert {bits(merged(turn)) for turn in itertools.permutations(parts)} == {bits(alphabetical)}
    assert bits(parts[0].merge(merged(parts[1:]))) == bits(alphabetical)


@every
def test_one_order_at_all_nodes_is_kept(kind):
    names, make = KINDS[kind]
    parts = [make(table(seed), names[::-1]) for seed in range(3)]
    assert names[::-1] in merged(parts).to_json().values()


@every
def test_no_order_shows_where_counts_are_withheld(kind):
    names, make = KINDS[kind]
    orders = [names, names[::-1], names]
    parts = [make(table(n), order).with_min_count(5) for n, order in enumerate(orders)]
    assert len({bits(merged(turn)) for turn in itertools.permutations(parts)}) == 1


@every
def test_other_names_are_an_error_that_says_which(kind):
    names, make = KINDS[kind]
    renamed = table(2).rename(columns={names[2]: "other"}).replace(names[2], "other")
    one, two = make(table(1), names), make(renamed, [*names[:2], "other"])
    for pair in ((one, two), (two, one)):
        with pytest.raises(ModelError, match="cannot be merged: give every node the same") as e:
            pair[0].merge(pair[1])
        assert "'other'" in e.value.detail
        assert repr(names[2]) in e.value.detail
        assert repr(names[0]) not in e.value.detail
        assert "other" not in e.value.message.replace("another", "")


@pytest.mark.parametrize(
    "labels",
    [(["f", "m"], ["no", "yes"]), (["m", "f"], ["yes", "no"]), (["M", " f"], ["YES", "No"])],
)
def test_another_spelling_does_not_evade_the_differences_rule(labels):
    """Of the 20 who are in the larger table only, two are women who are ill: no sum shows it."""

    def table(cells, *order):
        pairs = [pair for pair, n in cells.items() for _ in range(n)]
        sex, ill = zip(*pairs, strict=True)
        return ContingencyTable.from_data(sex, ill, *order)

    few = {("f", "yes"): 20, ("f", "no"): 30, ("m", "yes"): 40, ("m", "no"): 25}
    more = {("f", "yes"): 2, ("f", "no"): 8, ("m", "yes"): 8, ("m", "no"): 2}
    both = {pair: few[pair] + more[pair] for pair in few}
    sent = MinCount(5).protect([table(both, ["f", "m"], ["no", "yes"]), table(few, *labels)])
    assert [part.suppressed for part in sent] == [0, 1]


def test_labels_declared_in_other_spellings_merge():
    one = ValueCounts.from_data(["0", "1"], ["0", "1"])
    two = ValueCounts.from_data([0, 1, 1], [0, 1])
    assert one.merge(two) == two.merge(one)
    assert one.merge(two).result()["counts"] == [2, 3]
    with pytest.raises(ModelError, match="labels are declared at one node and found in the data"):
        one.merge(ValueCounts.from_data(["0"]))
