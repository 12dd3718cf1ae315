"""Declared strategies, run: in process, over messages, resumed, checked when they are built."""

import logging
import pickle

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAdam

from flame_flwr.aggregation import (
    Concat,
    DeltaNorm,
    MaxRounds,
    PerNode,
    Plateau,
    Sum,
)
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import ModelError, NotConvergedError, ResultError
from flame_flwr.identity import Identity
from flame_flwr.payload import encode
from flame_flwr.results import RunRecord
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel, StarModelTester
from flame_flwr.star.handle import FlameHandle
from flame_flwr.statistics import RowCount
from flame_flwr.strategies import MergeStatistics, ReduceStrategy, StarStrategy, WeightedFedAvg
from flame_flwr.transport.grid import GridTransport
from flame_flwr.transport.interface import Reply

RNG = np.random.default_rng(11)
SPLITS = [
    (x, x @ np.array([1.0, -2.0, 0.5]) + RNG.normal(size=len(x)))
    for x in (RNG.normal(size=(n, 3)) for n in (7, 150, 31))
]
RATE = 0.1


class Regression(StarAnalyzer):
    """Three gradient steps from the common model."""

    def analysis_method(self, data, aggregator_results):
        x, y = data
        coef = np.zeros(3) if aggregator_results is None else aggregator_results["model"]["coef"]
        loss = float(np.mean((y - x @ coef) ** 2))
        for _ in range(3):
            coef = coef - RATE * x.T @ (x @ coef - y) / len(y)
        return {"model": {"coef": coef}, "local_n_samples": len(y), "loss": loss}

    def evaluation_method(self, data, result):
        x, y = data
        return {"mse": float(np.mean((y - x @ result["model"]["coef"]) ** 2))}


def plain_round(coef, splits=SPLITS, weights=None):
    """The same, as a loop in NumPy: the mean of the nodes' models after one round."""
    models = []
    for x, y in splits:
        own = coef
        for _ in range(3):
            own = own - RATE * x.T @ (x @ own - y) / len(y)
        models.append(own)
    return np.average(models, axis=0, weights=weights or [len(y) for _, y in splits])


def plain(rounds, weights=None, splits=SPLITS):
    """Return the coefficients after every round."""
    coef, path = np.zeros(3), []
    for _ in range(rounds):
        coef = plain_round(coef, splits, weights)
        path.append(coef)
    return path


class Shuffled(LocalGrid):
    """Replies come in another order, one at a time."""

    def pull_messages(self, message_ids):
        ids = list(message_ids)
        return super().pull_messages(ids[-1:])


def start(strategy, grid, settings, **more):
    record = RunRecord()
    strategy.start(grid, settings=RunSettings.from_config(settings), record=record, **more)
    return record


def over_messages(strategy, splits=SPLITS, analyzer=Regression, grid_class=LocalGrid, **more):
    settings = more.pop("settings", {})
    with grid_class(NodePlan(analyzer, data_type="s3"), splits) as grid:
        return start(strategy, grid, settings, **more)


def test_weighted_fedavg_is_the_formula():
    tester = StarModelTester(
        SPLITS, Regression, WeightedFedAvg(metrics=["loss"], convergence=MaxRounds(6)), "s3"
    )
    path = plain(6)
    np.testing.assert_allclose(tester.result["model"]["coef"], path[-1], rtol=1e-12)
    losses = [np.mean((y - x @ path[-2]) ** 2) for x, y in SPLITS]
    sizes = [len(y) for _, y in SPLITS]
    assert tester.result["loss"] == pytest.approx(np.average(losses, weights=sizes), rel=1e-12)
    assert tester.rounds == 6
    assert tester.converged
    assert tester.history[-1].reason == "6 rounds are done"
    assert list(tester.evaluations) == ["node-0", "node-1", "node-2"]


def test_weights_may_be_equal_or_a_score():
    equal = StarModelTester(
        SPLITS, Regression, WeightedFedAvg(by=None, convergence=MaxRounds(3)), "s3"
    )
    np.testing.assert_allclose(equal.result["model"]["coef"], plain(3, [1, 1, 1])[-1], rtol=1e-12)
    scored = StarModelTester(
        SPLITS, Regression, WeightedFedAvg(by="loss", convergence=MaxRounds(1)), "s3"
    )
    losses = [np.mean(y**2) for _, y in SPLITS]
    np.testing.assert_allclose(scored.result["model"]["coef"], plain(1, losses)[-1], rtol=1e-12)


