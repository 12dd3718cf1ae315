"""NaN and infinity from a node: its failure, before anything of its answer is merged."""

import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from flwr.serverapp.strategy import (
    FedAdam,
    FedAvg,
    FedMedian,
    Krum,
)

from flame_flwr.aggregation import (
    Concat,
    FlowerReduction,
    Max,
    MaxRounds,
    Mean,
    MergeCounts,
    Min,
    PerNode,
    Sum,
    WeightedMean,
)
from flame_flwr.aggregation.non_finite import non_finite
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import DataError, ModelError, NodeFailedError, NodesMissingError
from flame_flwr.results import RunRecord
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
from flame_flwr.strategies import MergeStatistics, ReduceStrategy, WeightedFedAvg

NAN = math.nan
ODD = [math.nan, math.inf, -math.inf]


class Says(StarAnalyzer):
    """Returns its data; a list of them, one per round."""

    def analysis_method(self, data, aggregator_results):
        return data[min(self.num_iterations, len(data) - 1)]


def in_process(splits, strategy):
    return StarModelTester([[split] for split in splits], Says, strategy, "s3")


def over_messages(splits, strategy, record=None, **settings):
    record = RunRecord() if record is None else record
    with LocalGrid(NodePlan(Says, data_type="s3"), splits) as grid:
        strategy.start(grid, settings=RunSettings.from_config(settings), record=record)
    return record


def answers(count, odd=None, n=10):
    """Models of `count` nodes, of which the second is odd."""
    found = [
        {"model": {"coef": np.array([k, 2.0 * k])}, "local_n_samples": 10 + k, "loss": 1.0 * k}
        for k in range(1, count + 1)
    ]
    if odd is not None:
        found[1] = {**found[1], **odd, "local_n_samples": n}
    return found


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    ("what", "key"),
    [
        (lambda odd: {"model": {"coef": np.array([1.0, odd])}}, "model.coef"),
        (lambda odd: {"loss": odd}, "loss"),
        (lambda odd: {"loss": np.float32(odd)}, "loss"),
    ],
)
def test_a_non_finite_answer_ends_the_run(odd, what, key):
    good = answers(3)
    splits = [[good[0]], [good[1], {**good[1], **what(odd)}], [good[2]]]
    named = rf"round 2, key `{key}`, node-1: it sent NaN or infinity\. .*non_finite=\"skip\""
    for run in (
        lambda s: StarModelTester(splits, Says, s, "s3"),
        lambda s: over_messages(splits, s),
    ):
        with pytest.raises(NodeFailedError, match=named) as caught:
            run(WeightedFedAvg(metrics=["loss"], convergence=MaxRounds(3)))
        assert isinstance(caught.value, DataError)


def test_on_failure_decides_about_non_finite_answers():
    good = answers(3)
    splits = [[good[0]], [good[1], {**good[1], "loss": NAN}, good[1]], [good[2]]]

    def run(**settings):
        strategy = WeightedFedAvg(metrics=["loss"], convergence=MaxRounds(3))
        return over_messages(splits, strategy, **settings)

    record = run(**{"on-failure": "skip", "min-nodes": 2})
    (failure,) = record.failures
    assert (failure["round"], failure["node"]) == (2, "node-1")
    assert "key `loss`, node-1: it sent NaN or infinity" in failure["why"]
    assert list(record.history[1].failed) == ["node-1"]
    assert list(record.history[1].node_seconds) == ["node-0", "node-2"]
    assert "node-1" not in record.history[1].node_metrics
    assert list(record.history[2].node_seconds) == ["node-0", "node-1", "node-2"]
    with pytest.raises(
        NodesMissingError, match=r"2 nodes answered, min-nodes is 3\. node-1: .*NaN"
    ):
        run(**{"on-failure": "skip", "min-nodes": 3})


@pytest.mark.parametrize(
    "declared",
    [
        lambda: WeightedFedAvg(metrics=["loss"], non_finite="skip"),
        lambda: ReduceStrategy(
            {"model": WeightedMean(), "loss": Mean(non_finite="skip"), "local_n_samples": Sum()}
        ),
        lambda: ReduceStrategy(
            {"model": WeightedMean(), "loss": Mean(), "local_n_samples": Sum}, non_finite="skip"
        ),
    ],
)
def test_skip_leaves_the_whole_answer_out(declared, caplog):
    splits = answers(2, {"loss": NAN})
    for made in (
        in_process(splits, declared()),
        over_messages([[each] for each in splits], declared()),
    ):
        assert made.result["model"]["coef"].tolist() == [1.0, 2.0]
        assert made.result["loss"] == 1.0
        assert made.result.get("local_n_samples", 11) == 11
        assert list(made.history[0].failed) == ["node-1"]
    said = "round 1, key `loss`, node-1: it sent NaN or infinity: its whole answer is left out of"
    assert f"going on without node node-1: {said}" in caplog.text
    assert "declare" not in caplog.text


