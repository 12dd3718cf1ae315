"""`MinCount`: what of small groups leaves, and what is said of what does not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from flame_flwr.privacy import (
    Disclosure,
    MaxBins,
    MinCount,
    NoisyMinMax,
    Strict,
)
from flame_flwr.star import StarModelTester
from flame_flwr.statistics import (
    AUC,
    ContingencyTable,
    Covariance,
    Histogram,
    KaplanMeier,
    LogRank,
    MetaAnalysis,
    MinMax,
    Missingness,
    Moments,
    Quantiles,
    RowCount,
    Total,
    ValueCounts,
    describe,
)
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.fields import COUNT

from .studies import AGES, Ages, Merge, through


def run(*disclosure, analyzer=Ages, **options):
    return StarModelTester(
        AGES, analyzer, Merge, "s3", disclosure=list(disclosure), **options
    ).result


def test_a_small_node_is_left_out_of_means():
    found = run(MinCount(5))["age"]

    true = np.array(AGES[0] + AGES[2])
    assert found["n"] == len(true)
    assert found["mean"] == pytest.approx(true.mean())
    assert found["variance"] == pytest.approx(true.var(ddof=1))
    assert found["suppressed"] == 1
    assert run()["age"]["n"] == sum(map(len, AGES))


SMALL = pd.DataFrame(
    {"a": [1.5, 2.5, 7.25], "b": [9.0, 8.0, 6.5], "t": [1, 2, 2], "e": [1, 0, 1], "g": list("xyx")}
)
OF_SMALL = {
    "RowCount": RowCount.from_data(SMALL),
    "Missingness": Missingness.from_data(SMALL),
    "Total": Total.from_data(SMALL["a"]),
    "Moments": Moments.from_data(SMALL["a"]),
    "MinMax": MinMax.from_data(SMALL["a"]),
    "Covariance": Covariance.from_data(SMALL[["a", "b"]]),
    "Histogram": Histogram.from_data(SMALL["a"], [0, 2, 8]),
    "found": ValueCounts.from_data(SMALL["g"]),
    "declared": ValueCounts.from_data(SMALL["g"], ["x", "y"]),
    "ContingencyTable": ContingencyTable.from_data(SMALL["g"], SMALL["e"], ["x", "y"], [0, 1]),
    "Quantiles": Quantiles.from_data(SMALL["a"]),
    "KaplanMeier": KaplanMeier.from_data(SMALL["t"], SMALL["e"], [1, 2]),
    "LogRank": LogRank.from_data(SMALL["t"], SMALL["e"], SMALL["g"], ["x", "y"], [1, 2]),
    "AUC": AUC.from_data(SMALL["e"], SMALL["a"] / 10, bins=4),
    "MetaAnalysis": MetaAnalysis.from_data(0.5, 0.1, 3),
    "describe": describe(SMALL),
}


@pytest.mark.parametrize("kind", OF_SMALL)
def test_no_figure_of_a_small_group_leaves(kind):
    """What leaves is what would leave of no patients at all, marked as suppressed."""
    value = OF_SMALL[kind]
    sent = through(value, MinCount(5))

    assert sent.size == 0
    assert sent.suppressed == 1
    assert sent == value.withheld()
    assert sent.result()["suppressed"] == 1
    leaves = json.dumps(sent.to_json())
    assert "7.25" not in leaves
    if kind in ("found", "describe"):
        assert '"y"' not in leaves


def test_names_of_withheld_labels_do_not_leave():
    values = ["flu"] * 30 + ["cold"] * 20 + ["Maria's illness"] * 2
    sent = through(ValueCounts.from_data(values), MinCount(5))

    assert "Maria" not in json.dumps(sent.to_json())
    assert sent.result()["labels"] == ["flu"]  # cold is withheld as well: else 52 - 30 - 20 = 2
    other = ValueCounts.from_data(["flu"] * 7 + ["cold"] * 9)
    found = sent.merge(other).result()
    assert dict(zip(found["labels"], found["counts"], strict=True)) == {"flu": 37, "cold": None}
    assert dict(zip(found["labels"], found["known"], strict=True)) == {"flu": 37, "cold": 9}
    assert found["suppressed"] == 1


def test_a_withheld_cell_is_none_when_merged():
    one = through(Histogram.from_data([1] * 2 + [3] * 9 + [5] * 20, [0, 2, 4, 6]), MinCount(5))
    two = through(Histogram.from_data([1] * 10 + [3] * 10 + [5] * 7, [0, 2, 4, 6]), MinCount(5))
    found = one.merge(two).result()

    assert found["counts"] == [None, None, 27]
    assert found["known"] == [10, 10, 27]
    assert found["withheld_at"] == [1, 1, 0]
    assert found["suppressed"] == 1


def test_missing_values_are_a_cell_too():
    sent = through(
        Histogram.from_data([1.0] * 30 + [3.0] * 20 + [None] * 2, [0, 2, 4]), MinCount(5)
    )

    assert sent.result()["missing"] is None
    assert sent.result()["counts"] == [30, None]


def test_two_counts_do_not_give_who_is_missing():
    frame = {"a": [1.0] * 98 + [None] * 2, "b": [1.0] * 100}
    answer = {
        "rows": RowCount.from_data(frame["a"]),
        "missing": Missingness.from_data(frame),
        "mean": Moments.from_data(frame["a"]),
        "all": describe(frame),
    }
    sent = through(answer, MinCount(5))
    assert sent["rows"].rows == 100
    assert sent["missing"].result()["missing"] == {"a": 0, "b": 0}
    assert sent["missing"].result()["withheld_at"] == {"a": 1, "b": 0}
    assert sent["mean"].suppressed == 1
    assert sent["all"].result()["columns"]["a"]["mean"] is None
    assert sent["all"].result()["columns"]["b"]["mean"] == 1.0

    sent = through(answer, MinCount(5, differences=False))
    assert sent["mean"].n == 98


def test_quantiles_are_coarsened_and_say_so():
    values = np.arange(1.0, 101.0)
    exact = Quantiles.from_data(values)
    sent = through(exact, MinCount(5))

    assert all(count >= 5 for _, count in sent.buckets)
    assert sent.size == 100
    assert sent.result()["coarsened_at"] == 1
    assert sent.result()["values"] == pytest.approx(np.quantile(values, [0.25, 0.5, 0.75]), rel=0.1)
    assert sent.result([0, 1])["values"][1] < 100  # the largest value is nobody's


def test_extremes_do_not_leave_as_they_are():
    exact = MinMax.from_data(range(6))

    assert through(exact, MinCount(5)) == exact.withheld()
    for rules in ([MinCount(5), NoisyMinMax()], [NoisyMinMax(), MinCount(5)]):
        sent = through(exact, *rules)
        assert (sent.n, sent.noisy_at, sent.suppressed) == (6, 1, 0)
        assert sent.low < 0
        assert sent.high > 5
    assert through(MinMax.from_data(range(4)), NoisyMinMax(), MinCount(5)).n == 0
    assert through(MinMax.zero(), MinCount(5)) == MinMax.zero()


@pytest.mark.parametrize("own", [(MinCount(5),), (MinCount(5), MaxBins(50), Strict())])
@pytest.mark.parametrize("asked", [NoisyMinMax(1e-18, 1e-18), NoisyMinMax(secret="the analyst's")])
def test_an_analysts_noise_lifts_no_nodes_count(own, asked):
    extremes = MinMax.from_data([41.0, 50, 63, 70, 88, 97])
    found = Disclosure.of(own, (asked,)).apply(extremes)
    assert (found.n, found.low, found.high) == (0, None, None)
    described = Disclosure.of(own, (asked,)).apply(describe({"age": range(100)}))
    figures = described.result()["columns"]["age"]
    assert (figures["min"], figures["max"]) == (None, None)
    assert Disclosure.of((*own, NoisyMinMax()), (asked,)).apply(extremes).n == 6


def test_a_description_says_what_was_altered():
    exact = describe({"a": [1, 2, 3, 4, 5, 6], "b": list("xxxxxx")})
    figures = through(exact, MinCount(5), NoisyMinMax()).merge(exact).result()["columns"]["a"]
    assert (figures["coarsened_at"], figures["noisy_at"]) == (1, 1)
    assert (figures["suppressed"], figures["range_withheld_at"]) == (0, 0)

    sent = through(exact, MinCount(5))
    figures = sent.result()["columns"]["a"]
    assert (figures["min"], figures["max"], figures["mean"]) == (None, None, 3.5)
    assert (figures["suppressed"], figures["range_withheld_at"], figures["noisy_at"]) == (0, 1, 0)
    assert sent.suppressed == 1

    assert list(sent.to_frame().index[-2:]) == ["range_withheld_at", "coarsened_at"]
    assert list(exact.to_frame().index[-1:]) == ["max"]


def test_coarsened_survival_and_auc_keep_totals():
    rng = np.random.default_rng(5)
    time, event = rng.integers(1, 25, 200), rng.integers(0, 2, 200)
    exact = KaplanMeier.from_data(time, event, range(1, 25))
    sent = through(exact, MinCount(5))
    assert all(n == 0 or n >= 5 for n in (*sent.events, *sent.censored))
    assert (sum(sent.events), sum(sent.censored)) == (sum(exact.events), sum(exact.censored))
    assert sent.result()["coarsened_at"] == 1
    gap = np.abs(np.array(sent.result()["survival"]) - exact.result()["survival"])
    assert gap.max() < 0.1

    exact = AUC.from_data(event, np.clip(rng.normal(0.4 + 0.2 * event, 0.2), 0, 1))
    sent = through(exact, MinCount(5))
    assert all(n == 0 or n >= 5 for n in (*sent.positives, *sent.negatives))
    assert sent.result()["auc"] == pytest.approx(exact.result()["auc"], abs=0.02)

    exact = LogRank.from_data(time, event, ["a", "b"] * 100, ["a", "b"], range(1, 25))
    sent = through(exact, MinCount(5))
    assert sent.result()["coarsened_at"] == 1
    assert sent.result()["observed"] == exact.result()["observed"]


def test_as_many_columns_as_rows_could_be_solved():
    frame = {name: np.random.default_rng(1).normal(size=6) for name in "abcdef"}

    assert through(Covariance.from_data(frame), MinCount(5)).suppressed == 1


@dataclass(frozen=True)
class Smokers(Statistic):
    """A study's own statistic, which says no more of itself than it must."""

    people: int = field(metadata=COUNT)

    from_data = classmethod(lambda cls, people: cls(people))
    result = size = property(lambda self: self.people)


@pytest.mark.parametrize(("others", "left"), [(3, 0), (18, 0), (9, 9)])
def test_a_study_s_own_statistic_is_protected_too(others, left):
    sent = through({"all": Smokers(20), "some": Smokers(others)}, MinCount(5))
    assert (sent["all"].people, sent["some"].people) == (20, left)
    assert sent["some"].suppressed == (left == 0)


def test_a_statistic_has_few_methods_to_write():
    methods = [name for name in vars(Statistic) if not name.startswith("_")]
    assert len([name for name in methods if callable(getattr(Statistic, name))]) <= 8
