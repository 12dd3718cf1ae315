"""Disclosure rules: what leaves a node, what is said of what does not, and whose rule holds."""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from flame_flwr.clients import Node, NodePlan, StarClient
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import NodeSettings
from flame_flwr.errors import ConfigError, ModelError, PayloadError
from flame_flwr.identity import Identity
from flame_flwr.payload import decode, from_arrays, register_type
from flame_flwr.privacy import (
    Disclosure,
    DisclosureRule,
    MaxBins,
    MaxRows,
    MinCount,
    NoisyMinMax,
    Strict,
)
from flame_flwr.privacy.config_text import RULES, read_rules
from flame_flwr.results.filter_record import read_names
from flame_flwr.results.record import RunRecord
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel, StarModelTester
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
    Statistic,
    Total,
    ValueCounts,
    describe,
)
from flame_flwr.strategies import StarStrategy

AGES = [[50.0, 61.0, 72.0, 80.0, 55.0, 67.0], [44.0, 39.0], [70.0, 71.0, 90.0, 33.0, 41.0]]


def through(value, *rules):
    """What of a value leaves a node with these rules, as the server reads it."""
    disclosure = Disclosure(rules)
    return decode(disclosure.pack(disclosure.apply(value), allow_pickle=False))


def merged(values):
    first, *rest = values
    for value in rest:
        first = first.merge(value)
    return first


class Ages(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"age": Moments.from_data(data), "range": MinMax.from_data(data)}


class Plain(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"age": Moments.from_data(data), "mean": {"of Maria Muster": float(sum(data))}}


class Scored(Ages):
    def evaluation_method(self, data, result):
        return {"n": len(data)}


class Merge(StarAggregator):
    def aggregation_method(self, analysis_results):
        return {key: merged([r[key] for r in analysis_results]) for key in analysis_results[0]}

    def has_converged(self, result, last_result):
        return True

    def final_method(self, result, evaluations):
        return {key: value.result() for key, value in result.items()}


def run(*disclosure, analyzer=Ages, **options):
    return StarModelTester(
        AGES, analyzer, Merge, "s3", disclosure=list(disclosure), **options
    ).result


# ---- MinCount -------------------------------------------------------------------------------


def test_a_small_nodes_count_does_not_leave_either_so_the_merged_mean_is_right():
    found = run(MinCount(5))["age"]

    true = np.array(AGES[0] + AGES[2])
    assert found["n"] == len(true)
    assert found["mean"] == pytest.approx(true.mean())
    assert found["variance"] == pytest.approx(true.var(ddof=1))
    assert found["suppressed"] == 1


def test_without_rules_everything_leaves():
    assert run()["age"]["n"] == sum(map(len, AGES))
    assert run()["age"]["suppressed"] == 0


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


def test_a_withheld_cell_is_none_in_the_merged_histogram():
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


def test_who_has_no_value_cannot_be_had_from_two_counts():
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


def test_the_rest_of_a_group_cannot_be_had_from_two_means():
    answer = [Moments.from_data([50.0] * 97), Moments.from_data([50.0] * 97 + [90.0] * 3)]
    women, everyone = through(answer, MinCount(5))

    assert (women.suppressed, everyone.suppressed) == (1, 0)


def test_quantiles_are_coarsened_and_say_so():
    values = np.arange(1.0, 101.0)
    exact = Quantiles.from_data(values)
    sent = through(exact, MinCount(5))

    assert all(count >= 5 for _, count in sent.buckets)
    assert sent.size == 100
    assert sent.result()["coarsened_at"] == 1
    assert sent.result()["values"] == pytest.approx(np.quantile(values, [0.25, 0.5, 0.75]), rel=0.1)
    assert sent.result([0, 1])["values"][1] < 100  # the largest value is nobody's


def test_a_smallest_and_a_largest_value_do_not_leave_as_they_are():
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
def test_an_analysts_noise_does_not_lift_a_nodes_count(own, asked):
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


def test_survival_and_auc_are_coarsened_and_keep_their_totals():
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


# ---- the other rules ------------------------------------------------------------------------


