"""Cross-site validation: against a plain loop, over messages, resumed, without a hospital."""

import csv
import io
import math

import numpy as np
import pytest
from keeping_client import keeps
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import roc_auc_score

from flame_flwr.aggregation import MaxRounds, Plateau
from flame_flwr.aggregation.merged_round import MergedRound
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.cross_site import CROSS_SITE_FILES, CrossSite, CrossSiteFedAvg, answer, is_asked
from flame_flwr.cross_site.answers import kind_of, phase_tree
from flame_flwr.errors import AnswerError, ModelError
from flame_flwr.privacy import MinCount
from flame_flwr.results.checkpoint import Checkpoint
from flame_flwr.results.run_record import RunRecord
from flame_flwr.sklearn import SklearnAnalyzer, SklearnCrossSite, SklearnFedAvg
from flame_flwr.star import StarAnalyzer, StarModel, StarModelTester
from flame_flwr.statistics import AUC
from flame_flwr.strategies import CyclicTraining, ReduceStrategy, WeightedFedAvg

SGD = {"loss": "log_loss", "learning_rate": "constant", "eta0": 0.01, "random_state": 5}
NODES = ["node-0", "node-1", "node-2"]
MODELS = [*(f"{node} alone" for node in NODES), "common"]


def rows(seed, n, gain):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) * gain
    return x, (x @ [1.0, -1.0, 0.5] + rng.normal(size=n) > 0.2).astype(int)


SPLITS = [[rows(1, 90, 1.0)], [rows(2, 60, 2.0)], [rows(3, 45, 0.6)]]


class Ward(SklearnAnalyzer):
    def estimator(self):
        return SGDClassifier(**SGD)

    def dataset(self, data):
        x, y = data[0]
        return x[::2], y[::2]

    def test_dataset(self, data):
        x, y = data[0]
        return x[1::2], y[1::2]


def strategy(rounds=4, **more):
    return SklearnCrossSite(metrics=["accuracy"], convergence=MaxRounds(rounds + 1), **more)


def run(made=None, analyzer=Ward, **more):
    return StarModelTester(SPLITS, analyzer, made or strategy(), "s3", quiet=True, **more)


def fit(weights, x, y):
    model = SGDClassifier(**SGD, max_iter=1, tol=None)
    model.fit(x, y, coef_init=weights[None, :-1].copy(), intercept_init=weights[-1:].copy())
    return np.append(model.coef_[0], model.intercept_)


@pytest.fixture(scope="module")
def predictions():
    """The outcomes and every model's predictions at every hospital, by a plain loop."""
    halves = [((x[::2], y[::2]), (x[1::2], y[1::2])) for x, y in (split[0] for split in SPLITS)]
    common, own = np.zeros(4), [np.zeros(4) for _ in SPLITS]
    counts = [len(y) for (_, y), _ in halves]
    for _ in range(4):
        found = [fit(common, *train) for train, _ in halves]
        common = np.average(found, axis=0, weights=counts)
        own = [fit(each, *train) for each, (train, _) in zip(own, halves, strict=True)]

    def predicted(weights, x):
        return 1 / (1 + np.exp(-(x @ weights[:-1] + weights[-1])))

    models = dict(zip(MODELS, [*own, common], strict=True))
    return {
        name: {node: (y, predicted(w, x)) for node, (_, (x, y)) in zip(NODES, halves, strict=True)}
        for name, w in models.items()
    }


@pytest.fixture(scope="module")
def result():
    return run().result["cross_site"]


def test_every_model_is_scored_at_every_node(result, predictions):
    assert list(result.models) == MODELS
    for model, by_node in predictions.items():
        every = [np.concatenate(each) for each in zip(*by_node.values(), strict=True)]
        for node, (y, found) in {**by_node, "all": every}.items():
            said = result.figures(model, node)
            assert said["accuracy"] == pytest.approx(np.mean((found >= 0.5) == (y == 1)), rel=1e-12)
            binned = np.floor(found * 100)
            assert said["auc"] == pytest.approx(roc_auc_score(y, binned), rel=1e-12)
            assert said["lower"] - 1e-12 <= roc_auc_score(y, found) <= said["upper"] + 1e-12
            assert (said["positives"], said["negatives"]) == (sum(y), sum(1 - y))


