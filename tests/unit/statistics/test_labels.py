"""Which labels are one: one rule, for every statistic and for what an analysis expects."""

from __future__ import annotations

import io
import logging
from functools import reduce

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame_flwr import labels as rule
from flame_flwr.data.expect import Column, Table, mismatches
from flame_flwr.errors import ModelError
from flame_flwr.labels import DeclaredLabels, label_key
from flame_flwr.statistics import ContingencyTable, LogRank, ValueCounts, describe

SAME = [
    [0, 0.0, "0", "0.0", np.int8(0), np.float32(0), np.str_("0"), "-0", -0.0],
    [7, "7", "7.0", np.uint64(7)],
    [0.5, "0.5", np.float64(0.5)],
    [2**60 + 1, str(2**60 + 1)],
    [True, "True", np.bool_(True)],
    ["f", np.str_("f")],
]
"""Spellings of one label each, and no two of them the same."""

ALIKE = [
    ("f", ["F", " f", "f ", "\tF\n", "\xa0f"]),
    (1, ["01", "+1", "1.", "1.00", "1e0", " 1 ", "1.0 "]),
    ("straße", ["STRASSE", "Straße"]),
    ("köln", ["ko\u0308ln", "KO\u0308LN"]),
    (True, ["TRUE", "true", " True"]),
    ("yes", ["Yes", "YES "]),
    (0.25, [".25", "0.250"]),
]
"""A declared label, and what counts as it."""

NONE_OF_0_AND_1 = [
    "x",
    "",
    "0x1",
    "1_0",
    "\u0661",
    "1,0",
    "1 0",
    "one",
    True,
    False,
    "1e400",
    "0.5",
]


@pytest.mark.parametrize("labels", SAME)
def test_spellings_of_one_label_are_one(labels):
    for label in labels:
        assert DeclaredLabels([labels[0]]).find(label) == 0
    counts = [ValueCounts.from_data(pd.Series([label], dtype=object)) for label in labels]
    merged = reduce(lambda one, two: one.merge(two), counts).result()
    assert (merged["labels"], merged["counts"]) == ([labels[0]], [len(labels)])


def test_other_labels_are_not_one():
    firsts = [labels[0] for labels in SAME]
    assert len({label_key(label) for label in firsts}) == len(SAME)
    known = DeclaredLabels(firsts)
    assert [known.find(label) for label in firsts] == list(range(len(SAME)))


@pytest.mark.parametrize(("declared", "values"), ALIKE)
def test_case_and_spaces_make_no_other_label(declared, values):
    for value in values:
        assert DeclaredLabels(["a", declared]).find(value) == 1
        assert ValueCounts.from_data([value], ["a", declared]).result()["counts"] == [0, 1] or (
            ValueCounts.from_data([value], ["a", declared]).result()["counts"] == [1, 0]
        )


def test_what_is_like_two_labels_is_none():
    found = ValueCounts.from_data(["f", "F", "F", "f ", "x"], ["f", "F"]).result()
    assert dict(zip(found["labels"], found["counts"], strict=True)) == {"f": 1, "F": 2}
    assert found["other"] == 2
    genotypes = ["CC", "Cc", "cc"]
    assert ValueCounts.from_data(["Cc", "cc", "cc"], genotypes).result()["counts"] == [0, 1, 2]


def test_labels_that_are_found_keep_their_letters():
    found = ValueCounts.from_data(["CC", "Cc", "F", "f", "01", "1"]).result()
    assert found["labels"] == ["1", "01", "CC", "Cc", "F", "f"]
    assert found["counts"] == [1] * 6


@settings(deadline=None)
@given(st.lists(st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans()))
def test_every_label_read_is_found_again(values):
    for value in values:
        if value in (float("inf"), float("-inf")):
            continue
        (read,) = ValueCounts.from_data(pd.Series([value], dtype=object)).result()["labels"]
        assert DeclaredLabels([read]).find(value) == 0
        assert label_key(read) == label_key(rule.as_python(value))


# ---- in every statistic ---------------------------------------------------------------------

TIMES = range(1, 6)


def value_counts(column):
    found = ValueCounts.from_data(column, [0, 1]).result()
    return found["counts"], found["other"], found["missing"]


def contingency_rows(column):
    n = len(column)
    found = ContingencyTable.from_data(column, ["x"] * n, [0, 1], ["x"]).result()
    return [row[0] for row in found["counts"]], found["other"], None


def contingency_columns(column):
    n = len(column)
    found = ContingencyTable.from_data(["x"] * n, column, ["x"], [0, 1]).result()
    return found["counts"][0], found["other"], None


def log_rank(column):
    n = len(column)
    found = LogRank.from_data([3] * n, [1] * n, column, [0, 1], TIMES).result()
    return found["n"], found["other"], found["missing"]


def described(column):
    found = describe({"group": column}, {"group": [0, 1]})
    figures = found.result()["columns"]["group"]
    counts = found.column("group")[0].result()
    assert figures["count"] == sum(counts["counts"]) + figures["other"]
    return counts["counts"], figures["other"], counts["missing"]