class Counts(StarAnalyzer):
    """Keeps in itself how often it was asked; the second node is odd in round 2."""

    asked = 0

    def analysis_method(self, data, aggregator_results):
        self.asked += 1
        odd = self.id == "node-1" and self.num_iterations == 1
        return {"asked": NAN if odd else float(self.asked)}


def test_after_a_skip_the_analyzer_goes_on_alike():
    def strategy():
        return ReduceStrategy({"asked": Mean(non_finite="skip")}, convergence=MaxRounds(4))

    local = StarModelTester([1, 2, 3], Counts, strategy(), "s3")
    record = RunRecord()
    with LocalGrid(NodePlan(Counts, data_type="s3"), [1, 2, 3]) as grid:
        strategy().start(grid, settings=RunSettings.from_config({}), record=record)
    assert local.result == record.result == {"asked": 4.0}


def test_with_skip_somebody_must_be_left():
    with pytest.raises(NodesMissingError, match="0 nodes answered"):
        in_process([{"model": NAN, "local_n_samples": 1}] * 2, WeightedFedAvg(non_finite="skip"))


def test_keep_merges_it_as_it_is():
    splits = answers(3, {"model": {"coef": np.array([1.0, NAN])}})
    for strategy in (WeightedFedAvg(non_finite="keep"), WeightedFedAvg(by=None, non_finite="keep")):
        got = in_process(splits, strategy).result["model"]["coef"]
        assert np.isnan(got).tolist() == [False, True]
    mixed = ReduceStrategy({"loss": Mean(non_finite="keep"), "model": Mean()})
    assert math.isinf(in_process(answers(2, {"loss": math.inf}), mixed).result["loss"])
    with pytest.raises(DataError, match=r"key `model\.coef`, node-1"):
        in_process(splits, mixed)


def test_an_error_counts_more_than_a_declared_skip():
    both = ReduceStrategy({"loss": Mean(non_finite="skip"), "model": Mean()})
    with pytest.raises(DataError, match=r"key `model`, node-1"):
        in_process(answers(3, {"loss": NAN, "model": NAN}), both)


SERVERS = [  # one of each way in which they merge
    (FedAdam(), lambda models, weights: np.average(models, axis=0, weights=weights)),
    (FedMedian(), lambda models, weights: np.median(models, axis=0)),
    (Krum(num_malicious_nodes=1), None),
    (None, lambda models, weights: np.average(models, axis=0, weights=weights)),
]


@pytest.mark.parametrize(("server", "merge"), SERVERS)
@pytest.mark.parametrize("empty", [*ODD, None])
def test_no_strategy_sees_a_node_of_weight_zero(server, merge, empty):
    """Without a model to begin with, optimisers give the first mean."""
    model = None if empty is None else {"coef": np.array([empty, 1.0])}
    splits = answers(7, {"model": model}, n=0)
    got = in_process(splits, WeightedFedAvg(server=server)).result["model"]["coef"]
    left = [split for split in splits if split["local_n_samples"]]
    others = in_process(left, WeightedFedAvg(server=server)).result["model"]["coef"]
    assert got.tobytes() == others.tobytes()
    if merge is not None:
        models = [split["model"]["coef"] for split in left]
        expected = merge(models, [split["local_n_samples"] for split in left])
        np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("server", [None, FedAdam(), FedMedian()])
def test_a_node_of_weight_zero_needs_no_key(server):
    splits = [*answers(3), {"local_n_samples": 0}]
    got = in_process(splits, WeightedFedAvg(metrics=["loss"], server=server)).result
    others = in_process(splits[:3], WeightedFedAvg(metrics=["loss"], server=server)).result
    assert str(got) == str(others)
    with pytest.raises(DataError, match="zero_total"):
        in_process(splits[3:], WeightedFedAvg(server=server))
    for declared in ({"model": Mean()}, {"model": {"coef": WeightedMean("n", bad_weight="skip")}}):
        with pytest.raises(DataError, match="node-3: what it sent has not this key"):
            in_process(splits, ReduceStrategy(declared))


@pytest.mark.parametrize("server", [server for server, _ in SERVERS])
def test_no_strategy_of_flowers_sees_it(server):
    splits = answers(7, {"model": {"coef": np.array([NAN, 1.0])}})
    with pytest.raises(NodeFailedError, match=r"round 1, key `model\.coef`, node-1"):
        in_process(splits, WeightedFedAvg(server=server))
    skipped = in_process(splits, WeightedFedAvg(server=server, non_finite="skip")).result
    others = in_process(splits[:1] + splits[2:], WeightedFedAvg(server=server)).result
    assert skipped["model"]["coef"].tobytes() == others["model"]["coef"].tobytes()


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    ("reduction", "value"),
    [
        (Sum(), lambda odd: odd),
        (Mean(), lambda odd: [1.0, (2, odd)]),
        (Min(), lambda odd: np.array([odd], np.float16)),
        (Max(), lambda odd: np.array(odd)),
        (Sum(), lambda odd: np.array([complex(1, odd)])),
        (Sum(), lambda odd: pd.Series([1.0, odd], index=["a", "b"])),
        (Mean(), lambda odd: pd.DataFrame({"a": [1.0], "b": [odd]})),
        (MergeCounts(), lambda odd: Counter(a=odd)),
        (FlowerReduction(FedMedian()), lambda odd: {"a": [np.ones(2), np.array([[odd]])]}),
    ],
)
def test_every_computing_reduction_refuses_non_finite_values(reduction, value, odd):
    with pytest.raises(NodeFailedError, match=r"round 1, key `x.*`, node-0: it sent NaN or inf"):
        in_process([{"x": value(odd)}], ReduceStrategy({"x": reduction}))


