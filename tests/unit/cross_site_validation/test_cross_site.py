"""Cross-site validation: every model is scored at every node, as a plain loop does."""

import csv
import io
import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from flame_flwr.aggregation import MaxRounds
from flame_flwr.cross_site import CROSS_SITE_FILES, CrossSite, CrossSiteFedAvg, answer, is_asked
from flame_flwr.errors import ModelError
from flame_flwr.privacy import MinCount
from flame_flwr.sklearn import SklearnCrossSite, SklearnFedAvg
from flame_flwr.star import StarAnalyzer, StarModel, StarModelTester
from flame_flwr.strategies import CyclicTraining, ReduceStrategy, WeightedFedAvg

from .wards_apart import MODELS, NODES, SPLITS, Ward, run, strategy


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
        curve = list(result.roc(model, "node-1"))
        assert len(curve) == 101
        for threshold, false, true in curve:
            above = np.floor(found * 100) >= round(threshold * 100)
            assert false == pytest.approx(np.mean(above[y == 0]), abs=1e-12)
            assert true == pytest.approx(np.mean(above[y == 1]), abs=1e-12)


def test_the_training_is_not_changed_by_it(tester):
    plain = SklearnCrossSite.__mro__[2](metrics=["accuracy"], convergence=MaxRounds(5))
    alone = run(plain)
    for part in ("coef", "intercept"):
        assert tester.result["model"][part].tobytes() == alone.result["model"][part].tobytes()
    assert (tester.rounds, alone.rounds) == (7, 5)
    assert tester.record.history[-1].reason == "all models are scored at every node"


def test_own_models_may_stay_at_home(result):
    tester = run(strategy(share_own=False))
    found, shared = tester.result["cross_site"], result
    assert tester.rounds == 6
    for model in MODELS:
        for node in NODES:
            if model in ("common", f"{node} alone"):
                assert found.figures(model, node) == shared.figures(model, node)
            else:
                assert math.isnan(found.figures(model, node)["auc"])
        assert math.isnan(found.figures(model)["auc"]) is (model != "common")


def test_counts_go_through_the_rules(result):
    found = run(disclosure=[MinCount(5)]).result["cross_site"]
    for model in MODELS:
        for node in NODES:
            counts = found.counts(model, node)
            cells = [*counts.positives, *counts.negatives]
            assert all(cell == 0 or cell >= 5 for cell in cells)
        assert found.counts(model).coarsened_at == 3
    assert found.shown("auc", "common").endswith("*")
    assert not result.moved
    assert abs(found.figures("common")["auc"] - result.figures("common")["auc"]) < 0.1


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


@pytest.mark.parametrize("strategy", [WeightedFedAvg, SklearnFedAvg, CyclicTraining])
def test_behind_a_strategy_it_is_refused(strategy):
    said = rf"name it before {strategy.__name__}, `class Study\(CrossSite, {strategy.__name__}\)`"
    with pytest.raises(ModelError, match=said):
        type("Study", (strategy, CrossSite), {})


def test_a_strategys_own_end_of_training_holds():
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