def test_the_curves_are_those_of_the_thresholds(result, predictions):
    for model in MODELS:
        y, found = predictions[model]["node-1"]
        for threshold, false, true in result.roc(model, "node-1"):
            above = np.floor(found * 100) >= round(threshold * 100)
            assert false == pytest.approx(np.mean(above[y == 0]), abs=1e-12)
            assert true == pytest.approx(np.mean(above[y == 1]), abs=1e-12)


def test_the_training_is_not_changed_by_it():
    tester = run()
    plain = SklearnCrossSite.__mro__[2](metrics=["accuracy"], convergence=MaxRounds(5))
    alone = run(plain)
    for part in ("coef", "intercept"):
        assert tester.result["model"][part].tobytes() == alone.result["model"][part].tobytes()
    assert (tester.rounds, alone.rounds) == (7, 5)
    assert tester.record.history[-1].reason == "all models are scored at every node"


def test_own_models_may_stay_at_home():
    tester = run(strategy(share_own=False))
    found, shared = tester.result["cross_site"], run().result["cross_site"]
    assert tester.rounds == 6
    for model in MODELS:
        for node in NODES:
            if model in ("common", f"{node} alone"):
                assert found.figures(model, node) == shared.figures(model, node)
            else:
                assert math.isnan(found.figures(model, node)["auc"])
        assert math.isnan(found.figures(model)["auc"]) is (model != "common")


def over_messages(
    made, analyzer=Ward, most=20, folder=None, *, splits=SPLITS, resume=False, **settings
):
    record = RunRecord()
    if resume:
        settings |= {"resume": True, "checkpoint": str(folder)}
    with LocalGrid(NodePlan(analyzer, data_type="s3"), splits) as grid:
        made.start(
            grid,
            num_rounds=most,
            settings=RunSettings.from_config(settings),
            record=record,
            simple_analysis=False,
            checkpoint=None if folder is None else Checkpoint(str(folder), {"app": "a"}),
        )
    return record


def test_it_is_alike_over_messages(result):
    assert over_messages(strategy()).result["cross_site"] == result


def test_a_node_that_misses_a_round_has_a_gap():
    class Missing(Ward):
        def own_model(self, data, aggregate, rounds):
            if self.id == "node-0":
                raise OSError("the disk is away")
            return super().own_model(data, aggregate, rounds)

        def decisions(self, model, data, aggregate):
            if self.id == "node-2":
                raise OSError("the disk is away")
            return super().decisions(model, data, aggregate)

    skip = {"on-failure": "skip", "min-nodes": 2}
    found = over_messages(strategy(), Missing, **skip).result["cross_site"]
    assert list(found.models) == ["node-1 alone", "node-2 alone", "common"]
    assert found.nodes == ["node-0", "node-1"]
    assert 0.5 < found.figures("common")["auc"] < 1


def test_counts_go_through_the_rules():
    found = run(disclosure=[MinCount(5)]).result["cross_site"]
    exact = run().result["cross_site"]
    for model in MODELS:
        for node in NODES:
            counts = found.counts(model, node)
            cells = [*counts.positives, *counts.negatives]
            assert all(cell == 0 or cell >= 5 for cell in cells)
        assert found.counts(model).coarsened_at == 3
    assert found.shown("auc", "common").endswith("*")
    assert not exact.moved
    assert abs(found.figures("common")["auc"] - exact.figures("common")["auc"]) < 0.1


def test_the_files_say_the_same(result):
    files = dict(
        zip(
            (name for name, *_ in CROSS_SITE_FILES),
            run(strategy(outputs=CROSS_SITE_FILES)).result,
            strict=True,
        )
    )
    table = list(csv.DictReader(io.StringIO(files["cross_site.csv"])))
    assert len(table) == 16
    for row in table:
        assert float(row["auc"]) == result.figures(row["model"], row["node"])["auc"]
    line = next(each for each in files["cross_site.txt"].splitlines() if each.startswith("common"))
    assert line.split()[1:] == [
        f"{result.figures('common', node)['auc']:.3f}" for node in [*NODES, "all"]
    ]
    curves = list(csv.DictReader(io.StringIO(files["roc.csv"])))
    assert len(curves) == 16 * 101
    for picture in ("cross_site.png", "roc.png"):
        assert files[picture].startswith(b"\x89PNG")
        assert len(files[picture]) > 10_000