EVERY = [value_counts, contingency_rows, contingency_columns, log_rank, described]
every = pytest.mark.parametrize("count", EVERY)
ZEROS, ONES = [0, "0", 0.0, "0.0 "], [1, "1", np.float32(1), "01", " 1"]


@every
def test_every_statistic_counts_labels_by_one_rule(count, caplog):
    column = pd.Series([*ZEROS, *ONES, *NONE_OF_0_AND_1, None, np.nan], dtype=object)
    with caplog.at_level(logging.WARNING, "flame_flwr"):
        counts, other, missing = count(column)
    assert counts == [len(ZEROS), len(ONES)]
    assert other == len(NONE_OF_0_AND_1) + (2 if missing is None else 0)
    assert missing in (2, None)
    said = f"{len(NONE_OF_0_AND_1)} values of {len(column)} fit none of the labels: counted as"
    assert said in caplog.text


@every
def test_nothing_is_said_where_all_fit(count, caplog):
    with caplog.at_level(logging.INFO, "flame_flwr"):
        counts, other, _ = count(pd.Series([0, 1, "1", None], dtype=object))
    assert (counts, other) in (([1, 2], 0), ([1, 2], 1))
    assert caplog.text == ""


CELLS = ["0", "1", "1.0", "0.0", "f", "F", " f", "x", "true", "TRUE", "2", "01", "yes", "YES "]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(CELLS), min_size=1, max_size=6),
    st.lists(st.sampled_from(["f", "m", 0, 1, "true", "yes", 0.5, "F"]), min_size=1, unique=True),
)
def test_what_expects_accepts_every_statistic_counts(cells, labels):
    content = ("a,b\n" + "".join(f'"{cell}",x\n' for cell in cells)).encode()
    table = Table("t.csv", {"a": Column(values=labels)})
    accepted = mismatches([table], [{"t.csv": content}]) == []
    column = pd.read_csv(io.BytesIO(content))["a"]
    assert accepted == (ValueCounts.from_data(column, labels).result()["other"] == 0)
    test = LogRank.from_data([1] * len(cells), [1] * len(cells), column, [*labels, "?"], TIMES)
    assert accepted == (test.result()["other"] == 0)


# ---- who fits no group of a log-rank test ---------------------------------------------------


def survival(group, n=40):
    return LogRank.from_data([1 + i % 5 for i in range(n)], [1] * n, group, ["a", "b"], TIMES)


def test_few_people_of_no_group_are_withheld():
    test = survival(["a"] * 18 + ["b"] * 17 + ["x"] * 3 + [None] * 2)
    assert (test.result()["other"], test.result()["missing"]) == (3, 2)
    sent = test.with_min_count(5)
    assert (sent.outside, sent.suppressed) == ((0, 0), 1)
    found = sent.merge(survival(["a"] * 20 + ["b"] * 20)).result()
    assert (found["other"], found["missing"], found["suppressed"]) == (None, None, 1)
    assert found["n"] == [38, 37]


def test_people_of_no_group_travel_and_are_withheld():
    test = survival(["a"] * 20 + ["b"] * 10 + ["x"] * 10)
    assert LogRank.from_json(test.to_json()) == test
    assert test.with_min_count(5).result()["other"] == 10
    assert test.withheld().result()["other"] is None
    assert test.with_min_count(15).outside == (0, 0)  # group b is few: all is withheld
    with pytest.raises(ModelError):
        LogRank.from_json(test.to_json() | {"outside": [1]})


def test_people_without_a_duration_are_not_others():
    test = LogRank.from_data([1, None, 2], [1, 1, None], ["x", "x", "x"], ["a", "b"], TIMES)
    assert test.result()["other"] == 1


def test_every_statistic_refuses_labels_that_are_none():
    for make in (
        lambda labels: ValueCounts.from_data(["a"], labels),
        lambda labels: LogRank.from_data([1], [1], ["a"], labels, TIMES),
        lambda labels: ContingencyTable.from_data(["a"], ["a"], labels, ["a"]),
        lambda labels: describe({"a": ["a"]}, {"a": labels}),
    ):
        with pytest.raises(ModelError, match="labels must be a list of labels"):
            make("ab")
        with pytest.raises(ModelError, match="two labels are alike"):
            make(["b", 0, "0"])
        with pytest.raises(ModelError, match="a missing value is no label"):
            make(["a", None])


@pytest.mark.parametrize(
    "column",
    [
        ["f", None, "m", "f", np.nan],
        [1, True, 1.0, "1", None, False, 0],
        [2.0, np.nan, 2.5, 2.0],
        pd.array([1, None, 3, 1], dtype="Int64"),
        pd.array([True, None, False], dtype="boolean"),
        pd.Categorical(["b", None, "a", "b"]),
        [],
    ],
)
def test_a_column_counts_as_its_single_values(column):
    for kind in (None, object):
        series = pd.Series(column, dtype=kind)
        assert ValueCounts.from_data(series) == ValueCounts.from_data(list(series))
        declared = [1, True, "f", 2.5, "b"]
        found = ValueCounts.from_data(series, declared)
        assert found == ValueCounts.from_data(list(series), declared)
