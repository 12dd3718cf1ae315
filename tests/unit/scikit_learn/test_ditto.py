"""``Ditto`` is the algorithm of its paper in a plain loop, and its personal models stay."""

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier

from flame_flwr.aggregation import MaxRounds, Mean, PerNode
from flame_flwr.data import clear_local_storage
from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.payload import encode
from flame_flwr.sklearn import Ditto
from flame_flwr.star import StarAnalyzer, StarModel
from flame_flwr.strategies import ReduceStrategy, WeightedFedAvg

from .wards import SGD, SPLITS, HeldBack, Ward, mean, over_messages, resumed, run


class Personal(Ditto, Ward):
    lam = 0.3
    passes = 2


class PersonalTested(Ditto, HeldBack):
    pass


def test_it_stands_in_front_of_an_analyzer():
    with pytest.raises(ModelError, match="Behind: Ditto stands in front of the analyzer"):
        type("Behind", (Ward, Ditto), {})
    alone = type("Alone", (Ditto,), {"lam": 0.5})  # to be put in front of one
    assert issubclass(type("Both", (alone, Ward), {}), Ditto)


class Counts(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"model": np.zeros(1), "local_n_samples": 1}


@pytest.mark.parametrize("bases", [(Ditto,), (Ditto, Counts)])
def test_in_front_of_no_training_is_refused(bases):
    said = r"Alone: Ditto stands in front of an analyzer .* `class Alone\(Ditto, Mine\)`"
    with pytest.raises(ModelError, match=said):
        StarModel(type("Alone", bases, {}), strategy(), "none")
    with pytest.raises(ModelError, match="Ditto, Mine"):
        StarModel(Ditto, strategy(), "none")


def test_a_strategy_that_merges_no_model_is_named():
    with pytest.raises(ModelError, match="Personal: the last aggregate has no `model`"):
        run(Personal, strategy=ReduceStrategy({"loss": Mean()}, convergence=MaxRounds(1)))


pytestmark = pytest.mark.usefixtures("nothing_kept")


def strategy(rounds=4):
    return WeightedFedAvg(convergence=MaxRounds(rounds))


def one_pass(coef, intercept, x, y):
    fitted = SGDClassifier(**SGD, max_iter=1, tol=None)
    fitted.fit(x, y, coef_init=coef.copy(), intercept_init=intercept.copy())
    return fitted.coef_, fitted.intercept_


def loop(rounds, lam, passes, splits):
    """Algorithm 1 of Li et al. with the step between passes, the intercept as another weight."""
    w = [np.zeros((1, 4)), np.zeros(1)]
    own = [[np.zeros((1, 4)), np.zeros(1)] for _ in splits]
    for _ in range(rounds):
        found = []
        for node, (x, y) in enumerate(splits):
            common = w
            for _ in range(passes):
                common = one_pass(*common, x, y)
                v = one_pass(*own[node], x, y)
                pull = lam * SGD["eta0"] * len(y)
                own[node] = [(a + pull * b) / (1 + pull) for a, b in zip(v, w, strict=True)]
            found.append(common)
        counts = [len(y) for _, y in splits]
        w = [mean([each[part] for each in found], counts) for part in (0, 1)]
    return w, own


def kept_models():
    """Return what a later analysis of the project finds at every node."""

    class Later(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            assert self.flame.get_local_tags() == ["personal-model"]
            return self.flame.get_intermediate_data("local", tag="personal-model")

    found = run(Later, strategy=ReduceStrategy(PerNode())).result
    assert all(len(models) == 1 for models in found.values())
    return [models[0] for models in found.values()]


def test_it_is_the_papers_algorithm():
    tester = run(Personal, strategy=strategy())
    w, own = loop(4, 0.3, 2, [split[0] for split in SPLITS])
    np.testing.assert_allclose(tester.result["model"]["coef"], w[0], rtol=1e-12)
    for kept, expected in zip(kept_models(), own, strict=True):
        np.testing.assert_allclose(kept["coef"], expected[0], rtol=1e-12)
        np.testing.assert_allclose(kept["intercept"], expected[1], rtol=1e-12)
        assert kept["classes"] == [0, 1]


def test_lam_blends_own_and_common_model():
    coefs = {}
    for lam in (0.0, 1.0, 1e9):
        clear_local_storage()
        result = run(Personal, strategy=strategy(), lam=lam).result
        coefs[lam] = [kept["coef"] for kept in kept_models()]
    x, y = SPLITS[0][0]
    alone = [np.zeros((1, 4)), np.zeros(1)]
    for _ in range(8):
        alone = one_pass(*alone, x, y)
    np.testing.assert_allclose(coefs[0.0][0], alone[0], rtol=1e-12)
    before = run(Ward, strategy=strategy(3), passes=2).result["model"]["coef"]  # it was sent that
    np.testing.assert_allclose(coefs[1e9][1], before, rtol=1e-6)
    distance = [np.linalg.norm(each[2] - result["model"]["coef"]) for each in coefs.values()]
    assert distance == sorted(distance, reverse=True)


def test_only_the_common_model_travels():
    sent = []

    class Watched(Personal):
        def analysis_method(self, data, aggregator_results):
            sent.append(super().analysis_method(data, aggregator_results))
            return sent[-1]

    run(Watched, strategy=strategy(1))
    arrays = [array for answer in sent for array in answer["model"].values()]
    assert len(arrays) == 6
    for answer, kept in zip(sent, kept_models(), strict=True):
        assert kept["coef"].tobytes() not in encode(answer).header
        assert not any(isinstance(value, np.ndarray) for value in answer.values())


def test_both_models_are_scored_at_the_end():
    tester = run(PersonalTested, strategy=strategy())
    for scores, kept, split in zip(tester.evaluations.values(), kept_models(), SPLITS, strict=True):
        x, y = split[0][0][::3], split[0][1][::3]
        for called, model in (("personal", kept), ("common", tester.result["model"])):
            right = np.mean((x @ model["coef"][0] + model["intercept"] > 0) == (y == 1))
            assert scores[f"{called}_accuracy"] == pytest.approx(right, rel=1e-12)
        assert scores["n"] == len(y)
    shown = tester.record.history[-1].node_metrics["node-0"]
    assert {"personal_accuracy", "test_personal_auc", "test_auc", "auc"} <= set(shown)


def test_the_bits_are_alike_over_messages_and_resumed(tmp_path):
    seen = {}

    class Noted(Personal):
        def evaluation_method(self, data, result):
            seen.setdefault(self.id, []).append(self.personal["coef"].tobytes())
            return super().evaluation_method(data, result)

    run(Noted, strategy=strategy())
    over_messages(strategy(), Noted)
    resumed(strategy, Noted, tmp_path, 4)
    assert set(map(len, seen.values())) == {4}  # a run that is cut is evaluated, too
    for first, second, cut, again in seen.values():
        assert first == second == again != cut


def test_a_node_without_a_folder_says_so(caplog, monkeypatch):
    def refuse(*given, **tagged):
        raise ConfigError("there is no state-dir")

    monkeypatch.setattr("flame_flwr.star.handle.FlameHandle.save_intermediate_data", refuse)
    assert len(over_messages(strategy(1), Personal).evaluations) == 3
    assert "the personal model is not kept after this run: there is no state-dir" in caplog.text


def test_a_strength_is_a_number_from_0():
    with pytest.raises(ModelError, match=r"lam must be a number from 0, not -0\.5"):
        run(Personal, strategy=strategy(), lam=-0.5)