def test_a_convergence_with_a_memory_goes_on_after_a_checkpoint(tmp_path):
    def made():
        patience = Plateau("accuracy", 3, min_delta=2.0)
        return SklearnCrossSite(metrics=["accuracy"], convergence=patience | MaxRounds(9))

    whole = over_messages(made())
    assert len(whole.history) == 7  # one to agree, four for the patience, two of validation
    for cut in (2, 5, 6):
        folder = tmp_path / str(cut)
        strategy = made()
        with LocalGrid(NodePlan(Ward, data_type="s3"), SPLITS, keeps(cut)) as grid:
            for most, resume in ((cut, False), (20, True)):
                record = RunRecord()
                config = {"resume": True, "checkpoint": str(folder)} if resume else {}
                strategy = made()
                strategy.start(
                    grid,
                    num_rounds=most,
                    settings=RunSettings.from_config(config),
                    record=record,
                    simple_analysis=False,
                    checkpoint=Checkpoint(str(folder), {"app": "a"}),
                )
        assert record.resumed_after == cut
        assert record.result["cross_site"] == whole.result["cross_site"]


class Round(CrossSite, CyclicTraining):
    """As the page says of any declared strategy."""


def test_it_stands_in_front_of_any_declared_strategy(predictions, tmp_path):
    made = Round(metrics=["accuracy"], convergence=MaxRounds(4))
    analyzer = type("Known", (Ward,), {"classes": (0, 1)})
    record = over_messages(made, analyzer, folder=tmp_path / "kept")
    common = np.zeros(4)
    for _ in range(4):
        for ((x, y),) in SPLITS:
            common = fit(common, x[::2], y[::2])
    model = record.result["model"]
    np.testing.assert_allclose([*model["coef"][0], *model["intercept"]], common, rtol=1e-12)
    found = record.result["cross_site"]
    for ((x, y),), node in zip(SPLITS, NODES, strict=True):
        right = (x[1::2] @ common[:-1] + common[-1] >= 0) == (y[1::2] == 1)
        assert found.figures("common", node)["accuracy"] == pytest.approx(np.mean(right))
        own = found.figures(f"{node} alone", "node-0")["accuracy"]
        y, said = predictions[f"{node} alone"]["node-0"]
        assert own == pytest.approx(np.mean((said >= 0.5) == (y == 1)))


def test_any_analyzer_can_answer():
    class Mean(StarAnalyzer):
        def analysis_method(self, data, aggregate):
            if is_asked(aggregate):
                return answer(self, data, aggregate)
            return {"model": np.array([np.mean(data)]), "local_n_samples": len(data)}

        def own_model(self, data, aggregate, rounds):
            return np.array([np.mean(data)])

        def decisions(self, model, data, aggregate):
            return [value > 2 for value in data], [0.9 if v > model[0] else 0.1 for v in data]

    made = CrossSiteFedAvg(convergence=MaxRounds(1))
    found = StarModelTester([[1.0, 2.0, 3.0], [5.0, 7.0, 1.0]], Mean, made, "s3", quiet=True)
    table = found.result["cross_site"].to_frame("accuracy")
    assert table.loc["node-0 alone"].tolist() == [1.0, 1.0, 1.0]
    assert table.loc["common"].tolist() == pytest.approx([2 / 3, 1.0, 5 / 6])


def forging(key, forged):
    """Ward, where node-1 answers something else under a key."""

    class Forging(Ward):
        def analysis_method(self, data, aggregate):
            said = super().analysis_method(data, aggregate)
            return {key: forged(said[key])} if key in said and self.id == "node-1" else said

    return Forging


ZERO = AUC.zero(100)


@pytest.mark.parametrize(
    ("phase", "answer", "says"),
    [
        ("own", 5, "its own model is made of other parts than the common one"),
        ("own", {}, "its own model is made of other parts than the common one"),
        ("scores", 5, "no scores of the models that it was sent"),
        ("scores", {"common": ZERO}, "no scores of the models that it was sent"),
        ("scores", {"own": {"\x1b[31m": ZERO}, "common": ZERO}, "no scores of the models"),
        ("scores", {"own": {"node-0": 1}, "common": ZERO}, "no AUC with 100 bins"),
        ("scores", {"own": {}}, "no AUC with 100 bins"),
        ("scores", {"own": {}, "common": AUC.zero(10)}, "no AUC with 100 bins"),
        ("scores", {"own": {}, "common": AUC.zero(100, 0, 2)}, "no AUC with 100 bins"),
    ],
)
def test_what_no_node_answers_is_refused(phase, answer, says):
    merged = MergedRound(1, NODES, phase_tree(phase, 100, kind_of({"coef": 1.0})))
    with pytest.raises(AnswerError, match=f"node-0: .*{says}"):
        merged.add("node-0", {phase: answer})


