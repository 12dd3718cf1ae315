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
ORDERS = [[0, 1, 2], [2, 0, 1], [1, 2, 0], [0, 1, 2]]


def table(seed, n=40):
    random = np.random.default_rng(seed)
    sex = random.choice(["f", "m", "d"], n)
    return pd.DataFrame(
        {
            "age": random.integers(20, 90, n).astype(float),
            "weight": np.where(random.random(n) < 0.2, np.nan, random.normal(70, 9, n).round(1)),
            "score": random.normal(0, 1, n),
            "sex": sex,
            "ill": random.choice(["no", "yes", "maybe"], n),
            "time": random.integers(1, 8, n),
            "event": random.integers(0, 2, n),
        }
    )


NUMBERS = ["age", "weight", "score"]
MIXED = ["age", "sex", "score"]
SEXES = ["f", "m", "d"]
ILL = ["no", "yes", "maybe"]


def ordered(names, order):
    return [names[i] for i in order]


KINDS = {
    "describe": lambda t, o: describe(t[ordered(MIXED, o)], {"sex": SEXES}),
    "covariance": lambda t, o: Covariance.from_data(t[ordered(NUMBERS, o)]),
    "missingness": lambda t, o: Missingness.from_data(t[ordered(NUMBERS, o)]),
    "counts": lambda t, o: ValueCounts.from_data(t["sex"], ordered(SEXES, o)),
    "rows": lambda t, o: ContingencyTable.from_data(t["sex"], t["ill"], ordered(SEXES, o), ILL),
    "cells": lambda t, o: ContingencyTable.from_data(
        t["sex"], t["ill"], ordered(SEXES, o), ordered(ILL, o[::-1])
    ),
    "logrank": lambda t, o: LogRank.from_data(
        t["time"], t["event"], t["sex"], ordered(SEXES, o), TIMES
    ),
}
every = pytest.mark.parametrize("kind", KINDS)


def merged(parts):
    return reduce(lambda one, two: one.merge(two), parts)


def bits(value):
    return json.dumps(value.to_json())


@every
@pytest.mark.parametrize("k", [0, 5])
def test_names_in_another_order_change_no_figure(kind, k):
    make = KINDS[kind]
    tables = [table(seed) for seed in range(4)]
    parts = [make(t, order) for t, order in zip(tables, ORDERS, strict=True)]
    if k:
        parts = [part.with_min_count(k) for part in parts]
    found = merged(parts)
    assert len({bits(merged(order)) for order in itertools.permutations(parts)}) == 1
    assert bits(parts[0].merge(parts[1].merge(parts[2].merge(parts[3])))) == bits(found)
    # one by one as if every node had the order that the merged one has
    names = found.to_json().get("columns" if kind in ("describe", "covariance") else "x")
    order = sorted(range(3), key=(MIXED if kind == "describe" else NUMBERS).__getitem__)
    if names is not None:
        assert names == ordered(MIXED if kind == "describe" else NUMBERS, order)
    if k:
        return
    pooled = make(pd.concat(tables, ignore_index=True), [0, 1, 2]).result()
    assert flat(found.result()) == pytest.approx(flat(pooled), rel=1e-9)


def flat(result):
    """Return figures by the names that they belong to."""
    if "covariance" in result:
        pairs = itertools.product(enumerate(result["columns"]), repeat=2)
        return {
            ("n",): result["n"],
            **{
                (what, a, b): result[what][i][j]
                for what in ("covariance", "correlation")
                for (i, a), (j, b) in pairs
            },
            **dict(zip(result["columns"], result["mean"], strict=True)),
        }
    if "rows" in result and isinstance(result["rows"], list):
        return {
            (row, column): count
            for row, counts in zip(result["rows"], result["counts"], strict=True)
            for column, count in zip(result["columns"], counts, strict=True)
        }
    if "groups" in result:
        rows = zip(result["n"], result["observed"], result["expected"], strict=True)
        pairs = zip(result["groups"], rows, strict=True)
        figures = {(group, i): x for group, row in pairs for i, x in enumerate(row)}
        return figures | {"statistic": result["statistic"], "p": result["p"]}
    if "labels" in result:
        return dict(zip(result["labels"], result["counts"], strict=True))
    if "columns" in result:
        return {
            (column, name): value
            for column, figures in result["columns"].items()
            for name, value in figures.items()
            if isinstance(value, int | float) and name not in ("25%", "50%", "75%")
        }
    return {(what, name): x for what in ("rows", "missing") for name, x in result[what].items()}


@every
def test_one_order_at_all_nodes_is_kept(kind):
    parts = [KINDS[kind](table(seed), [2, 0, 1]) for seed in range(3)]
    kept = {
        key: merged(parts).to_json()[key]
        for key in ("columns", "rows", "groups", "declared")
        if key in parts[0].to_json()
    }
    for key, value in kept.items():
        if isinstance(value, list) and isinstance(value[0], str):
            assert value == parts[0].to_json()[key]


@every
def test_zero_in_another_order_changes_no_figure(kind):
    part = KINDS[kind](table(1), [0, 1, 2])
    empty = KINDS[kind](table(1)[:0], [2, 1, 0])
    if kind == "describe":
        return  # an empty column of a kind is found by its type: tested in test_pooled
    assert flat(part.merge(empty).result()) == pytest.approx(flat(part.result()))


@every
def test_other_names_are_an_error_that_says_which(kind):
    one = KINDS[kind](table(1), [0, 1, 2])
    other = KINDS[kind](table(2), [0, 1, 2])
    new = {
        "describe": lambda: describe(table(2)[["age", "sex", "weight"]], {"sex": SEXES}),
        "covariance": lambda: Covariance.from_data(table(2)[["age", "weight", "time"]]),
        "missingness": lambda: Missingness.from_data(table(2)[["age", "weight", "time"]]),
        "counts": lambda: ValueCounts.from_data(table(2)["sex"], ["f", "m", "time"]),
        "rows": lambda: ContingencyTable.from_data(["f"], ["no"], ["f", "m", "time"], ILL),
        "cells": lambda: ContingencyTable.from_data(["f"], ["no"], SEXES, ["no", "yes", "time"]),
        "logrank": lambda: LogRank.from_data([1], [1], ["f"], ["f", "m", "time"], TIMES),
    }[kind]()
    one.merge(other)
    for pair in ((one, new), (new, one)):
        with pytest.raises(ModelError, match="cannot be merged: give every node the same") as e:
            pair[0].merge(pair[1])
        named = "weight" if kind == "describe" else "time"
        assert repr(named) in e.value.detail
        assert "age" not in e.value.detail
        assert named not in e.value.message


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