def test_the_bits_are_alike_in_every_runtime():
    def strategy():
        return WeightedFedAvg(convergence=MaxRounds(5))

    local = StarModelTester(SPLITS, Regression, strategy(), "s3").result["model"]["coef"]
    for grid_class in (LocalGrid, Shuffled):
        record = over_messages(strategy(), grid_class=grid_class)
        assert record.result["model"]["coef"].tobytes() == local.tobytes()
        assert record.result["model"]["coef"].flags.writeable
        assert len(record.evaluations) == 3


@pytest.mark.parametrize("count", [1, 200])
def test_one_node_and_two_hundred(count):
    splits = [SPLITS[i % 3] for i in range(count)]
    record = over_messages(WeightedFedAvg(convergence=MaxRounds(2)), splits)
    expected = plain(2, splits=splits)[-1]
    np.testing.assert_allclose(record.result["model"]["coef"], expected, rtol=1e-12)
    assert len(record.nodes) == count


class Failing(Regression):
    def analysis_method(self, data, aggregator_results):
        if self.num_iterations == 1 and self.id == "node-1":
            raise ValueError("no")
        return super().analysis_method(data, aggregator_results)


def test_a_node_is_missing_in_its_rounds_only():
    record = over_messages(
        WeightedFedAvg(convergence=MaxRounds(3)),
        analyzer=Failing,
        settings={"on-failure": "skip", "min-nodes": 2},
    )
    coef = plain_round(plain_round(np.zeros(3)), SPLITS[::2])
    coef = plain_round(coef)
    np.testing.assert_allclose(record.result["model"]["coef"], coef, rtol=1e-12)
    assert list(record.history[1].failed) == ["node-1"]


# ---- convergence -----------------------------------------------------------------------------


def test_a_run_stops_when_converged_and_says_why(caplog):
    path = [np.zeros(3), *plain(60)]
    changes = [np.linalg.norm(path[k] - path[k - 1]) for k in range(2, 61)]
    expected = 2 + next(k for k, change in enumerate(changes) if change <= 1e-3)
    with caplog.at_level(logging.INFO, "flame_flwr"):
        tester = StarModelTester(
            SPLITS,
            Regression,
            WeightedFedAvg(convergence=MaxRounds(60) | DeltaNorm("model.coef", 1e-3)),
            "s3",
            quiet=False,
        )
    assert tester.rounds == expected
    assert tester.history[-1].reason.startswith("`model.coef` changed by 0.000")
    lines = [r.getMessage() for r in caplog.records if "`model.coef` changed" in r.getMessage()]
    assert len(lines) == 1
    assert lines[0].startswith(f"round {expected}: ")


class Total(StarAggregator):
    def aggregation_method(self, analysis_results):
        return self.num_iterations

    def has_converged(self, result, last_result):
        return result >= 5


class Nothing(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"n": data}


@pytest.mark.parametrize(
    ("convergence", "rounds", "reason"),
    [
        (MaxRounds(3), 3, "3 rounds are done"),
        (MaxRounds(1), 1, "1 rounds are done"),
        (MaxRounds(9), 6, "has_converged returned True"),
        (lambda new, old: new == 5, 6, "has_converged returned True; <lambda> returned True"),
    ],
)
def test_a_models_convergence_is_ored_with_has_converged(convergence, rounds, reason):
    tester = StarModelTester([1, 2], Nothing, Total, "s3", convergence=convergence)
    assert (tester.rounds, tester.history[-1].reason) == (rounds, reason)
    model = StarModel(Nothing, Total, "s3", convergence=convergence)
    record = over_messages(model.strategy(), [1, 2], Nothing, simple_analysis=True)
    assert (len(record.history), record.history[-1].reason) == (rounds, reason)
    assert record.to_json()["reason"] == reason


def test_a_models_convergence_is_ored_with_the_strategys():
    strategy = WeightedFedAvg(convergence=MaxRounds(9))
    tester = StarModelTester(SPLITS, Regression, strategy, "s3", convergence=MaxRounds(2))
    assert tester.rounds == 2
    again = StarModelTester(SPLITS, Regression, strategy, "s3")
    assert again.rounds == 9


def test_two_runs_of_one_strategy_share_no_patience():
    strategy = WeightedFedAvg(metrics=["loss"], convergence=Plateau("loss", 2, min_delta=9.0))
    rounds = {StarModelTester(SPLITS, Regression, strategy, "s3").rounds for _ in range(2)}
    assert rounds == {3}