def test_a_missing_number_of_pandas_is_one():
    missing = pd.Series([1.5, None], index=["a", "b"], dtype="Float64")
    with pytest.raises(NodeFailedError, match="key `x`, node-0: it sent NaN or infinity"):
        in_process([{"x": missing}], ReduceStrategy({"x": Sum()}))


def test_what_only_passes_values_on_passes_these_too():
    table = pd.DataFrame({"a": [1.0, NAN]})
    splits = [{"rows": table, "each": NAN, "list": math.inf, "n": {NAN: 2}}] * 2
    got = in_process(
        splits,
        ReduceStrategy(
            {"rows": Concat(), "each": PerNode(), "list": lambda values: values, "n": MergeCounts()}
        ),
    ).result
    assert got["rows"]["a"].isna().tolist() == [False, True] * 2
    assert math.isnan(got["each"]["node-1"])
    assert got["list"] == [math.inf] * 2
    assert list(got["n"].values()) == [4]


def test_an_own_aggregator_gets_what_nodes_sent():
    class Own(StarAggregator):
        def aggregation_method(self, analysis_results):
            return analysis_results

        def has_converged(self, result, last_result):
            return True

    assert str(StarModelTester([[NAN], [math.inf]], Says, Own, "s3").result) == "[nan, inf]"


@pytest.mark.parametrize("weight", [math.nan, -1, None])
def test_a_bad_weight_fails_its_node(weight):
    splits = [[each] for each in answers(3)]
    splits[1][0]["local_n_samples"] = weight
    with pytest.raises(NodeFailedError, match="round 1, key `model`, node-1: its weight"):
        over_messages(splits, WeightedFedAvg())
    record = over_messages(splits, WeightedFedAvg(), **{"on-failure": "skip"})
    assert record.result["model"]["coef"][0] == pytest.approx(np.average([1, 3], weights=[11, 13]))
    assert record.failures[0]["node"] == "node-1"


def test_a_missing_key_merges_nothing_of_an_answer():
    splits = [[each] for each in answers(3)]
    del splits[1][0]["loss"]
    record = over_messages(
        splits, WeightedFedAvg(metrics=["loss"]), **{"on-failure": "skip", "min-nodes": 2}
    )
    expected = np.average([1, 3], weights=[11, 13])
    assert record.result["model"]["coef"][0] == record.result["loss"] == pytest.approx(expected)


def test_statistics_have_no_use_for_non_finite():
    class Declared(MergeStatistics):
        non_finite = "skip"

    for declare in (Declared, lambda: MergeStatistics(non_finite="skip")):
        with pytest.raises(ModelError, match=r"non_finite has no effect: .* Leave it out"):
            declare()


def test_the_word_is_checked_when_it_is_declared():
    for declare in (Mean, MergeCounts, lambda **more: ReduceStrategy(Mean(), **more)):
        with pytest.raises(ModelError, match="non_finite must be one of"):
            declare(non_finite="drop")
    with pytest.raises(ModelError, match="non_finite must be one of"):
        FlowerReduction(FedAvg(), non_finite="drop")

    class Own(WeightedFedAvg):
        non_finite = "keep"

    assert math.isnan(in_process([{"model": NAN, "local_n_samples": 1}], Own()).result["model"])


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (1.0, None),
        (10**400, None),
        (NAN, ""),
        ({"a": {"b": [0, (1, NAN)]}}, "a.b.1.1"),
        ({NAN: 1, "b": "nan"}, None),
        (np.array(["nan", None], object), None),
        (np.array([np.datetime64("NaT")]), None),
        (np.zeros(0), None),
        (pd.Series([1, None], dtype="Int64"), ""),
        (pd.Series([1, 2], dtype="Int64"), None),
        (pd.Series([True, None], dtype="boolean"), ""),
        (pd.Series(["a", None]), None),
        (pd.Series(pd.to_datetime(["2020-01-01", None])), None),
        (pd.Series([1, 2], index=[NAN, 1.0]), None),
        (pd.DataFrame({"a": ["x", None], "b": [1, 2]}), None),
        (np.complex128(complex(NAN, 0)), ""),
        (np.longdouble("inf"), ""),
    ],
)
def test_where_it_is_found(value, where):
    assert non_finite(value) == where