@pytest.mark.parametrize("key", ["agreement", "own", "scores"])
def test_a_forged_answer_is_the_failure_of_its_node(key):
    skip = {"on-failure": "skip", "min-nodes": 2}
    record = over_messages(strategy(rounds=1), forging(key, lambda said: 5), **skip)
    found = record.result["cross_site"]
    assert found.nodes == (["node-0", "node-2"] if key == "scores" else NODES)
    assert ("node-1 alone" in found.models) is (key != "own")
    assert [list(entry.failed) for entry in record.history if entry.failed] == [["node-1"]]


def test_a_model_that_nobody_can_score_has_a_row_without_figures():
    """And it ends no run."""
    analyzer = forging("own", lambda own: own | {"coef": np.zeros((1, 7))})
    skip = {"on-failure": "skip", "min-nodes": 2}
    made = strategy(rounds=1, outputs=[*CROSS_SITE_FILES, ("all.pkl", "pickle", lambda one: one)])
    summary, table, *pictures, final = over_messages(made, analyzer, **skip).result
    found = final["cross_site"]
    assert found.nodes == ["node-0", "node-2"]  # a node must be able to score its own
    assert list(found.models) == MODELS
    assert 0.5 < found.figures("node-2 alone", "node-0")["auc"] <= 1
    for node in (*found.nodes, "all"):
        figures = found.figures("node-1 alone", node)
        assert math.isnan(figures["auc"])
        assert math.isnan(figures["accuracy"])
        assert (figures["positives"], figures["negatives"]) == (0, 0)
        assert f"node-1 alone,{node},0,0,,,,\n" in table
    assert [line.split()[2:] for line in summary.splitlines() if line.startswith("node-1")] == [
        ["-", "-", "-"]
    ] * 2
    assert all(len(picture) > 10_000 for picture in pictures)


def test_two_classes_are_seen_to_in_the_first_round():
    three = [[(x, np.arange(len(y)) % 3)] for ((x, y),) in SPLITS]
    with pytest.raises(ModelError, match="classifiers of two classes"):
        over_messages(strategy(), splits=three, most=1)


@pytest.mark.parametrize("strategy", [WeightedFedAvg, SklearnFedAvg, CyclicTraining])
def test_behind_a_strategy_it_is_refused(strategy):
    said = rf"name it before {strategy.__name__}, `class Study\(CrossSite, {strategy.__name__}\)`"
    with pytest.raises(ModelError, match=said):
        type("Study", (strategy, CrossSite), {})


def test_a_strategy_may_say_in_its_own_words_when_the_training_ends():
    study = type("Study", (CrossSite, CyclicTraining), {})
    two = type("Two", (Ward,), {"classes": (0, 1)})
    one, other = study(rounds=3), study(convergence=MaxRounds(3))
    assert [one.convergence.most_rounds(), other.convergence.most_rounds()] == [5, 5]
    testers = [StarModelTester(SPLITS, two, each, "s3", quiet=True) for each in (one, other)]
    assert testers[0].result["cross_site"] == testers[1].result["cross_site"]
    with pytest.raises(ModelError, match="say when the training ends"):
        study()


def test_what_is_declared_wrongly_is_named():
    for wrong, says in (
        ({"bins": 7}, "bins must be an even number from 2, not 7"),
        ({"share_own": 1}, "share_own must be True or False, not 1"),
        ({"convergence": None}, "say when the training ends"),
        ({"secure": True}, "are no sums"),
        ({"secure": False}, "are no sums"),  # on a grid alone neither
    ):
        with pytest.raises(ModelError, match=says):
            CrossSiteFedAvg(**{"convergence": MaxRounds(3), **wrong})
    with pytest.raises(ModelError, match="are no sums"):  # as of a run config
        strategy().sum_securely(False)

    class Plain(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return {}

    with pytest.raises(ModelError, match="Plain has no method own_model and decisions"):
        StarModel(Plain, CrossSiteFedAvg(convergence=MaxRounds(3)), "none")
    bare = type("Bare", (Ward,), {"test_dataset": None})
    with pytest.raises(ModelError, match="rows that are not trained with: write a `test_dataset`"):
        StarModel(bare, strategy(), "none")
    assert issubclass(CrossSite, ReduceStrategy)