def test_without_convergence_there_is_one_round():
    assert StarModelTester(SPLITS, Regression, WeightedFedAvg(), "s3").rounds == 1
    with pytest.raises(ModelError, match="WeightedFedAvg has more than one round and no conv"):
        StarModelTester(SPLITS, Regression, WeightedFedAvg(), "s3", simple_analysis=False)
    with pytest.raises(NotConvergedError):
        StarModelTester(
            SPLITS, Regression, WeightedFedAvg(convergence=MaxRounds(9)), "s3", max_rounds=4
        )


# ---- files -----------------------------------------------------------------------------------


class Files(ReduceStrategy):
    reductions = {"n": Sum()}
    outputs = (
        ("total.txt", "str", lambda final: f"{final['n']} in all"),
        ("total.bin", "bytes", lambda final: np.array([final["n"]], np.int64)),
        ("total.pkl", "pickle", lambda final: final),
    )


def test_outputs_of_mixed_types_are_written(tmp_path):
    tester = StarModelTester([4, 5], Nothing, Files, "s3", filename=tmp_path / "out")
    assert tester.result == ["9 in all", np.array([9]), {"n": 9}]
    assert (tmp_path / "out" / "total.txt").read_text() == "9 in all"
    assert np.frombuffer((tmp_path / "out" / "total.bin").read_bytes(), np.int64) == 9
    assert len(list((tmp_path / "out").glob("total.*"))) == 3
    model = StarModel(Nothing, Files, "s3")
    assert model.outputs.names == ("total.txt", "total.bin", "total.pkl")


def test_a_result_that_does_not_fit_is_rescued(tmp_path):
    class Bad(Files):
        outputs = (("a.bin", "bytes", lambda final: final["n"]),)

    with pytest.raises(ResultError, match=r"a\.bin: output_type 'bytes' needs bytes"):
        StarModelTester([1, 2], Nothing, Bad, "s3", filename=tmp_path)
    assert (tmp_path / "rescue.pkl").exists()


@pytest.mark.parametrize(
    ("outputs", "what"),
    [
        ([("a.txt", "text", str)], "output_type must be one of"),
        ([("../a.txt", "str", str)], "without folders"),
        ([("run.json", "str", str)], "taken by the run's own files"),
        ([("a", "str", str), ("a", "str", str)], "twice"),
        ([("a", "str", lambda: 1)], "must take one argument"),
        ([("a", "str")], "is not \\(filename, type, function\\)"),
        ([("a", "str", "b")], "is not \\(filename, type, function\\)"),
        ("a.txt", "must be a list of"),
    ],
)
def test_outputs_are_checked_when_the_strategy_is_built(outputs, what):
    with pytest.raises(ModelError, match=what):
        ReduceStrategy({"n": Sum()}, outputs=outputs)


def test_files_are_declared_once():
    for more in ({"filename": "x"}, {"output_type": "pickle"}, {"multiple_results": True}):
        with pytest.raises(ModelError, match="Files declares its files itself"):
            StarModel(Nothing, Files, "s3", **more)


# ---- declaring and subclassing ---------------------------------------------------------------


def test_a_wrong_declaration_is_found_when_built():
    with pytest.raises(ModelError, match="ReduceStrategy: declare its reductions"):
        ReduceStrategy()
    with pytest.raises(ModelError, match=r"first\['a'\]: 4 is no reduction"):
        ReduceStrategy(Sum(), first={"a": 4})
    with pytest.raises(ModelError, match="convergence must be"):
        ReduceStrategy(Sum(), convergence=4)
    with pytest.raises(ModelError, match="metrics must be a list of keys"):
        WeightedFedAvg(metrics="loss")
    with pytest.raises(ModelError, match="bad_weight must be one of"):
        WeightedFedAvg(bad_weight="zero")
    with pytest.raises(ModelError, match="Files does not fit aggregator_kwargs"):
        StarModel(Nothing, Files, "s3", aggregator_kwargs={"reduction": 1})
    with pytest.raises(ModelError, match="belong to a class"):
        StarModel(Nothing, Files(), "s3", aggregator_kwargs={"outputs": ()})


class Rate(WeightedFedAvg):
    """Half way to the mean, from a model to begin with."""

    by = "local_n_samples"
    metrics = ("loss",)
    convergence = staticmethod(lambda new, last: new["rounds"] == 3)
    initial = {"model": {"coef": np.ones(3)}, "rounds": 0}

    def update(self, merged, last):
        coef = (merged["model"]["coef"] + last["model"]["coef"]) / 2
        self.losses = [*getattr(self, "losses", []), merged["loss"]]
        return {"model": {"coef": coef}, "rounds": last["rounds"] + 1}

    def finalize(self, aggregate, evaluations):
        return aggregate["model"]["coef"], self.losses, evaluations


