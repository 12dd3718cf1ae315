"""Buffers of a model: no optimiser steps on them, no noise, and what they are called."""

import numpy as np
import pytest
from flwr.serverapp.strategy import (
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedMedian,
    FedTrimmedAvg,
    FedYogi,
    Krum,
)

from flame_flwr.aggregation import FlowerReduction, MaxRounds, Mean, WeightedMean
from flame_flwr.errors import ModelError
from flame_flwr.privacy import Clip, GaussianNoise, SparseVector, TopFraction
from flame_flwr.privacy.filter_chain import FilterChain
from flame_flwr.star import StarAnalyzer, StarModelTester
from flame_flwr.strategies import ReduceStrategy, WeightedFedAvg

SIZES = [30, 5, 12]
VARIANCES = [4.0, 0.01, 1e-3]
COUNTS = [7, 2, 4]
RNG = np.random.default_rng(3)


class Trains(StarAnalyzer):
    """Pulls `0.weight`; the variance falls from round to round, the counter rises."""

    names: tuple[str, ...] | None = None
    called = ("1.running_var", "1.num_batches_tracked")

    def analysis_method(self, data, aggregator_results):
        node, number = data, self.num_iterations
        last = None if aggregator_results is None else aggregator_results["model"]
        weight = np.zeros(4) if last is None else last["0.weight"]
        var, count = self.called
        model = {
            "0.weight": weight + 0.5 * (np.arange(4.0) * (node + 1) - weight),
            var: np.full(2, VARIANCES[node] / 10**number, np.float32),
            count: np.array(COUNTS[node] * (number + 1)),
        }
        answer = {"model": model, "local_n_samples": SIZES[node]}
        return answer if self.names is None else {**answer, "buffers": list(self.names)}


class Named(Trains):
    called = ("norm.spread", "norm.seen")
    names = called


def run(server, rounds=10, analyzer=Trains, **more):
    strategy = WeightedFedAvg(server=server, convergence=MaxRounds(rounds), **more)
    return StarModelTester(range(3), analyzer, strategy, "s3").result["model"]


OPTIMIZERS = [
    FedAdam(),
    FedYogi(),
    FedAdagrad(eta=0.5),
    FedAvgM(server_learning_rate=0.5, server_momentum=0.9),
]


@pytest.mark.parametrize("analyzer", [Trains, Named])
@pytest.mark.parametrize("server", [*OPTIMIZERS, FedAvg(), None])
def test_buffers_are_the_weighted_mean_under_every_server(server, analyzer):
    rounds = 10
    got = run(server, rounds, analyzer)
    var, count = (got[name] for name in analyzer.called)
    expected = sum(n * v / 10 ** (rounds - 1) for n, v in zip(SIZES, VARIANCES, strict=True))
    np.testing.assert_allclose(var, [expected / sum(SIZES)] * 2, rtol=1e-6)
    assert var.dtype == np.float32
    assert count.dtype == np.int64
    mean = sum(n * c * rounds for n, c in zip(SIZES, COUNTS, strict=True)) / sum(SIZES)
    assert count == round(mean)
    assert count.shape == ()


MEANS = {
    "the strategy's": (lambda **more: WeightedFedAvg(**more), SIZES),
    "weighted": (lambda **more: ReduceStrategy({"model": WeightedMean(**more)}), SIZES),
    "all alike": (lambda **more: WeightedFedAvg(by=None, **more), [1, 1, 1]),
    "plain": (lambda **more: ReduceStrategy({"model": Mean(**more)}), [1, 1, 1]),
}