def test_extremes_leave_only_moved_outwards():
    rule = NoisyMinMax(0.05, 0.15)
    for low, high in ((20.0, 80.0), (-3.0, -1.0), (7.0, 7.0), (0.0, 0.0)):
        sent = through(MinMax.from_data([low, high]), rule)
        reach = (high - low) or abs(low) or 1.0
        assert 0.05 * reach <= low - sent.low <= 0.15 * reach + 1e-9
        assert 0.05 * reach - 1e-9 <= sent.high - high <= 0.15 * reach + 1e-9
        assert sent.result()["noisy_at"] == 1
    assert through(MinMax.zero(), rule) == MinMax.zero()
    figures = through(describe({"a": [1.0, 2.0, 9.0]}), rule).result()["columns"]["a"]
    assert figures["min"] < 1.0
    assert figures["max"] > 9.0


@pytest.mark.parametrize("values", [np.arange(1.0, 101.0), np.array([-80.0, -3, 0, 0, 7, 20])])
def test_the_outermost_quantiles_are_moved_outwards(values):
    exact = Quantiles.from_data(values)
    sent = through(exact, NoisyMinMax(0.05, 0.15))

    reach = values.max() - values.min()
    low, middle, high = sent.result([0, 0.5, 1])["values"]
    assert 0.04 * reach < values.min() - low < 0.17 * reach
    assert 0.04 * reach < high - values.max() < 0.17 * reach
    assert middle == exact.result([0.5])["values"][0]
    assert (sent.size, sent.result()["noisy_at"]) == (len(values), 1)


def test_quantiles_of_one_value_or_none_are_moved_if_they_can_be():
    sent = through(Quantiles.from_data([-5.0]), NoisyMinMax())
    assert sent.size == 1
    assert sent.result([0])["values"][0] < -5.1
    assert through(Quantiles.zero(), NoisyMinMax()) == Quantiles.zero()


def test_quantiles_have_no_more_values_than_bins_are_allowed():
    values = np.arange(1.0, 61.0)
    exact = Quantiles.from_data(values, accuracy=0.001)
    assert len(exact.buckets) == 60
    for value in (exact, describe({"a": values}).column("a")[1]):
        sent = through(value, MaxBins(10), NoisyMinMax())
        assert len(sent.buckets) <= 10
        assert (sent.size, sent.result()["coarsened_at"]) == (60, 1)
    assert through(exact, MaxBins(60)) == exact
    described = through(describe({"a": values}), MaxBins(10))
    assert len(described.column("a")[1].buckets) <= 10
    assert described.result()["columns"]["a"]["coarsened_at"] == 1


def test_with_a_secret_the_noise_is_the_same_again_and_without_it_is_new():
    value = MinMax.from_data([20.0, 80.0])

    assert through(value, NoisyMinMax()) != through(value, NoisyMinMax())
    assert through(value, NoisyMinMax(secret="a")) == through(value, NoisyMinMax(secret="a"))
    assert through(value, NoisyMinMax(secret="a")) != through(value, NoisyMinMax(secret="b"))
    assert "hush" not in repr(NoisyMinMax(secret="hush"))


@pytest.mark.parametrize(
    "value",
    [
        Histogram.zero(range(12)),
        ValueCounts.from_data(range(11)),
        ContingencyTable.zero([1, 2, 3, 4], [1, 2, 3]),
        AUC.zero(bins=11),
        KaplanMeier.zero(range(11)),
        LogRank.zero(["a", "b"], range(11)),
        describe({"a": [f"label {i}" for i in range(11)]}),
    ],
)
def test_more_bins_than_allowed_are_refused(value):
    with pytest.raises(PayloadError, match=r"at \$\.\* has more than 10 bins.*ask for") as caught:
        through({"of Maria": value}, MaxBins(10))
    assert "Maria" not in caught.value.message
    assert caught.value.detail == "$['of Maria']"
    assert through(value, MaxBins(12)) == value


PATIENTS = pd.DataFrame({"age": range(300), "name": ["Maria"] * 300})


@pytest.mark.parametrize(
    "value",
    [
        PATIENTS,
        [{"all": PATIENTS.head(3), "more": PATIENTS}],  # the second of its kind in a container
        PATIENTS.to_dict("records"),
        {"of Maria": PATIENTS.to_dict("list")},
        (1, PATIENTS.values.tolist()),
    ],
    ids=["table", "second", "records", "columns", "rows"],
)
def test_more_rows_than_allowed_are_refused(value):
    with pytest.raises(PayloadError, match=r"has more than 200 rows.*return sums") as caught:
        through({"of Maria": value}, MaxRows(200))
    assert "Maria" not in caught.value.message
    assert "300" not in caught.value.message
    assert "300 rows x 2 columns" in caught.value.detail
    through({"of Maria": value}, MaxRows(300))


