"""Statistics and counts by label on the grid are those that merging gives."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from secure_federation import Federation

from flame_flwr import statistics as known
from flame_flwr.aggregation import MergeCounts
from flame_flwr.aggregation.merged_round import merge_values
from flame_flwr.errors import AnswerError
from flame_flwr.payload import decode, encode
from flame_flwr.statistics import Moments, ValueCounts
from flame_flwr.strategies import MergeStatistics

from .grid_rounds import FLOATS, merged, on_grid

AGES = ([61.0, 70.5, None], [83.0], [20.0, 20.0, 35.25, 40.0])


def statistics_of(ages):
    filled = [1.0 if age is None else age for age in ages]
    ill = [place % 2 for place in range(len(ages))]
    groups = ["a" if age > 40 else "b" for age in filled]
    frame = {"age": ages, "ill": ill}
    return {
        "rows": known.RowCount.from_data(ages),
        "total": known.Total.from_data(ages),
        "moments": known.Moments.from_data(ages),
        "covariance": known.Covariance.from_data({"age": filled, "ill": ill}),
        "histogram": known.Histogram.from_data(ages, edges=[0, 30, 60, 90]),
        "counts": known.ValueCounts.from_data(groups, labels=["a", "b"]),
        "table": known.ContingencyTable.from_data(groups, ill, ["a", "b"], [0, 1]),
        "curve": known.KaplanMeier.from_data(filled, ill, times=[20, 50, 90]),
        "test": known.LogRank.from_data(filled, ill, groups, groups=["a", "b"], times=[20, 50, 90]),
        "auc": [known.AUC.from_data(ill, [age / 100 for age in filled])],
        "missing": (known.Missingness.from_data(frame),),
    }


def test_statistics_are_those_that_merge_gives():
    answers = [statistics_of(ages) for ages in AGES]
    declared = MergeStatistics().reductions
    assert merged(declared, answers) == merge_values(declared, answers)


def test_masked_statistics_are_those_of_the_grid():
    declared = MergeStatistics().reductions
    answers = [decode(encode(statistics_of(ages))) for ages in AGES]  # as a gate gets them
    assert repr(Federation(declared).round(answers)) == repr(merged(declared, answers))


def test_withheld_figures_are_summed_as_merged():
    answers = [
        {name: part.with_min_count(2) for name, part in statistics_of(ages).items()
         if name not in ("auc", "missing")}
        for ages in AGES
    ]  # fmt: skip
    declared = MergeStatistics().reductions
    assert merged(declared, answers) == merge_values(declared, answers)


@settings(max_examples=30)
@given(st.lists(st.lists(FLOATS, max_size=6), min_size=3, max_size=6))
def test_moments_are_fractions_on_the_grid(columns):
    result = merged(MergeStatistics().reductions, [Moments.from_data(each) for each in columns])
    parts = [Moments.from_data(each) for each in columns]
    assert result.n == sum(map(len, columns))
    assert result.squares == sum((on_grid(part.squares, 128) for part in parts), Fraction(0))


def test_found_labels_cannot_be_summed():
    with pytest.raises(AnswerError, match=r"node-0: key .*ValueCounts without declared labels"):
        merged(MergeStatistics().reductions, [ValueCounts.from_data(["f"])] * 3)


def test_counts_are_summed_by_declared_label():
    answers = [{"sex": {"f": 3, "m": 1}}, {"sex": {"f": 2}}, {"sex": {}}]
    declared = {"sex": MergeCounts(labels=["m", "f", "d"])}
    assert merged(declared, answers) == {"sex": {"m": 1, "f": 5, "d": 0}}
    assert merge_values(declared, answers) == merged(declared, answers)


def test_undeclared_label_is_an_error():
    with pytest.raises(AnswerError, match="'x', which is not declared"):
        merged({"sex": MergeCounts(labels=["f"])}, [{"sex": {"x": 1}}] * 3)