def half_way(rounds):
    coef, losses = np.ones(3), []
    for _ in range(rounds):
        sizes = [len(y) for _, y in SPLITS]
        losses.append(np.average([np.mean((y - x @ coef) ** 2) for x, y in SPLITS], weights=sizes))
        coef = (plain_round(coef) + coef) / 2
    return coef, losses


def test_a_subclass_declares_by_attributes():
    coef, losses, evaluations = StarModelTester(SPLITS, Regression, Rate, "s3").result
    expected = half_way(3)
    np.testing.assert_allclose(coef, expected[0], rtol=1e-12)
    np.testing.assert_allclose(losses, expected[1], rtol=1e-12)
    assert list(evaluations) == ["node-0", "node-1", "node-2"]


class Momentum(Rate):
    """With an optimiser and a patience that remember."""

    server = FedAdam(eta=0.3)
    convergence = MaxRounds(6) | Plateau("patience", 4, min_delta=0.5)

    def update(self, merged, last):
        return {**super().update(merged, last), "patience": 1.0}


def rounds_of(strategy, numbers, kept=None):
    """Run some rounds of an analysis as a run over a Grid does; return what a checkpoint keeps."""
    names = ("node-0", "node-1", "node-2")
    strategy._link = GridTransport(
        strategy, None, RunSettings.from_config({}), None, None, "session"
    )
    record, settings = RunRecord(nodes=list(names)), RunSettings.from_config({})
    run = strategy._begin(names, False, settings, record, False, encode(strategy.initial))
    if kept is not None:
        strategy._go_on(run, pickle.loads(kept))
    for number in numbers:
        aggregate = record.aggregate or strategy.initial
        replies = []
        for name, split in zip(names, SPLITS, strict=True):
            handle = FlameHandle(Identity(name, names, "a", "p"))
            replies.append(
                Reply(name, encode(Regression(handle).analysis_method(split, aggregate)))
            )
        run.aggregate = run.collect(number, replies)
    return pickle.dumps(strategy._progress(run)), record


@pytest.mark.parametrize("kind", [Rate, Momentum])
def test_a_resumed_run_gives_the_same_bits(kind):
    one = kind()
    _, whole = rounds_of(one, range(1, 6))
    kept, _ = rounds_of(kind(), (1, 2))
    other = kind()
    _, record = rounds_of(other, range(3, 6), kept)
    assert record.resumed_after == 2
    assert [r.reason for r in record.history] == [r.reason for r in whole.history]
    if kind is Momentum:
        assert whole.history[-1].reason == "`patience` has not become better for 4 rounds"
    coef = record.aggregate["model"]["coef"]
    assert coef.tobytes() == whole.aggregate["model"]["coef"].tobytes()
    assert other.losses == one.losses
    assert len(one.losses) == 5


def test_the_first_round_may_be_reduced_differently():
    class TwoKinds(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            if aggregator_results is None:
                return {"names": [self.id]}
            return {"n": data}

    class Both(ReduceStrategy):
        first = {"names": Concat()}
        reductions = {"n": PerNode()}
        convergence = MaxRounds(2)

        def update(self, merged, last):
            return {**(last or {}), **merged}

    result = StarModelTester([3, 4], TwoKinds, Both, "s3").result
    assert result == {"names": ["node-0", "node-1"], "n": {"node-0": 3, "node-1": 4}}


def test_statistics_are_merged_and_reported():
    class Counting(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return {"all": RowCount(data), "by": [RowCount(1)]}

    result = StarModelTester([3, 4], Counting, MergeStatistics(RowCount), "s3").result
    assert (result["all"]["rows"], result["by"][0]["rows"]) == (7, 2)


def test_keys_that_no_reduction_takes_are_said_once(caplog):
    with caplog.at_level(logging.INFO, "flame_flwr"):
        StarModelTester(
            SPLITS, Regression, WeightedFedAvg(convergence=MaxRounds(3)), "s3", quiet=False
        )
    said = [r.getMessage() for r in caplog.records if "no reduction" in r.getMessage()]
    assert said == ["no reduction is declared for loss: not merged"]


def test_a_strategy_that_overrides_messages_still_converges():
    class Own(WeightedFedAvg):
        def configure_train(self, server_round, arrays, config, grid):
            config["more"] = 1
            return super().configure_train(server_round, arrays, config, grid)

    tester = StarModelTester(SPLITS, Regression, Own(convergence=MaxRounds(4)), "s3")
    np.testing.assert_allclose(tester.result["model"]["coef"], plain(4)[-1], rtol=1e-12)
    assert isinstance(Own(), StarStrategy)