def test_arrays_and_statistics_of_any_size_pass_where_rows_are_counted():
    value = {
        "coef": np.zeros((300, 40)),
        "numbers": [0.5] * 300,
        "ages": Histogram.from_data(PATIENTS["age"], range(301)),
        "few": PATIENTS.head(200),
    }
    sent = through(value, MaxRows(200))
    assert sent["coef"].shape == (300, 40)
    assert sent["ages"] == value["ages"]


def test_the_node_and_the_analysis_may_both_count_rows():
    class Sends(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return data

    class Takes(StarAggregator):
        def aggregation_method(self, analysis_results):
            return len(analysis_results)

        def has_converged(self, result, last_result):
            return True

    with pytest.raises(PayloadError, match="has more than 250 rows"):
        StarModelTester([PATIENTS], Sends, Takes, "s3", disclosure=[MaxRows(250)])
    tester = StarModelTester([PATIENTS], Sends, Takes, "s3", disclosure=[MaxRows(300)])
    assert tester.result == 1
    (rule,) = NodeSettings.from_config({"disclosure": "MaxRows(200)"}).disclosure_rules()
    assert rule == MaxRows(200) == Disclosure.of((rule,), (MaxRows(300),)).rules[0]


def test_strict_lets_statistics_leave_and_what_is_around_them():
    value = {"a": [RowCount(9), None], "b": (RowCount(8), {"c": RowCount(7)})}

    assert through(value, Strict()) == value
    assert through(None, Strict()) is None


@pytest.mark.parametrize(
    ("value", "masked", "path", "kind"),
    [
        ({"a": [RowCount(9), 3.5]}, "$.*[1]", "$['a'][1]", "float"),
        ({"a": {"b": np.zeros(2)}}, "$.*.*", "$['a']['b']", "ndarray"),
        ("text", "$", "$", "str"),
        ({7: RowCount(9)}, "$.keys()", "$.keys()", "int"),
        ((RowCount(9), pd.DataFrame({"a": [1]})), "$[1]", "$[1]", "DataFrame"),
    ],
)
def test_strict_refuses_anything_else_and_names_the_place(value, masked, path, kind):
    with pytest.raises(PayloadError) as caught:
        through(value, Strict())
    assert caught.value.message == (
        f"this node lets only statistics leave (the disclosure rule Strict), and at {masked} is a "
        f"{kind}: return values of flame_flwr.statistics"
    )
    assert caught.value.detail == path


def test_strict_refuses_a_statistic_of_the_analysts_own():
    with pytest.raises(PayloadError, match="is a Anything"):
        through(Anything(5), Strict())


@dataclass(frozen=True)
class Anything(RowCount):
    """Not the framework's."""


# ---- where statistics may be ----------------------------------------------------------------

Pair = namedtuple("Pair", "one two")


@pytest.mark.parametrize(
    "around",
    [
        lambda s: s,
        lambda s: {"a": {"b": [s]}},
        lambda s: OrderedDict(a=(s,)),
        lambda s: (1.5, [s, "text"]),
    ],
)
def test_rules_find_statistics_in_containers(around):
    value = around(RowCount(3))
    sent = through(value, MinCount(5))

    assert sent == around(RowCount(0, suppressed=1))
    assert type(sent) is type(value)
    assert value == around(RowCount(3))  # the analyzer's own result is not changed


def test_a_named_tuple_keeps_its_names():
    assert Disclosure([MinCount(5)]).apply(Pair(RowCount(3), 1)).one.suppressed == 1


@dataclass
class Box:
    inside: Statistic


register_type(Box, to=lambda box: [box.inside], restore=lambda items: Box(*items))


def test_a_statistic_where_no_rule_sees_it_does_not_leave():
    for value in (Box(RowCount(3)), {RowCount(3)}, {"a": frozenset([RowCount(99)])}):
        with pytest.raises(PayloadError, match="disclosure rules of this node do not see it"):
            through(value, MinCount(5))


class Unknown:
    def __init__(self, inside):
        self.inside = inside


def test_neither_as_a_key_nor_in_a_pickle():
    with pytest.raises(PayloadError, match="disclosure rules of this node do not see it"):
        through({RowCount(3): 1}, MinCount(5))
    with pytest.raises(PayloadError, match="cannot"):
        Disclosure([MinCount(5)]).pack(Unknown(RowCount(3)), allow_pickle=True)
    assert pickle.loads(pickle.dumps(RowCount(3))) == RowCount(3)


def test_what_is_no_statistic_leaves_as_it_is_unless_strict():
    assert through({"a": 3, "b": [RowCount(3)]}, MinCount(5)) == {
        "a": 3,
        "b": [RowCount(0, suppressed=1)],
    }


def test_a_result_that_contains_itself_is_an_error():
    value = []
    value.append(value)
    with pytest.raises(PayloadError, match="nested deeper"):
        through(value, MinCount(5))


# ---- whose rule holds -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "analyst", "joint"),
    [
        (MinCount(5), MinCount(10), MinCount(10)),
        (MinCount(10, differences=False), MinCount(3), MinCount(10, differences=True)),
        (MaxBins(50), MaxBins(20), MaxBins(20)),
        (MaxRows(200), MaxRows(30), MaxRows(30)),
        (NoisyMinMax(0.1, 0.2, "own"), NoisyMinMax(0.01, 0.5, "x"), NoisyMinMax(0.1, 0.5, "own")),
        (NoisyMinMax(0.1, 0.2), NoisyMinMax(0.1, 0.2, "known"), NoisyMinMax(0.1, 0.2)),
        (Strict(), Strict(), Strict()),
    ],
)
def test_of_two_rules_of_a_kind_the_stricter_holds(node, analyst, joint):
    [rule] = Disclosure.of([node], [analyst]).rules
    assert rule == joint