@pytest.mark.parametrize("how", MEANS)
@pytest.mark.parametrize("kind", ["int64", "int32", "uint8", "bool"])
def test_a_mean_rounds_whole_buffers_and_nothing_else(how, kind):
    made, weights = MEANS[how]
    values = [np.array([c, c > 3], kind) for c in COUNTS]

    class Sends(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            model = {"seen": values[data], "codes": np.array([data, 1]), "n": data}
            return {"model": [model], "local_n_samples": SIZES[data], "buffers": ["0.seen"]}

    def run(**more):
        (model,) = StarModelTester(range(3), Sends, made(**more), "s3").result["model"]
        return model

    exact = [
        sum(w * int(v) for w, v in zip(weights, each, strict=True)) / sum(weights)
        for each in np.transpose(values)
    ]
    got = run()
    assert (got["seen"].dtype, got["seen"].tolist()) == (kind, [round(each) for each in exact])
    code = sum(w * c for w, c in zip(weights, range(3), strict=True)) / sum(weights)
    assert (got["codes"].dtype, got["codes"].tolist()) == (np.float64, [code, 1.0])
    assert got["n"] == code
    left = run(buffers=())
    assert left["seen"].dtype == np.float64
    np.testing.assert_allclose(left["seen"], exact)
    declared = run(buffers=["0.n", "0.codes"])
    assert (type(declared["n"]), declared["codes"].dtype) == (int, np.int64)
    assert declared["n"] == round(code)
    with pytest.raises(ModelError, match="buffers must be the key"):
        run(buffers=[3])


@pytest.mark.parametrize("kind", ["int8", "int64", "uint64"])
@pytest.mark.parametrize("each", [Mean(), FlowerReduction(FedAvg())])
def test_the_ends_of_a_type_stay(reduce, kind, each):
    ends = np.array([np.iinfo(kind).min, np.iinfo(kind).max], kind)
    values = [{"m": {"a": ends, "b": np.array(ends[1])}, "buffers": ["a", "b"]}] * 3
    if isinstance(each, Mean) and kind != "int8":
        values = [{**value, "n": 1} for value in values]
        each = WeightedMean("n")  # a sum of such whole numbers is refused
    got = reduce({"m": each}, values)["m"]
    assert (got["a"].tolist(), got["b"].dtype) == (ends.tolist(), np.dtype(kind))
    assert got["b"] == ends[1]


def test_a_skipped_answer_says_nothing_about_types(reduce):
    sent = [{"seen": np.array([2])}, {"seen": np.array([5])}, {"seen": np.array([0.5, 0.5])}]
    values = [{"m": each, "buffers": ["seen"]} for each in sent]
    for each in (Mean(differing="skip"), FlowerReduction(FedAvg(), differing="skip")):
        got = reduce({"m": each}, values)["m"]["seen"]
        assert (got.dtype, got.tolist()) == (np.int64, [round(3.5)])


@pytest.mark.parametrize("server", OPTIMIZERS)
def test_parameters_go_as_without_buffers(server):
    class Plain(Trains):
        def analysis_method(self, data, aggregator_results):
            answer = super().analysis_method(data, aggregator_results)
            return {**answer, "model": {"0.weight": answer["model"]["0.weight"]}}

    both = [run(server, 6, analyzer)["0.weight"] for analyzer in (Trains, Plain)]
    assert both[0].tobytes() == both[1].tobytes()


def test_an_own_strategy_gets_parameters_only():
    class Doubles(FedAvg):
        def aggregate_train(self, server_round, replies):
            from flwr.app import Array, ArrayRecord

            arrays, metrics = super().aggregate_train(server_round, replies)
            doubled = {key: Array(2 * each.numpy()) for key, each in arrays.items()}
            return ArrayRecord(doubled), metrics

    got, mean = run(Doubles(), 1), run(None, 1)
    np.testing.assert_allclose(got["0.weight"], 2 * mean["0.weight"])
    np.testing.assert_allclose(got["1.running_var"], mean["1.running_var"], rtol=1e-6)
    assert got["1.num_batches_tracked"].dtype == np.int64


@pytest.mark.parametrize(
    ("server", "merge"),
    [
        (FedMedian(), np.median),
        (FedTrimmedAvg(beta=0.34), lambda values: np.sort(values)[1]),
    ],
)
def test_robust_means_withstand_nonsense_in_buffers_too(server, merge):
    got = run(server, 1)
    np.testing.assert_allclose(got["1.running_var"], [merge(VARIANCES)] * 2, rtol=1e-6)
    assert got["1.num_batches_tracked"] == merge(COUNTS)
    assert got["1.num_batches_tracked"].dtype == np.int64


def test_krum_takes_them_from_the_node_it_chooses():
    got = run(Krum(num_malicious_nodes=0), 1)
    chosen = [round(float(v), 6) for v in VARIANCES].index(round(float(got["1.running_var"][0]), 6))
    assert got["1.num_batches_tracked"] == COUNTS[chosen]


def test_which_arrays_they_are_can_be_declared():
    stepped = run(FedAdam(), analyzer=Trains, buffers=())
    assert stepped["1.running_var"].tolist() != run(FedAdam())["1.running_var"].tolist()
    declared = run(FedAdam(), analyzer=Named, buffers=["norm.spread", "norm.seen"])
    named = run(FedAdam(), analyzer=Named)
    assert declared["norm.spread"].tobytes() == named["norm.spread"].tobytes()
    elsewhere = run(FedAdam(), analyzer=Named, buffers="others")
    assert elsewhere["norm.spread"].tobytes() != named["norm.spread"].tobytes()
    for wrong in (3, [3], None):
        with pytest.raises(ModelError, match="buffers must be the key"):
            WeightedFedAvg(server=FedAdam(), buffers=wrong)


def test_other_values_under_buffers_are_the_users_own():
    class Own(Trains):
        def analysis_method(self, data, aggregator_results):
            answer = super().analysis_method(data, aggregator_results)
            return {**answer, "buffers": {"size": np.ones(3)}}

    strategy = ReduceStrategy(
        {
            "model": FlowerReduction(FedAdam(), by="local_n_samples"),
            "buffers": {"size": FlowerReduction(FedAvg())},
        },
        convergence=MaxRounds(3),
    )
    result = StarModelTester(range(3), Own, strategy, "s3").result
    assert result["buffers"]["size"].tolist() == [1.0] * 3
    assert (result["model"]["1.running_var"] > 0).all()


@pytest.mark.parametrize("model", [lambda var, n: [np.ones(2), {"running_var": var, "n": n}]])
def test_buffers_are_found_in_lists(reduce, model):
    values = [{"m": model(v, c), "n": n} for v, c, n in zip(VARIANCES, COUNTS, SIZES, strict=True)]
    declared = {"m": FlowerReduction(FedAdam(), by="n", buffers=["1.n", "1.running_var"])}
    got = reduce(declared, values, rounds=3)["m"][1]
    assert got["running_var"] == pytest.approx(np.average(VARIANCES, weights=SIZES))
    assert got["n"] == round(np.average(COUNTS, weights=SIZES))
    assert type(got["n"]) is int


# ---- filters ---------------------------------------------------------------------------------


def model():
    return {
        "0.weight": RNG.normal(size=8),
        "1.running_var": np.full(4, 50.0),
        "1.num_batches_tracked": np.array(3),
    }


NOISY = [
    GaussianNoise(1.0, 1.0, seed=1),
    SparseVector(0.5, bound=1, threshold=0.1, epsilon_select=1, epsilon_values=1, seed=1),
]


def applied(each, result, aggregate=None):
    return FilterChain.of([each], [], "node-0").apply(result, aggregate, 2)


@pytest.mark.parametrize("keys", [None, "model", ["model"]])
def test_the_largest_changes_are_those_of_parameters(keys):
    result = {"model": model(), "local_n_samples": 9}
    got = applied(TopFraction(0.25, keys=keys), result)["model"]
    weight = result["model"]["0.weight"]
    largest = np.argsort(-np.abs(weight))[:2]
    expected = np.where(np.isin(np.arange(8), largest), weight, 0.0)
    assert got["0.weight"].tolist() == expected.tolist()
    assert got["1.running_var"].tolist() == [50.0] * 4


@pytest.mark.parametrize("each", NOISY)
@pytest.mark.parametrize("keys", [None, ["model"]])
def test_noise_on_a_model_with_buffers_is_refused(each, keys):
    noisy = type(each)(**{**vars(each), "keys": keys})
    named = {"scale": np.ones(3), "0.weight": np.ones(2)}
    for result in (
        {"model": model()},
        {"net": named, "buffers": ["scale"]},
        model(),
    ):
        if keys and "model" not in result:
            continue
        with pytest.raises(
            ModelError, match=r"the model has buffers, .*GroupNorm.*`keys`"
        ) as error:
            applied(noisy, result)
        assert "running_var" not in error.value.message.replace("running variance", "")


@pytest.mark.parametrize("each", NOISY)
def test_arrays_named_one_by_one_get_noise(each):
    result = {"model": model()}
    for name in ("0.weight", "1.running_var"):
        noisy = type(each)(**{**vars(each), "keys": [f"model.{name}"]})
        got = applied(noisy, result)["model"]
        assert got[name].tolist() != result["model"][name].tolist()
        other = {"0.weight", "1.running_var"} - {name}
        assert all(got[each].tolist() == result["model"][each].tolist() for each in other)


def test_clip_shortens_the_change_of_the_whole_model():
    result = {"model": model()}
    got = applied(Clip(1.0), result)["model"]
    length = np.sqrt(sum(np.square(got[name]).sum() for name in ("0.weight", "1.running_var")))
    assert length == pytest.approx(1.0)
    assert (got["1.running_var"] > 0).all()
