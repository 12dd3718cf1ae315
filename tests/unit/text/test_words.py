"""Settings in words: of every rule, filter, convergence and expectation, and of hostile values."""

import enum
import re
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from flame_flwr.aggregation.convergence import MaxRounds, When
from flame_flwr.aggregation.delta_norm import DeltaNorm
from flame_flwr.aggregation.plateau import Plateau
from flame_flwr.data.expect import Column, Resources, Table
from flame_flwr.payload.outline import outline
from flame_flwr.privacy import (
    Clip,
    DisclosureRule,
    GaussianNoise,
    MaxBins,
    MaxRows,
    MinCount,
    NoisyMinMax,
    RowsPerParameter,
    SparseVector,
    Strict,
    TopFraction,
)
from flame_flwr.statistics import RowCount, Total
from flame_flwr.strategies import MergeStatistics, StarStrategy, WeightedFedAvg
from flame_flwr.text.words import arguments_in_words, form_in_words, value_in_words

PYTHON = re.compile(r"\w\(|[{}<>=\[\]'\"]|\bTrue\b|\bFalse\b|\bNone\b|0x[0-9a-f]+")


@dataclass(frozen=True)
class OnlyLarge(DisclosureRule):
    least: int
    deep: bool = False

    def stricter(self, other):
        return self


SETTINGS = [
    (MinCount(7), ["7 people"]),
    (NoisyMinMax(0.1, 0.2, secret="s3cret"), ["0.1 to 0.2"]),
    (MaxBins(50), ["50 bins"]),
    (MaxRows(200), ["200 rows"]),
    (Strict(), ["only statistics"]),
    (RowsPerParameter(4), ["4 rows"]),
    (OnlyLarge(100, deep=True), ["only large", "least: 100", "deep: yes"]),
    (Clip(1.5, keys=["model.coef", "w"]), ["at most 1.5", "model.coef, w"]),
    (TopFraction(0.25), ["0.25"]),
    (SparseVector(0.01, 1.0, 0.5, 0.25, 0.75, seed=987), ["0.01", "0.25", "0.75"]),
    (GaussianNoise(2.0, 1.25, seed=987), ["at most 2", "1.25 times", "1e-05"]),
    (MaxRounds(10), ["after 10 rounds"]),
    (DeltaNorm("coef", 1e-3, ord=np.inf), ["coef changes by at most 0.001", "order inf"]),
    (DeltaNorm(lambda aggregate: 0.0, 0.5) | MaxRounds(3), ["a function", ", or after 3 rounds"]),
    (Plateau("auc", 4, mode="max", min_delta=0.01), ["auc has not become larger", "0.01", "4"]),
    (When(lambda now, last: True) & MaxRounds(2), ["a function says so, and after 2 rounds"]),
    (Table(["a.csv", "b.csv"], {"age": Column("whole", 0, 120)}, min_rows=20), ["0 to 120", "20"]),
    (Table("c.csv", {"s": Column(values=[True, "f"], required=False)}), ["yes, f", "need not be"]),
    (Resources("Patient", at_least=9, low=None, high=3.5), ["9 or more", "up to 3.5"]),
    (WeightedFedAvg(metrics=["loss"], convergence=MaxRounds(1)), ["loss by weighted mean"]),
    (MergeStatistics(Total), ["whole value by merging total"]),
    (StarStrategy(None), ["the aggregator gets all answers"]),
]


@pytest.mark.parametrize(("setting", "said"), SETTINGS, ids=lambda each: type(each).__name__)
def test_settings_are_words(setting, said):
    text = setting.in_words()
    assert [word for word in said if word not in text] == [], text
    assert PYTHON.findall(text) == [], text
    assert "s3cret" not in text
    assert "987" not in text


class Hostile:
    def __repr__(self):
        raise RuntimeError("no text")

    __str__ = __repr__

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Hostile(), "a hostile"),
        ([Hostile(), None], "a hostile, none"),
        (np.zeros((3, 4)), "an array of 3 x 4"),
        (pd.DataFrame({"a": [1, 2]}), "a table of 2 x 1"),
        (np.float64(0.5), "0.5"),
        ("two\nlines\x1b[2J", "two lines?[2J"),
        (np.mean, "mean"),
        (enum.Enum("Arm", "LOW_DOSE HIGH").LOW_DOSE, "LOW DOSE"),
        (enum.StrEnum("Arm", {"LOW": "low dose"}).LOW, "low dose"),
        (enum.IntFlag("Rights", "READ WRITE")(3), "READ|WRITE"),
        (enum.IntFlag("Rights", "READ WRITE")(0), "0"),
        ({}, "empty"),
        (range(9), "a range"),
        (b"\x00secret", "a bytes"),
    ],
)
def test_values_are_words(value, expected):
    assert value_in_words(value) == expected


@pytest.mark.parametrize("text", ["a" * 5000, "a_" * 2500, "a b" * 2000, "a (1, " * 1000])
def test_a_strangers_long_text_is_read_fast(text):
    began = time.process_time()
    form_in_words(text)
    assert time.process_time() - began < 2


def test_what_is_long_or_deep_is_cut():
    assert value_in_words(list(range(1000))).endswith("19, and more")
    assert len(value_in_words("x" * 10**6)) < 310
    assert "int" in value_in_words(10**5000)
    deep = []
    deep.append(deep)
    assert value_in_words(deep) == "a list"
    many = arguments_in_words({f"k{i}": "x" * 500 for i in range(50)})
    assert len(many) < 1300


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            {"n": 3, "of": {"a": RowCount(2)}},
            "named values (whole number, named values (row count))",
        ),
        ((0.5, [True, None]), "list (number, list (yes or no, nothing))"),
        (np.zeros((2, 3), dtype=np.float32), "array of 2 x 3 numbers"),
        (np.array(["a"]), "array of 1 texts"),
        (np.zeros(()), "array of one value, numbers"),
        (np.array(["2026-01-01"], dtype="datetime64[ns]"), "array of 1 times"),
        (pd.Series([1, 2]), "column of 2"),
        ({1, 2}, "set of 2"),
    ],
)
def test_the_form_of_a_value_is_no_python(value, said):
    assert form_in_words(outline(value, keys=False)) == said


@pytest.mark.parametrize("odd", ["a (" + "1" * 300, "(" * 300, "a (1, 2", "list(" * 60])
def test_an_odd_outline_is_taken_as_it_is(odd):
    assert len(form_in_words(odd)) < 1000