def test_the_node_has_the_last_word():
    @dataclass(frozen=True)
    class Reveal(DisclosureRule):
        def stricter(self, other):
            return self

        def protect(self, statistics):
            return [RowCount(3) for _ in statistics]

    joint = Disclosure.of([MinCount(5)], [Reveal()])
    assert joint.apply(RowCount(9)).suppressed == 1


def node(analyzer=Ages, own=(), **plan):
    made = Node(NodePlan(analyzer, **plan), Identity("a", ("a",)), None, node_rules=own)
    made.use_data(AGES[1])
    return made


def test_a_nodes_own_rules_act_whatever_the_analyst_declares():
    assert decode(node(own=[MinCount(2)]).round(1, None))["age"].n == 2
    assert decode(node(own=[MinCount(5)]).round(1, None))["age"].suppressed == 1
    lax = node(own=[MinCount(5)], disclosure=(MinCount(2),))
    assert decode(lax.round(1, None))["age"].suppressed == 1
    strict = node(own=[MinCount(2)], disclosure=(MinCount(5),))
    assert decode(strict.round(1, None))["age"].suppressed == 1


def test_a_strict_nodes_error_names_the_place_without_a_key_of_the_data():
    with pytest.raises(PayloadError, match=r"at \$\.\*\.\* is a float") as caught:
        node(Plain, own=[Strict()]).round(1, None)
    assert "Maria" not in caught.value.message
    assert caught.value.detail == "$['mean']['of Maria Muster']"


def test_scores_are_refused_by_a_strict_node_before_the_first_round():
    with pytest.raises(ConfigError, match="evaluation_method are none: return them as statistics"):
        node(Scored, own=[Strict()])
    assert decode(node(Scored, own=[MinCount(2)]).round(1, None))["age"].n == 2


# ---- declared, and in a node's config -------------------------------------------------------


@pytest.mark.parametrize("rules", ["MinCount(5)", [5], MinCount, {"MinCount": 5}])
def test_what_is_no_rule_is_an_error_when_the_model_is_built(rules):
    with pytest.raises(ModelError, match="disclosure must be a list of rules"):
        StarModel(Ages, Merge, "none", disclosure=rules)


def test_a_model_takes_rules():
    assert StarModel(Ages, Merge, "none", disclosure=[MinCount(5)]).plan.disclosure == (
        MinCount(5),
    )
    assert StarModel(Ages, Merge, "none", disclosure=MinCount(5)).plan.disclosure == (MinCount(5),)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MinCount(1),
        lambda: MinCount(True),
        lambda: MinCount(5.0),
        lambda: MinCount(5, differences="no"),
        lambda: MaxBins(0),
        lambda: MaxRows(0),
        lambda: MaxRows("200"),
        lambda: NoisyMinMax(0, 0.1),
        lambda: NoisyMinMax(0.2, 0.1),
        lambda: NoisyMinMax(0.1, 2),
        lambda: NoisyMinMax(secret=3),
    ],
)
def test_a_rule_checks_its_numbers(make):
    with pytest.raises(ModelError):
        make()


def test_rules_are_read_from_text_and_from_a_file(tmp_path):
    text = "MinCount(10), MaxBins(most=20), NoisyMinMax(0.1, high=0.2, secret='x'), Strict()"
    rules = (MinCount(10), MaxBins(20), NoisyMinMax(0.1, 0.2, "x"), Strict())
    path = tmp_path / "rules.txt"
    path.write_text("# agreed on in March\nMinCount(10),  # the ethics board's\n" + text[14:])

    assert read_rules(text, "it") == rules
    assert read_rules(str(path), "it") == rules
    assert NodeSettings.from_config({"disclosure": text}).disclosure_rules() == rules
    assert NodeSettings.from_config({}).disclosure_rules() == ()


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "MinCount",
        "MinCount(5",
        "Laplace(1, 2)",
        "__import__('os')",
        "MinCount(print(1))",
        "MinCount(*[5])",
        "MinCount(5, 6, 7)",
        "mincount(5)",
        "MinCount(5)" + " " * 6000,
    ],
)
def test_another_text_is_an_error_that_says_what_it_reads_like(text):
    with pytest.raises(
        ConfigError, match=r"node config reads like MinCount\(5\), MaxBins"
    ) as error:
        NodeSettings.from_config({"disclosure": text}).disclosure_rules()
    assert all(name in error.value.message for name in RULES)


def test_other_errors_of_the_node_config(tmp_path):
    with pytest.raises(ConfigError, match="MinCount: k must be an integer of at least 2"):
        read_rules("MinCount(1)", "`disclosure`")
    with pytest.raises(ConfigError, match=r"cannot be read \(FileNotFoundError\), and without"):
        read_rules(str(tmp_path / "nothing"), "`disclosure`")
    with pytest.raises(ConfigError, match="names no rule"):
        read_rules("  ", "`disclosure`")


class Fixed(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return Moments.from_data([1.0, 2.0, 3.0])


def test_a_client_reads_the_rules_of_its_node_in_every_message(context, tmp_path, caplog):
    path = tmp_path / "rules.txt"
    path.write_text("MinCount(2), NoisyMinMax(secret='hush')")
    client = StarClient(NodePlan(Fixed), context({"name": "a", "disclosure": str(path)}))
    with caplog.at_level("INFO", logger="flame_flwr"):
        client.get_properties({})
    asked = {"round": 1, "after": 0, "analyzers": json.dumps(["a"])}
    assert decode(from_arrays(client.fit([], asked)[0])).n == 3

    path.write_text("MinCount(5)")
    sent = decode(from_arrays(client.fit([], asked)[0]))
    assert (sent.n, sent.suppressed) == (0, 1)

    path.unlink()
    for ask in (lambda: client.fit([], asked), lambda: client.get_properties({})):
        with pytest.raises(ConfigError, match="cannot be read"):
            ask()
    assert "hush" not in caplog.text


def test_a_run_lists_the_rules_of_each_node_without_how_they_are_set():
    record = RunRecord()
    plan = NodePlan(Ages, data_type="s3", disclosure=(MinCount(5), NoisyMinMax(secret="hush")))
    with LocalGrid(plan, AGES) as grid:
        StarStrategy(Merge).start(grid, record=record)
    rules = ["NoisyMinMax", "MinCount"]
    assert record.to_json()["disclosure"] == dict.fromkeys(["node-0", "node-1", "node-2"], rules)
    again = RunRecord()
    again.go_on(record.progress())
    assert again.disclosure == record.disclosure

    with LocalGrid(NodePlan(Ages, data_type="s3"), AGES) as grid:
        StarStrategy(Merge).start(grid, record=(plain := RunRecord()))
    assert plain.to_json()["disclosure"] == {}


def test_a_client_sends_the_names_of_its_rules(context):
    client = StarClient(NodePlan(Fixed), context({"name": "a", "disclosure": "MinCount(2)"}))
    client.get_properties({})
    asked = {"round": 1, "after": 0, "analyzers": json.dumps(["a"])}
    assert read_names(client.fit([], asked)[2]["disclosure"]) == ["MinCount"]


@pytest.mark.parametrize("text", [None, 3, "", "{", '{"a": 1}', '[3, "two words"]', "[" * 15_000])
def test_names_of_rules_that_cannot_be_read_are_left_out(text):
    assert read_names(text) == []


def test_hello_says_that_a_strict_node_cannot_be_scored(context):
    client = StarClient(NodePlan(Scored), context({"disclosure": "Strict()"}))

    with pytest.raises(ConfigError, match="evaluation_method"):
        client.get_properties({})
